//! A module gets no further than it was allowed to when it was installed, until a person agrees to more.

use serde_json::{Value, json};

use super::support::{Module, Ran, Root, Source};
use super::{changes, module};

const WRITER: &str = r#"
import json, pathlib
def main(args=None):
    done = []
    for path in ("/etc/own", "/etc/other"):
        try:
            pathlib.Path(path).write_text("written")
            done.append(path)
        except OSError:
            pass
    return {"success": True, "wrote": done, "network": len(open("/proc/net/dev").readlines()) > 3}
"#;

fn writer(version: &str, paths: &[&str]) -> Module {
    Module::python("writer", version, WRITER).declares(paths)
}

fn check(root: &Root, source: &Source) -> (Ran, Value) {
    let ran = root.updates(&["--json", "check", "--source", source.path()]);
    let record = ran.json();
    (ran, record)
}

fn two_files() -> Root {
    let root = Root::new();
    root.write("/etc/own", "");
    root.write("/etc/other", "");
    root
}

#[test]
fn a_newer_version_that_asks_for_more_waits_until_a_person_agrees_and_then_comes() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);

    source.put(&writer("2.0.0", &["/etc/own", "/etc/other"]).sandbox("profile", json!("network")));
    source.commit();
    let (checked, record) = check(&root, &source);
    checked.expect(0);
    assert_eq!(changes(&record), ["writer: waiting 1.0.0 -> 2.0.0"]);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    insta::assert_json_snapshot!(record["updates"]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own"]));
    assert_eq!(root.installed_version("writer"), "1.0.0");

    // The source is where it was at the last sync.
    let config = format!("[source]\nurl = {:?}\n", source.path());
    root.write("/etc/updates/config.toml", &config);
    let refused = root.updates(&["sandbox", "grant", "writer"]);
    refused.expect(2);
    assert!(refused.stdout.contains("to write /etc/other"), "{}", refused.stdout);
    assert_eq!(root.installed_version("writer"), "1.0.0");
    root.updates(&["sandbox", "grant", "writer", "--yes"]).expect(0);
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(changes(&record), ["writer: updated 1.0.0 -> 2.0.0"]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own", "/etc/other"]));
    assert_eq!(module(&record, "writer")["ungranted"], Value::Null);
}

#[test]
fn a_newer_version_that_asks_for_no_more_comes_by_itself() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own", "/etc/other"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    source.put(&writer("2.0.0", &["/etc/own"]).sandbox("tasks_max", json!(20)));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(changes(&record), ["writer: updated 1.0.0 -> 2.0.0"]);
    // Nor does it have to ask again for what it did without meanwhile.
    source.put(&writer("3.0.0", &["/etc/own", "/etc/other"]));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(changes(&record), ["writer: updated 2.0.0 -> 3.0.0"]);
}

#[test]
fn a_module_that_edits_its_own_files_gains_nothing_and_is_told_of() {
    let code = r#"
import json, pathlib
def main(args=None):
    index = pathlib.Path(__file__).with_name("index.json")
    content = json.loads(index.read_text())
    content["sandbox"] = {"profile": "legacy", "private_network": False}
    content["configuration"]["backup_paths"] += ["/etc/other"]
    try:
        index.write_text(json.dumps(content))
        pathlib.Path("/etc/other").write_text("written")
        return {"success": True, "wrote": True}
    except OSError:
        return {"success": True, "wrote": False}
"#;
    let (root, source) = (two_files(), Source::new());
    source.put(&Module::python("sly", "1.0.0", code).declares(&["/usr/local/lib/updates/modules/sly/"]));
    source.commit();
    let (ran, record) = root.run(&["--source", source.path()]);
    ran.expect(0);
    assert_eq!(module(&record, "sly")["result"]["wrote"], false);
    assert_eq!(module(&record, "sly")["ungranted"], Value::Null);

    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(module(&record, "sly")["result"]["wrote"], false);
    insta::assert_json_snapshot!(module(&record, "sly")["ungranted"]);
    let status = root.updates(&["status"]);
    assert!(status.stdout.contains("updates sandbox grant sly"), "{}", status.stdout);
    assert_eq!(root.read("/etc/other"), "");
}

#[test]
fn an_edit_that_the_module_can_t_have_made_counts() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    let index = root.modules().join("writer/index.json");
    let edited = std::fs::read_to_string(&index).unwrap().replace("\"/etc/own\"", "\"/etc/own\", \"/etc/other\"");
    std::fs::write(&index, edited).unwrap();
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own", "/etc/other"]));
}

#[test]
fn a_setting_that_loosens_the_profile_is_not_granted_by_an_installation() {
    let (root, source) = (two_files(), Source::new());
    source
        .put(&writer("1.0.0", &["/etc/own"]).sandbox("private_network", json!(false)).sandbox("tasks_max", json!(600)));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own"]));
    assert_eq!(module(&record, "writer")["result"]["network"], false);
    assert_eq!(module(&record, "writer")["ungranted"], json!(["sandbox.private_network false"]));
    root.updates(&["sandbox", "grant", "writer", "--yes"]).expect(0);
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(module(&record, "writer")["ungranted"], Value::Null);
}

#[test]
fn what_local_settings_say_needs_no_further_word() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    let patch = json!({"configuration": {"backup_paths": ["/etc/own", "/etc/other"]}});
    root.write("/etc/updates/modules.d/writer.json", patch.to_string());
    let (_, record) = root.run(&["--no-sync"]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own", "/etc/other"]));
    assert_eq!(module(&record, "writer")["ungranted"], Value::Null);
}

#[test]
fn a_list_of_grants_that_can_t_be_read_stops_that_module_alone_and_says_the_way_out() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.put(&Module::idle("other", "1.0.0"));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    root.write("/var/lib/updates/catalog/grants/writer.json", "{");
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(20);
    assert_eq!(module(&record, "other")["status"], "succeeded");
    let message = module(&record, "writer")["message"].as_str().unwrap();
    assert!(message.contains("grants/writer.json") && message.contains("remove it"), "{message}");
}

#[test]
fn what_is_hidden_inside_of_a_granted_folder_is_asked_for_like_anything_else() {
    let code = r#"
import pathlib
def main(args=None):
    try:
        return {"success": True, "read": pathlib.Path("/etc/ssl/private/own.key").read_text()}
    except OSError:
        return {"success": True, "read": None}
"#;
    let certificates = |version: &str| Module::python("certificates", version, code);
    for more in [
        certificates("2.0.0").declares(&["/etc/ssl", "/etc/ssl/private"]),
        certificates("2.0.0").declares(&["/etc/ssl"]).sandbox("read_only_paths", json!(["/etc/ssl/private/own.key"])),
        certificates("2.0.0").declares(&["/etc/ssl/private/own.key"]),
    ] {
        let (root, source) = (Root::new(), Source::new());
        root.write("/etc/ssl/private/own.key", "secret");
        source.put(&certificates("1.0.0").declares(&["/etc/ssl"]));
        source.commit();
        let (_, record) = root.run(&["--source", source.path()]);
        assert_eq!(module(&record, "certificates")["result"]["read"], Value::Null);
        source.put(&more);
        source.commit();
        let (_, record) = root.run(&["--source", source.path()]);
        assert_eq!(module(&record, "certificates")["result"]["read"], Value::Null);
        assert_eq!(changes(&record), ["certificates: waiting 1.0.0 -> 2.0.0"]);
    }
}

#[test]
fn what_a_module_hid_from_itself_stays_hidden_until_a_person_agrees() {
    let (root, source) = (two_files(), Source::new());
    let hiding = writer("1.0.0", &["/etc/own"]).sandbox("inaccessible_paths", json!(["/srv/private"]));
    source.put(&hiding);
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    source.put(&writer("2.0.0", &["/etc/own"]));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(changes(&record), ["writer: waiting 1.0.0 -> 2.0.0"]);
    assert_eq!(record["updates"][0]["notes"], json!(["to see /srv/private"]));
}

#[test]
fn what_local_settings_hid_from_sight_was_not_granted() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    let patch = "/etc/updates/modules.d/writer.json";
    root.write(patch, json!({"configuration": {"backup_paths": ["/etc/own"]}}).to_string());
    source.put(&writer("2.0.0", &["/etc/own", "/etc/other"]));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own"]));
    std::fs::remove_file(root.path().join(&patch[1..])).unwrap();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own"]));
    assert_eq!(module(&record, "writer")["ungranted"], json!(["to write /etc/other"]));
}

#[test]
fn a_person_agrees_to_what_was_shown_and_not_to_what_local_settings_covered() {
    let (root, source) = (two_files(), Source::new());
    root.write("/etc/third", "");
    root.write("/etc/updates/config.toml", format!("[source]\nurl = {:?}\n", source.path()));
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&[]).0.expect(0);
    let patch = "/etc/updates/modules.d/writer.json";
    root.write(patch, json!({"configuration": {"backup_paths": ["/etc/own"]}}).to_string());
    source.put(&writer("2.0.0", &["/etc/own", "/etc/other"]).sandbox("profile", json!("network")));
    source.commit();
    root.run(&[]);
    let shown = root.updates(&["sandbox", "grant", "writer", "--yes"]);
    shown.expect(0);
    assert!(shown.stdout.contains("network") && !shown.stdout.contains("/etc/other"), "{}", shown.stdout);
    std::fs::remove_file(root.path().join(&patch[1..])).unwrap();
    let (_, record) = root.run(&[]);
    assert_eq!(changes(&record), ["writer: waiting 1.0.0 -> 2.0.0"]);
    assert_eq!(module(&record, "writer")["result"]["wrote"], json!(["/etc/own"]));
}

#[test]
fn a_link_is_no_way_around_the_question() {
    let code = r#"
import pathlib
def main(args=None):
    found = {}
    for path in ("/srv/link/secret", "/run/service/secret"):
        try:
            found[path] = pathlib.Path(path).read_text()
        except OSError:
            pass
    return {"success": True, "read": found}
"#;
    let (root, source) = (Root::new(), Source::new());
    root.write("/run/service/secret", "secret");
    root.write("/srv/keep", "");
    std::os::unix::fs::symlink("/run/service", root.path().join("srv/link")).unwrap();
    source.put(&Module::python("reader", "1.0.0", code));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    source.put(&Module::python("reader", "2.0.0", code).sandbox("read_only_paths", json!(["/srv/link/secret"])));
    source.commit();
    let (_, record) = root.run(&["--source", source.path()]);
    assert_eq!(module(&record, "reader")["result"], Value::Null);
    let message = module(&record, "reader")["message"].as_str().unwrap();
    assert!(message.contains("/srv/link/secret leads to /run/service/secret, which is hidden"), "{message}");
    assert_eq!(root.installed_version("reader"), "1.0.0");
}

#[test]
fn what_waits_in_a_source_of_the_command_line_is_agreed_to_by_naming_it() {
    let (root, source) = (two_files(), Source::new());
    source.put(&writer("1.0.0", &["/etc/own"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    source.put(&writer("2.0.0", &["/etc/own", "/etc/other"]));
    source.commit();
    root.run(&["--source", source.path()]).0.expect(0);
    let name = writer("2.0.0", &[]).name;
    let unnamed = root.updates(&["sandbox", "grant", &name, "--yes"]);
    assert!(unnamed.stdout.contains("--source"), "{}", unnamed.stdout);
    let granted = root.updates(&["sandbox", "grant", &name, "--yes", "--source", source.path(), "--json"]);
    granted.expect(0);
    assert_eq!(granted.json()["granted"], true);
}
