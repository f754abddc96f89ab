//! Modules that take care of a real service, and one that fails in the middle of it.

use serde_json::Value;

use super::is_there;
use super::machine::{Machine, shopkeeper};

#[test]
fn a_module_stops_starts_enables_and_disables_units_of_its_own() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True, 'updated': True}")]);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    assert_eq!(machine.ok("cat /srv/shop/conf"), "after");
    assert_eq!(machine.sql("SELECT text FROM note"), "[('after',)]");
    assert_eq!(machine.show("shop", "ActiveState,UnitFileState"), "ActiveState=active UnitFileState=disabled");
    assert_eq!(machine.show("idle", "ActiveState,UnitFileState"), "ActiveState=active UnitFileState=enabled");
}

#[test]
fn a_module_that_fails_leaves_unit_file_enablement_and_database_as_they_were() {
    if !is_there() {
        return;
    }
    for end in ["os.abort()", "return {'success': False, 'error': 'no luck'}", "raise RuntimeError('no luck')"] {
        let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", end)]);
        let before = machine.shop();
        assert_eq!(machine.run_service(), "Result=exit-code ExecMainStatus=20");
        assert_eq!(machine.shop(), before, "after {end}");
        // It did get as far as that.
        let log = machine.updates(&["logs", "last", "shop"]);
        assert!(log.stdout.contains("the shop is changed"), "{log:?}");
        assert_eq!(machine.ok("ls /usr/local/lib/updates/modules"), "", "a first version that failed is not kept");
    }
}

#[test]
fn a_version_that_fails_leaves_the_one_before_installed_and_working() {
    if !is_there() {
        return;
    }
    let (machine, source) = Machine::with_source(&[&shopkeeper("1.0.0", "return {'success': True}")]);
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
    source.publish(&[&shopkeeper("2.0.0", "os.abort()")]);
    machine.publish(&source);
    let before = machine.shop();
    assert_eq!(machine.run_service(), "Result=exit-code ExecMainStatus=20");
    assert_eq!(machine.shop(), before);
    let installed = machine.ok("cat /usr/local/lib/updates/modules/shop/index.json");
    assert!(installed.contains("1.0.0"), "{installed}");
    // Held: the same night again is a good one.
    assert_eq!(machine.run_service(), "Result=success ExecMainStatus=0");
}

#[test]
fn the_journal_tells_the_story_of_a_module_by_its_fields() {
    if !is_there() {
        return;
    }
    let (machine, _) = Machine::with_source(&[&shopkeeper("1.0.0", "raise RuntimeError('no luck')")]);
    assert_eq!(machine.run_service(), "Result=exit-code ExecMainStatus=20");
    let run = machine.updates_json(&["show", "last"])["run_id"].as_str().unwrap().to_owned();
    let lines = machine.journal("UPDATES_MODULE=shop");
    let text = |line: &Value, field: &str| line[field].as_str().unwrap_or_default().to_owned();
    assert!(lines.iter().all(|line| text(line, "UPDATES_RUN_ID") == run), "{lines:#?}");
    assert!(lines.iter().all(|line| text(line, "SYSLOG_IDENTIFIER") == "updates"), "{lines:#?}");
    assert!(lines.iter().all(|line| text(line, "_SYSTEMD_UNIT") == "updates.service"), "{lines:#?}");
    let priority = |message: &str| {
        let found: Vec<_> = lines.iter().filter(|line| text(line, "MESSAGE").contains(message)).collect();
        // Each thing is said once, not by the native protocol and by standard error as well.
        assert_eq!(found.len(), 1, "{message}: {lines:#?}");
        text(found[0], "PRIORITY")
    };
    assert_eq!(priority("the shop is being changed"), "4");
    assert_eq!(priority("the shop is changed"), "6");
    let bad = machine.journal("UPDATES_MODULE=shop --priority err");
    assert!(bad.iter().any(|line| text(line, "MESSAGE").contains("no luck")), "{bad:#?}");
    // Without any field, the last line of the run says how it ended.
    let all = machine.journal(&format!("UPDATES_RUN_ID={run}"));
    assert!(text(all.last().unwrap(), "MESSAGE").contains("20"), "{all:#?}");
}
