//! The catalog on real folders: what is installed, swaps and their taking back, settings, and a process that is killed.
#![allow(clippy::unwrap_used)]

#[path = "catalog/killed.rs"]
mod killed;
#[path = "catalog/world.rs"]
mod world;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use serde_json::{Value, json};
use updates::catalog::{
    Broken, Catalog, CatalogEntry, Decision, Held, Installed, Reverted, SettingsError, StageError, compare,
};
use updates_protocol::Manifest;
use world::{World, document, index_text, name, version};

#[test]
fn an_empty_machine_has_no_modules_and_nothing_is_made_by_looking() {
    let world = World::new();
    assert!(world.catalog.installed().unwrap().is_empty());
    assert!(world.catalog.recover().unwrap().notes.is_empty());
    assert_eq!(fs::read_dir(world.root()).unwrap().count(), 0);
}

#[test]
fn a_new_module_is_installed_confirmed_and_listed() {
    let world = World::new();
    let swapped = world.install("hello", "1.0.0");
    assert_eq!((swapped.from, swapped.to.to_string()), (None, "1.0.0".into()));
    assert!(world.module("hello").unconfirmed);
    world.catalog.confirm(&name("hello")).unwrap();
    let module = world.module("hello");
    assert!(!module.unconfirmed && module.local_changes.is_empty());
    assert_eq!(module.tree.as_deref(), Some("tree-of-1.0.0"));
    assert_eq!(fs::metadata(&module.directory).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(world.hidden(), Vec::<String>::new());
}

#[test]
fn an_unchanged_index_is_installed_byte_for_byte() {
    let world = World::new();
    let odd = "{ \"metadata\" : {\"schema_version\":\"1\",\"name\":\"m\"}, \"n\" : 1.50 }";
    world.stage_text("m", odd).unwrap().commit().unwrap();
    assert_eq!(fs::read_to_string(world.folder("m").join("index.json")).unwrap(), odd);
    let next = odd.replace("\"1\"", "\"2\"");
    world.stage_text("m", &next).unwrap().commit().unwrap();
    assert_eq!(fs::read_to_string(world.folder("m").join("index.json")).unwrap(), next);
}

#[test]
fn local_changes_survive_an_update_and_what_gave_way_is_said() {
    let world = World::new();
    let shipped = |version: &str, branch: &str, extra: Value| {
        let mut value = json!({
            "metadata": {"schema_version": version, "name": "m", "enabled": true},
            "configuration": {"repo": {"branch": branch}, "targets": [{"id": "a", "has_run": false}]},
        });
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::to_string_pretty(&value).unwrap()
    };
    world.stage_text("m", &shipped("1", "main", json!({"old": 1, "older": 1}))).unwrap().commit().unwrap();
    world.edit("m", |index| {
        index["configuration"]["repo"]["branch"] = json!("beta");
        index["configuration"]["targets"][0]["has_run"] = json!(true);
        index["old"] = json!(2);
    });
    assert_eq!(world.module("m").local_changes, ["configuration.repo.branch", "configuration.targets", "old"]);
    let staged = world.stage_text("m", &shipped("2", "trunk", json!({"new": 1}))).unwrap();
    assert_eq!(
        staged.notes(),
        [
            "changed here and in the new version, the local value was kept: configuration.repo.branch",
            "no longer shipped, kept because it was changed here: old",
        ]
    );
    let swapped = staged.commit().unwrap();
    assert_eq!(swapped.notes.len(), 2);
    insta::assert_snapshot!(fs::read_to_string(world.folder("m").join("index.json")).unwrap());
}

#[test]
fn a_module_that_the_catalog_did_not_install_keeps_what_is_the_server_s_own() {
    let world = World::new();
    world.put("m", &json!({"metadata": {"schema_version": "1", "enabled": false}, "x": 1, "mine": 2}));
    world.stage_text("m", &index_text("m", "2", json!({"x": 2}))).unwrap().commit().unwrap();
    let index = document(&world.folder("m").join("index.json"));
    assert_eq!(index["metadata"], json!({"schema_version": "2", "name": "m", "enabled": false}));
    assert_eq!((&index["x"], &index["mine"]), (&json!(2), &json!(2)));
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Previous(None));
    assert_eq!(document(&world.folder("m").join("index.json"))["x"], json!(1));
    assert!(world.catalog.unconfirmed().unwrap().is_empty());
}

#[test]
fn an_update_is_taken_back_with_its_record_and_local_changes() {
    let world = World::new();
    world.install("m", "1.0.0");
    world.catalog.confirm(&name("m")).unwrap();
    world.edit("m", |index| index["mine"] = json!(1));
    world.install("m", "2.0.0");
    assert_eq!(world.catalog.unconfirmed().unwrap().len(), 1);
    assert_eq!(world.module("m").local_changes, ["mine"]);
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Previous(Some(version("1.0.0"))));
    let module = world.module("m");
    assert_eq!((module.manifest.schema_version.to_string(), module.unconfirmed), ("1.0.0".into(), false));
    assert_eq!(module.local_changes, ["mine"]);
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Nothing);
    assert_eq!(world.hidden(), Vec::<String>::new());
}

#[test]
fn a_new_module_that_is_taken_back_is_gone() {
    let world = World::new();
    world.install("m", "1.0.0");
    assert!(world.catalog.unconfirmed().unwrap()[0].is_new);
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Removed);
    assert!(world.catalog.installed().unwrap().is_empty());
    assert_eq!(world.hidden(), Vec::<String>::new());
}

#[test]
fn two_updates_without_a_run_between_go_back_to_the_version_that_ran() {
    let world = World::new();
    world.install("m", "1.0.0");
    world.catalog.confirm(&name("m")).unwrap();
    world.install("m", "2.0.0");
    world.install("m", "3.0.0");
    assert_eq!(world.hidden(), [".m.previous"]);
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Previous(Some(version("1.0.0"))));
    world.install("m", "4.0.0");
    world.catalog.confirm(&name("m")).unwrap();
    assert_eq!(world.catalog.revert(&name("m")).unwrap(), Reverted::Nothing);
}

#[test]
fn a_staged_version_that_is_dropped_or_can_not_be_made_leaves_nothing() {
    let world = World::new();
    world.install("m", "1.0.0");
    world.catalog.confirm(&name("m")).unwrap();
    drop(world.stage_text("m", &index_text("m", "2", json!({}))).unwrap());
    let stage = |text: &str| world.stage_text("m", text).unwrap_err().to_string();
    assert!(stage("{").contains("the new version of module m: index.json: not valid JSON"));
    assert!(stage("{\"metadata\": {\"schema_version\": 1}}").contains("metadata.schema_version: expected a string"));
    let error = world.catalog.stage(&name("m"), None, |_| Err::<(), _>(io::Error::other("the mirror is damaged")));
    assert_eq!(error.unwrap_err().to_string(), "cannot write the files of module m: the mirror is damaged");
    let error = world.catalog.stage(&name("m"), None, |_| io::Result::Ok(())).unwrap_err();
    assert!(matches!(error, StageError::NoManifest(_)));
    assert_eq!(world.hidden(), Vec::<String>::new());
    assert_eq!(world.module("m").manifest.schema_version.to_string(), "1.0.0");
}

#[test]
fn local_changes_that_would_break_the_new_version_keep_the_old_one() {
    let world = World::new();
    world.install("m", "1.0.0");
    world.edit("m", |index| index["configuration"] = json!({"backup_paths": ["relative"]}));
    let error = world.stage_text("m", &index_text("m", "2", json!({"configuration": {}}))).unwrap_err().to_string();
    assert!(error.contains("with the changes in") && error.contains("configuration.backup_paths[0]"), "{error}");
    assert_eq!(world.hidden(), Vec::<String>::new());
}

#[test]
fn an_index_that_can_not_be_read_is_replaced_and_that_is_said() {
    let world = World::new();
    world.install("m", "1.0.0");
    fs::write(world.folder("m").join("index.json"), "{ oops").unwrap();
    let Some(CatalogEntry::Broken(broken)) = world.catalog.module(&name("m")) else { panic!("it is not broken") };
    assert_eq!(broken.version, Some(version("1.0.0")));
    let staged = world.stage_text("m", &index_text("m", "2", json!({}))).unwrap();
    assert!(staged.notes()[0].starts_with("local changes could not be carried over: "));
    staged.commit().unwrap();
    assert_eq!(world.module("m").manifest.schema_version.to_string(), "2");
}

#[test]
fn a_module_called_like_another_but_for_case_is_not_installed() {
    let world = World::new();
    world.install("adblock", "1.0.0");
    let error = world.stage_text("AdBlock", &index_text("AdBlock", "1", json!({}))).unwrap_err();
    assert!(matches!(error, StageError::Twin { .. }), "{error}");
}

#[test]
fn leftovers_are_removed_and_a_record_that_is_noise_is_given_up() {
    let world = World::new();
    world.install("m", "1.0.0");
    fs::create_dir(world.folder(".m.staged")).unwrap();
    fs::create_dir(world.folder(".other.previous")).unwrap();
    fs::write(world.root().join("var/lib/updates/catalog/modules/m.json"), "noise").unwrap();
    fs::write(world.root().join("var/lib/updates/catalog/.updates-x1"), "half").unwrap();
    let recovery = world.catalog.recover().unwrap();
    assert!(recovery.problems.is_empty());
    assert_eq!(recovery.notes.len(), 2, "{:?}", recovery.notes);
    assert_eq!(world.hidden(), Vec::<String>::new());
    assert!(!world.root().join("var/lib/updates/catalog/.updates-x1").exists());
    assert!(!world.module("m").unconfirmed);
    assert!(world.catalog.recover().unwrap().notes.is_empty());
}

#[test]
fn bad_input_is_reported_for_its_module_alone_with_file_and_field() {
    let world = World::new();
    world.put("good", &json!({"metadata": {"schema_version": "1"}}));
    for (module, text) in [
        ("empty", String::new()),
        ("nojson", "{oops".into()),
        ("list", "[1]".into()),
        ("deep", "[".repeat(100_000)),
        ("types", "{\"metadata\": {\"schema_version\": 1}}".into()),
        ("unknown", "{\"metadata\": {\"schema_version\": \"unknown\"}}".into()),
        ("noversion", "{\"metadata\": {}}".into()),
        ("othername", "{\"metadata\": {\"schema_version\": \"1\", \"name\": \"x\"}}".into()),
        ("escapes", "{\"metadata\": {\"schema_version\": \"1\", \"name\": \"../x\"}}".into()),
    ] {
        fs::create_dir_all(world.folder(module)).unwrap();
        fs::write(world.folder(module).join("index.json"), text).unwrap();
    }
    for module in ["missing", "huge", "linked", "a b", "..x", "Twin", "twin"] {
        fs::create_dir(world.folder(module)).unwrap_or_default();
    }
    fs::create_dir(world.folder("a..b")).unwrap();
    fs::File::create(world.folder("huge").join("index.json")).unwrap().set_len(100 << 20).unwrap();
    symlink("/etc/shadow", world.folder("linked").join("index.json")).unwrap();
    symlink("good", world.folder("alias")).unwrap();
    fs::create_dir(world.modules().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"caf\xe9")))
        .unwrap();
    fs::write(world.folder("README.md"), "no module").unwrap();
    fs::create_dir(world.folder("__pycache__")).unwrap();

    let found = world.catalog.installed().unwrap();
    let good: Vec<_> =
        found.iter().filter(|m| matches!(m, CatalogEntry::Installed(_))).map(CatalogEntry::name).collect();
    assert_eq!(good, ["good"]);
    let problems: Vec<String> = found
        .iter()
        .filter_map(|module| match module {
            CatalogEntry::Broken(Broken { name, problem, .. }) => Some(format!("{name}: {problem}")),
            CatalogEntry::Installed(_) => None,
        })
        .collect();
    insta::assert_snapshot!(problems.join("\n").replace(&world.root().display().to_string(), ""));
}

#[test]
fn local_settings_are_laid_over_the_index_and_blamed_when_they_are_wrong() {
    let world = World::new();
    world.put("m", &json!({"metadata": {"schema_version": "1", "priority": 1}, "configuration": {"a": 1, "b": 1}}));
    world.settings("m", "{\"metadata\": {\"priority\": 5}, \"configuration\": {\"a\": null}}");
    let module = world.module("m");
    assert_eq!((module.manifest.priority, &module.manifest.raw["configuration"]), (5, &json!({"b": 1})));
    let problem = |settings: &str| {
        world.settings("m", settings);
        match world.catalog.module(&name("m")) {
            Some(CatalogEntry::Broken(broken)) => broken.problem.replace(&world.root().display().to_string(), ""),
            other => panic!("{other:?}"),
        }
    };
    let of_file = "/etc/updates/modules.d/m.json: ";
    for (settings, said) in [
        ("{", "not valid JSON"),
        ("[]", "expected an object at the top"),
        ("{\"metadata\": {\"priority\": \"x\"}}", "metadata.priority: expected a whole number"),
        ("{\"metadata\": {\"schema_version\": \"0\"}}", "metadata.schema_version: can't be set locally"),
    ] {
        let problem = problem(settings);
        assert!(problem.starts_with(of_file) && problem.contains(said), "{problem}");
    }
}

#[test]
fn a_module_or_component_is_switched_in_the_local_settings_only() {
    let world = World::new();
    let shipped = json!({
        "metadata": {"schema_version": "1"},
        "config": {"components": {"web": {"enabled": true, "x": 1}, "api": true, "path": "/x"}},
    });
    world.put("m", &shipped);
    world.settings("m", "{\n  \"configuration\": null,\n  \"mine\": [1]\n}\n");
    let set = |enabled, component| world.catalog.set_enabled(&name("m"), enabled, component).unwrap();
    assert!(set(false, None) && !set(false, None));
    assert!(set(false, Some("web")) && set(false, Some("api")));
    assert_eq!(document(&world.folder("m").join("index.json")), shipped);
    insta::assert_snapshot!(fs::read_to_string(world.root().join("etc/updates/modules.d/m.json")).unwrap());
    let module = world.module("m");
    assert!(module.disabled_locally && !module.manifest.enabled);
    let components = &module.manifest.raw["config"]["components"];
    assert_eq!(components, &json!({"web": {"enabled": false, "x": 1}, "api": false, "path": "/x"}));
    assert!(set(true, None));
    assert!(!world.module("m").disabled_locally);

    let refused = |module: &str, component| world.catalog.set_enabled(&name(module), true, component).unwrap_err();
    assert_eq!(refused("mm", None).to_string(), "no module \"mm\" is installed; did you mean \"m\"?");
    let error = refused("m", Some("webb")).to_string();
    assert_eq!(error, "module m has no component \"webb\"; did you mean \"web\"?");
    assert!(refused("m", Some("zzzzzz")).to_string().ends_with("components: web, api, path"));
    assert!(matches!(refused("m", Some("path")), SettingsError::NoSwitch { .. }));
    world.settings("m", "{ mine");
    assert!(matches!(refused("m", None), SettingsError::Document(_)));
    assert_eq!(fs::read_to_string(world.root().join("etc/updates/modules.d/m.json")).unwrap(), "{ mine");
}

#[test]
fn settings_that_are_a_link_stay_one() {
    let world = World::new();
    world.put("m", &json!({"metadata": {"schema_version": "1"}}));
    fs::write(world.root().join("elsewhere.json"), "{}").unwrap();
    fs::create_dir_all(world.root().join("etc/updates/modules.d")).unwrap();
    let link = world.root().join("etc/updates/modules.d/m.json");
    symlink(world.root().join("elsewhere.json"), &link).unwrap();
    world.catalog.set_enabled(&name("m"), false, None).unwrap();
    assert!(link.is_symlink());
    assert!(world.module("m").disabled_locally);
}

#[test]
fn versions_decide_and_a_switch_of_the_server_keeps_the_code() {
    let world = World::new();
    let source = |version: &str| Manifest::parse(index_text("m", version, json!({})).as_bytes(), &name("m")).unwrap().0;
    let decide = |version: &str| compare(world.catalog.module(&name("m")).as_ref(), &source(version));
    assert_eq!(decide("1"), Decision::Install);
    world.install("m", "1.2.3-rc.1");
    let from = version("1.2.3-rc.1");
    assert_eq!(decide("1.2.3"), Decision::Update { from: from.clone(), to: version("1.2.3") });
    assert_eq!(decide("1.2.3-rc.1"), Decision::Same);
    assert_eq!(decide("1.2"), Decision::Older { installed: from, source: version("1.2") });

    world.catalog.set_enabled(&name("m"), false, None).unwrap();
    assert_eq!(decide("9"), Decision::DisabledLocally);
    world.catalog.set_enabled(&name("m"), true, None).unwrap();
    world.edit("m", |index| index["metadata"]["enabled"] = json!(false));
    assert!(matches!(decide("9"), Decision::Update { .. }), "the local settings win over the file");
    fs::remove_file(world.root().join("etc/updates/modules.d/m.json")).unwrap();
    assert_eq!(decide("9"), Decision::DisabledLocally);

    world.put("broken", &json!({"metadata": {"schema_version": "unknown"}}));
    let broken = world.catalog.module(&name("broken"));
    assert!(
        matches!(compare(broken.as_ref(), &source("1")), Decision::Invalid(problem) if problem.contains("unknown"))
    );
    world.put("broken", &json!({"metadata": {"schema_version": "1", "priority": "x"}}));
    let broken = world.catalog.module(&name("broken"));
    assert!(matches!(compare(broken.as_ref(), &source("2")), Decision::Update { .. }), "a newer version may mend it");
}

#[test]
fn a_module_that_is_shipped_disabled_is_still_updated() {
    let world = World::new();
    let text = index_text("m", "1", json!({})).replace("\"name\"", "\"enabled\": false, \"name\"");
    world.stage_text("m", &text).unwrap().commit().unwrap();
    let module = world.module("m");
    assert!(!module.manifest.enabled && !module.disabled_locally);
}

#[test]
fn a_held_version_is_held_by_its_content_until_it_is_released() {
    let world = World::new();
    let held = |tree: &str| Held {
        version: version("2"),
        tree: tree.into(),
        reason: "it crashed".into(),
        since: "2024-12-08T10:30:15Z".into(),
    };
    assert_eq!(world.catalog.held(&name("m"), "a").unwrap(), None);
    world.catalog.hold(&name("m"), held("a")).unwrap();
    world.catalog.hold(&name("m"), held("a")).unwrap();
    assert_eq!(world.catalog.held(&name("m"), "a").unwrap(), Some(held("a")));
    assert_eq!(world.catalog.held(&name("m"), "b").unwrap(), None);
    assert_eq!(world.catalog.all_held().unwrap()[&name("m")].len(), 1);
    for index in 0..40 {
        world.catalog.hold(&name("m"), held(&format!("tree{index}"))).unwrap();
    }
    assert_eq!(world.catalog.all_held().unwrap()[&name("m")].len(), 16);
    world.catalog.unhold_content(&name("m"), "tree39").unwrap();
    assert_eq!(world.catalog.unhold(&name("m")).unwrap().len(), 15);
    assert_eq!(world.catalog.unhold(&name("m")).unwrap().len(), 0);
    fs::write(world.root().join("var/lib/updates/catalog/held.json"), "noise").unwrap();
    assert!(world.catalog.held(&name("m"), "a").unwrap_err().to_string().contains("remove it to try them again"));
}

#[test]
fn the_global_index_keeps_foreign_keys_and_is_only_written_when_it_changes() {
    let world = World::new();
    let path = world.root().join("usr/local/lib/updates/index.json");
    world.install("b", "1.0.0");
    world.put("a", &json!({"metadata": {"schema_version": 3}}));
    fs::write(&path, r#"{"lastSafeVersion": "0.9", "packages": {"b": {"lastSafeVersion": "0.8"}, "gone": {}}}"#)
        .unwrap();
    let publish = || world.catalog.publish_index(&world.catalog.installed().unwrap()).unwrap();
    assert!(publish());
    assert!(!publish());
    insta::assert_snapshot!(fs::read_to_string(&path).unwrap().replace(&world.root().display().to_string(), ""));
    fs::write(&path, "noise").unwrap();
    assert!(publish());
}

#[test]
fn a_folder_outside_the_catalog_is_read_like_a_module() {
    let world = World::new();
    world.put("m", &json!({"metadata": {"schema_version": "1"}}));
    world.settings("m", "{\"metadata\": {\"enabled\": false}}");
    let CatalogEntry::Installed(module) = Catalog::read_folder(&world.folder("m")) else { panic!("it is broken") };
    assert!(module.manifest.enabled);
    assert!(matches!(Catalog::read_folder(Path::new("/")), CatalogEntry::Broken(_)));
}

// Named here so that a change of the type is a change of this test: the supervisor prints these.
#[test]
fn what_a_module_changed_in_its_own_index_is_reported() {
    let world = World::new();
    world.install("m", "1.0.0");
    world.edit("m", |index| index["sandbox"] = json!({"profile": "legacy"}));
    let Installed { local_changes, .. } = world.module("m");
    assert_eq!(local_changes, ["sandbox"]);
}
