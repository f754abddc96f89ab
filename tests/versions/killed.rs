//! A checkout, and a module that checks itself out, killed at many moments: the old version or the new one, whole, and a
//! run that is done or undone with what it asked for.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use super::support::{Module, Root, Source, Tree};
use super::{follow, tag};

const MOMENTS: u32 = 40;

fn sized(version: &str, code: &str) -> Module {
    let module = Module::python("app", version, code).declares(&["/srv/app/"]);
    (0..50).fold(module, |module, index| module.file(&format!("part/{index}"), version.repeat(100)))
}

fn copy(root: &Root) -> Root {
    let copy = Root::new();
    let status = std::process::Command::new("cp").arg("-a").arg(root.path().join(".")).arg(copy.path()).status();
    assert!(status.unwrap().success());
    copy
}

fn code(root: &Root) -> BTreeMap<String, String> {
    let parts = (0..50).map(|index| format!("part/{index}")).chain(["index.json".to_owned(), "index.py".to_owned()]);
    parts.map(|part| (part.clone(), fs::read_to_string(root.modules().join("app").join(part)).unwrap())).collect()
}

fn hidden(root: &Root) -> Vec<String> {
    let names = fs::read_dir(root.modules()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn a_checkout_that_is_killed_at_any_moment_leaves_one_version_whole() {
    let idle = "def main(args=None):\n    return True\n";
    let source = Source::new();
    for version in ["1.0.0", "2.0.0"] {
        source.publish(&[&sized(version, idle)]);
        tag(&source, &format!("app-v{version}-20240101"));
    }
    let first = Root::new();
    follow(&first, &source);
    first.folder("/srv/app");
    first.run(&[]).0.expect(0);
    let before = code(&first);
    let undisturbed = copy(&first);
    let begun = Instant::now();
    undisturbed.updates(&["checkout", "app", "1.0.0"]).expect(0);
    let took = begun.elapsed();
    let after = code(&undisturbed);
    let (mut old, mut new) = (0, 0);
    for number in 0..MOMENTS {
        let root = copy(&first);
        root.start(&["checkout", "app", "1.0.0"]).kill_after(took * number / MOMENTS + Duration::from_micros(300));
        let (ran, record) = root.run(&["--wait=20"]);
        ran.expect(0);
        // What was killed before the swap means nothing, and what was behind it stays.
        let found = code(&root);
        assert!(found == before || found == after, "killed at {number}: {record:#}");
        assert_eq!(super::change(&record), if found == after { "held" } else { "none" }, "killed at {number}");
        assert_eq!(hidden(&root), Vec::<String>::new(), "killed at {number}");
        *(if found == after { &mut new } else { &mut old }) += 1;
    }
    assert!(old > 0, "no kill came before the swap: {new} behind it");
}

#[test]
fn a_module_that_checks_itself_out_and_is_killed_is_undone_with_what_it_asked_for_or_done() {
    let ask = "from updates.utils.version_control import checkout_module_version\n\n\ndef main(args=None):\n    \
               for part in range(20):\n        open(f'/srv/app/{part}', 'w').write('2.0.0')\n    \
               return {'success': checkout_module_version('app', '1.0.0')}\n";
    let idle = "def main(args=None):\n    return True\n";
    let source = Source::new();
    source.publish(&[&sized("1.0.0", idle), &Module::idle("other", "1")]);
    tag(&source, "app-v1.0.0-20240101");
    let first = Root::new();
    follow(&first, &source);
    first.folder("/srv/app");
    first.run(&[]).0.expect(0);
    source.publish(&[&sized("2.0.0", ask)]);
    let undisturbed = copy(&first);
    let begun = Instant::now();
    undisturbed.run(&["app"]).0.expect(0);
    let took = begun.elapsed();
    assert_eq!(undisturbed.installed_version("app"), "1.0.0");
    let (done, undone) =
        (Tree::of(&undisturbed.at("/srv/app"), &[]).content(), Tree::of(&first.at("/srv/app"), &[]).content());
    let versions = [code(&first), {
        let folder = tempfile::tempdir().unwrap();
        sized("2.0.0", ask).write_into(folder.path());
        let parts = code(&first).into_keys();
        parts.map(|part| (part.clone(), fs::read_to_string(folder.path().join("app").join(part)).unwrap())).collect()
    }];
    let mut recovered = 0;
    for number in 0..MOMENTS {
        let root = copy(&first);
        let moment = took / 4 + took * 3 / 4 * number / MOMENTS;
        root.start(&["run", "app"]).kill_after(moment);
        let (ran, record) = root.run(&["--wait=20", "--no-sync", "other"]);
        assert_eq!(ran.code, 0, "killed after {moment:?}: {}", ran.stderr);
        recovered += u32::from(!record["recovered"].is_null());
        let (found, files) = (code(&root), Tree::of(&root.at("/srv/app"), &[]).content());
        assert!(versions.contains(&found), "killed after {moment:?}: the code is of two versions");
        assert!(files == done || files == undone, "killed after {moment:?}: half done");
        if files == done {
            assert!(found == versions[0], "killed after {moment:?}: done, and not what was asked for");
        }
    }
    assert!(recovered > 0, "no kill met the module at work");
}
