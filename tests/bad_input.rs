//! Manifests and repositories that nobody should write: each is named by file and field, in the source and installed, and
//! everything else goes on.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::{Module, Root, Source, normal};

/// What is wrong with an `index.json`, by name.
fn mistakes() -> Vec<(&'static str, Vec<u8>)> {
    let with = |object: &str, key: &str, value: Value| Module::new("bad", "1.0.0").set(object, key, value).index_json();
    let text = |text: &str| text.as_bytes().to_vec();
    let shaped = |value: Value| value.to_string().into_bytes();
    vec![
        ("empty", Vec::new()),
        ("blank", text(" \n\t\n")),
        ("bom_only", b"\xef\xbb\xbf".to_vec()),
        ("no_json", text("metadata: {}\n")),
        ("cut_off", text("{\"metadata\": {\"schema_version\": \"1.0")),
        ("trailing_text", text("{\"metadata\": {\"schema_version\": \"1\"}} and more")),
        ("comment", text("{\"metadata\": {\"schema_version\": \"1\"}, // a comment\n}")),
        ("no_utf8", b"{\"metadata\": {\"schema_version\": \"1\xff\"}}".to_vec()),
        ("utf16", "{}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("nul_bytes", vec![0; 64]),
        ("deep", [b"[".repeat(100_000), b"]".repeat(100_000)].concat()),
        (
            "deep_inside",
            [br#"{"configuration": "#.to_vec(), b"[".repeat(500), b"]".repeat(500), b"}".to_vec()].concat(),
        ),
        ("list", shaped(json!([]))),
        ("string", shaped(json!("metadata"))),
        ("null", text("null")),
        ("nothing_in_it", text("{}")),
        ("metadata_is_a_list", shaped(json!({"metadata": []}))),
        ("configuration_is_a_string", shaped(json!({"metadata": {"schema_version": "1"}, "configuration": "x"}))),
        ("version_is_a_number", with("metadata", "schema_version", json!(1.2))),
        ("name_is_a_number", with("metadata", "name", json!(7))),
        ("name_of_another", with("metadata", "name", json!("good"))),
        ("name_that_climbs", with("metadata", "name", json!("../bad"))),
        ("name_in_other_case", with("metadata", "name", json!("BAD"))),
        ("description_is_a_list", with("metadata", "description", json!(["a"]))),
        ("enabled_is_a_string", with("metadata", "enabled", json!("yes"))),
        ("priority_is_a_string", with("metadata", "priority", json!("high"))),
        ("priority_is_a_fraction", with("metadata", "priority", json!(1.5))),
        ("priority_is_huge", with("metadata", "priority", json!(1e300))),
        ("group_is_a_number", with("metadata", "group", json!(3))),
        ("group_order_is_a_string", with("metadata", "group_order", json!("1"))),
        ("exclusive_is_a_number", with("metadata", "exclusive", json!(1))),
        ("entry_that_climbs", with("metadata", "entry", json!("../../bin/sh"))),
        ("entry_that_is_absolute", with("metadata", "entry", json!("/bin/sh"))),
        ("entry_is_a_list", with("metadata", "entry", json!(["a"]))),
        ("paths_are_a_string", with("configuration", "backup_paths", json!("/etc/app"))),
        ("path_is_a_number", with("configuration", "backup_paths", json!(["/etc/app", 7]))),
        ("path_that_climbs", with("configuration", "backup_paths", json!(["/etc/app/../../root"]))),
        ("path_that_is_relative", with("configuration", "backup_paths", json!(["etc/app"]))),
        ("path_with_a_nul", with("configuration", "backup_paths", json!(["/etc/a\0b"]))),
        ("path_that_is_too_long", with("configuration", "backup_paths", json!([format!("/{}", "x".repeat(300))]))),
        ("too_many_paths", with("configuration", "backup_paths", json!(vec!["/etc/app"; 1001]))),
        ("service_that_is_an_option", with("configuration", "services", json!(["--now"]))),
        ("services_are_an_object", with("configuration", "services", json!({}))),
        ("database_without_type", with("configuration", "databases", json!([{"database": "x"}]))),
        ("database_of_unknown_type", with("configuration", "databases", json!([{"type": "dbase", "database": "x"}]))),
        ("sandbox_is_a_string", shaped(json!({"metadata": {"schema_version": "1"}, "sandbox": "strict"}))),
        ("profile_that_climbs", with("sandbox", "profile", json!("../strict"))),
        ("profile_that_is_not_there", with("sandbox", "profile", json!("no-such-profile"))),
        ("runtime_is_zero", with("sandbox", "runtime_max_sec", json!(0))),
        ("runtime_is_a_string", with("sandbox", "runtime_max_sec", json!("5min"))),
        ("memory_is_a_word", with("sandbox", "memory_max", json!("much"))),
        ("volatile_path_that_climbs", with("sandbox", "volatile_paths", json!(["/srv/.."]))),
        ("environment_of_the_linker", with("sandbox", "environment", json!({"LD_PRELOAD": "/tmp/x.so"}))),
        ("environment_is_a_number", with("sandbox", "environment", json!({"A": 1}))),
    ]
}

/// `bad` with this `index.json`, and code that would run.
fn bad(index: &[u8]) -> Module {
    Module::idle("bad", "1.0.0").manifest_bytes(index)
}

// What the record says of the module `bad`, wherever it says it.
fn said(record: &Value, root: &Root) -> Value {
    let of = |list: &str| {
        record[list].as_array().into_iter().flatten().find(|each| each["module"] == "bad").cloned().unwrap_or_default()
    };
    let (update, module) = (of("updates"), of("modules"));
    let said = json!({
        "change": update["change"], "notes": update["notes"], "status": module["status"],
        "message": module["message"], "warnings": module["warnings"], "problems": record["problems"],
    });
    let said = said.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
    normal(&Value::Object(said), root.path())
}

#[track_caller]
fn assert_good_ran(record: &Value) {
    let good = record["modules"].as_array().unwrap().iter().find(|module| module["module"] == "good");
    assert_eq!(good.map(|good| &good["status"]), Some(&json!("succeeded")), "{record:#}");
}

#[test]
fn each_mistake_in_an_installed_manifest_is_named_and_the_others_run() {
    let mut all = BTreeMap::new();
    let root = Root::new();
    root.install(&Module::idle("good", "1"));
    for (name, index) in mistakes() {
        root.install(&bad(&index));
        let (_, record) = root.run(&["--no-sync"]);
        assert_good_ran(&record);
        all.insert(name, said(&record, &root));
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn each_mistake_in_a_manifest_of_the_source_is_named_and_the_others_run() {
    let mut all = BTreeMap::new();
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
    for (name, index) in mistakes() {
        source.publish(&[&bad(&index)]);
        let (_, record) = root.run(&["--source", source.path()]);
        assert_good_ran(&record);
        all.insert(name, said(&record, &root));
        // What was installed all the same must not stand in the way of the next.
        std::fs::remove_dir_all(root.modules().join("bad")).ok();
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn a_manifest_of_100_mb_is_refused_by_its_size() {
    let mut index = Module::new("bad", "1.0.0").index_json();
    index.resize(100 << 20, b' ');
    let root = Root::new();
    root.install(&Module::idle("good", "1")).install(&bad(&index));
    let (_, record) = root.run(&["--no-sync"]);
    assert_good_ran(&record);
    let installed = said(&record, &root);

    let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1"), &bad(&index)]));
    let (_, record) = root.run(&["--source", source.path()]);
    assert_good_ran(&record);
    assert!(!root.modules().join("bad").exists());
    insta::assert_json_snapshot!(json!({"installed": installed, "source": said(&record, &root)}));
}

#[test]
fn a_folder_without_a_manifest_is_named() {
    let root = Root::new();
    root.install(&Module::idle("good", "1")).write("/usr/local/lib/updates/modules/bad/index.py", "");
    let (_, record) = root.run(&["--no-sync"]);
    assert_good_ran(&record);
    let installed = said(&record, &root);

    let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
    source.write("modules/bad/index.py", "").commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_good_ran(&record);
    insta::assert_json_snapshot!(json!({"installed": installed, "source": said(&record, &root)}));
}

#[test]
fn a_manifest_that_is_a_folder_or_a_link_is_named() {
    let mut all = BTreeMap::new();
    for (name, link) in [("folder", None), ("link_out", Some("/etc/passwd")), ("link_to_itself", Some("index.json"))] {
        let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
        match link {
            Some(target) => source.link("modules/bad/index.json", target),
            None => source.write("modules/bad/index.json/file", ""),
        };
        source.commit();
        let (_, record) = root.run(&["--source", source.path()]);
        assert_good_ran(&record);
        assert!(!root.modules().join("bad").exists(), "{name} was installed");
        all.insert(name, said(&record, &root));
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    let index = [b"\xef\xbb\xbf".to_vec(), Module::new("bad", "1.0.0").index_json()].concat();
    let (root, source) = (Root::new(), Source::of(&[&bad(&index)]));
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["status"], "succeeded", "{record:#}");
}

#[test]
fn a_slip_in_a_key_is_warned_about_with_the_nearest_one() {
    let root = Root::new();
    root.install(
        &Module::idle("bad", "1")
            .metadata("enabeld", json!(false))
            .metadata("colour", json!("red"))
            .sandbox("read_write_path", json!([]))
            .configuration("service_name", json!("not a unit!")),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    insta::assert_json_snapshot!(said(&record, &root));
}

#[test]
fn a_folder_whose_name_is_no_module_name_is_named() {
    let names = ["with space", "-option", "semi;colon", "ünicode", "line\nbreak"];
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
    for name in names {
        source.put(&Module::idle(name, "1"));
    }
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_good_ran(&record);
    assert_eq!(std::fs::read_dir(root.modules()).unwrap().count(), 1, "something else was installed");
    insta::assert_json_snapshot!(normal(&record["updates"], root.path()));
}

#[test]
fn two_modules_of_one_name_in_differing_case_are_both_refused() {
    let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
    source.publish(&[&Module::idle("bad", "1"), &Module::idle("Bad", "1")]);
    let (_, record) = root.run(&["--source", source.path()]);
    assert_good_ran(&record);
    assert!(!root.modules().join("bad").exists() && !root.modules().join("Bad").exists());
    insta::assert_json_snapshot!(normal(&record["updates"], root.path()));
}

#[test]
fn links_that_leave_their_module_are_refused() {
    let mut all = BTreeMap::new();
    for (name, path, target) in [
        ("absolute", "modules/bad/config", "/etc/passwd"),
        ("climbing", "modules/bad/config", "../good/index.json"),
        ("climbing_deep", "modules/bad/a/b/config", "../../../../../../etc/passwd"),
        ("module_itself", "modules/bad2", "good"),
    ] {
        let (root, source) = (Root::new(), Source::of(&[&Module::idle("good", "1")]));
        if name != "module_itself" {
            source.put(&Module::idle("bad", "1"));
        }
        source.link(path, target).commit();
        let (_, record) = root.run(&["--source", source.path()]);
        assert_good_ran(&record);
        assert!(!root.modules().join("bad").exists(), "{name} was installed");
        assert!(!root.modules().join("bad2").exists(), "{name} was installed");
        all.insert(name, normal(&record["updates"], root.path()));
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn what_belongs_to_the_supervisor_can_not_be_declared() {
    let mut all = BTreeMap::new();
    let root = Root::new();
    root.install(&Module::idle("good", "1"));
    for path in
        ["/", "/var/lib/updates", "/var/lib/", "/etc/updates/config.toml", "/usr/local/lib/updates/modules/good"]
    {
        root.install(&Module::idle("bad", "1").declares(&[path]));
        let (_, record) = root.run(&["--no-sync"]);
        assert_good_ran(&record);
        all.insert(path, said(&record, &root));
    }
    insta::assert_json_snapshot!(all);
}

#[test]
fn a_local_patch_that_is_wrong_is_named_by_its_own_file() {
    let mut all = BTreeMap::new();
    let root = Root::new();
    root.install(&Module::idle("good", "1")).install(&Module::idle("bad", "1"));
    for (name, patch) in [
        ("no_json", "{"),
        ("list", "[]"),
        ("wrong_type", r#"{"metadata": {"priority": "high"}}"#),
        ("other_name", r#"{"metadata": {"name": "good"}}"#),
        ("removes_the_version", r#"{"metadata": {"schema_version": null}}"#),
    ] {
        root.write("/etc/updates/modules.d/bad.json", patch);
        let (_, record) = root.run(&["--no-sync"]);
        assert_good_ran(&record);
        all.insert(name, said(&record, &root));
    }
    insta::assert_json_snapshot!(all);
}
