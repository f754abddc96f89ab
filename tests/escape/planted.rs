//! Lines 9, 10, 12, 26 and 29: what a module leaves in a directory that it may write, for somebody with more rights to
//! trip over.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use serde_json::json;

use crate::support::{Module, Root, Tree};
use crate::table::module;

#[test]
fn a_declared_path_below_a_link_out_of_the_set_is_refused() {
    let root = Root::new();
    root.write("/etc/victim/file", "before");
    root.folder("/srv");
    symlink("../etc/victim", root.at("/srv/app")).unwrap();
    let code = "def main(args):\n    open('/srv/app/data/file', 'w').write('after')\n    return True\n";
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/data/"]));
    let before = root.tree("/etc/victim");
    root.run(&["--no-sync"]).0.expect(20);
    before.assert_same(&root.tree("/etc/victim"), "the target of the link");
}

#[test]
fn a_replaced_dev_null_shows_nothing_that_is_hidden() {
    let root = Root::new();
    root.write("/etc/shadow", "secret").write("/dev/null", "not the device");
    root.install(&module("escape", "default"));
    let ran = root.updates(&["runner", "escape", "--", "18a"]);
    ran.expect(0);
    assert_ne!(ran.json()["rows"][0]["verdict"], json!("open"), "{}", ran.stdout);
    assert_eq!(root.read("/dev/null"), "not the device");
}

#[test]
fn set_id_bits_and_capabilities_are_refused_or_gone_after_the_run() {
    let root = Root::new();
    root.folder("/srv/app");
    // What can't be done is passed over: the answer is what lies there afterwards.
    let code = r#"
import os, shutil, struct
def main(args):
    for folder in ["/srv/app", os.environ["STATE_DIRECTORY"]]:
        for name, mode in [("user", 0o4755), ("group", 0o2755)]:
            path = f"{folder}/{name}"
            shutil.copy("/bin/true", path)
            try:
                os.chmod(path, mode)
            except OSError as error:
                print(path, error)
        path = f"{folder}/capable"
        shutil.copy("/bin/true", path)
        try:
            os.setxattr(path, "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))
        except OSError as error:
            print(path, error)
    return True
"#;
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    // Whether the run is kept or taken back is the supervisor's choice.
    let (ran, record) = root.run(&["--no-sync"]);
    assert!([0, 20].contains(&ran.code), "{record:#}");
    let mut left = Vec::new();
    for folder in ["/srv/app", "/var/lib/updates/state/app"] {
        for name in ["user", "group", "capable"] {
            let path = root.at(folder).join(name);
            let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
            let mode = metadata.mode();
            if mode & 0o6000 != 0 {
                left.push(format!("{folder}/{name}: {:04o}", mode & 0o7777));
            }
            if xattr::get(&path, "security.capability").unwrap().is_some() {
                left.push(format!("{folder}/{name}: a file capability"));
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn links_that_a_failing_module_plants_are_not_followed() {
    let root = Root::new();
    root.write("/etc/victim/file", "before").write("/srv/app/data/file", "mine");
    let code = r#"
import os, shutil
def main(args):
    shutil.rmtree("/srv/app/data")
    os.symlink("/etc/victim", "/srv/app/data")
    os.symlink("/etc/victim", os.environ["STATE_DIRECTORY"] + "/data")
    os.symlink("/etc/victim/new", "/srv/app/new")
    return False
"#;
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    let before = Tree::of(root.path(), &["var/lib/updates", "run/updates", "etc/updates", "var/backups"]);
    root.run(&["--no-sync"]).0.expect(20);
    let after = Tree::of(root.path(), &["var/lib/updates", "run/updates", "etc/updates", "var/backups"]);
    before.below("srv").assert_same(&after.below("srv"), "the declared path");
    before.below("etc/victim").assert_same(&after.below("etc/victim"), "the target of the links");
    assert!(!root.exists("/var/lib/updates/state/app/data"));
}

#[test]
fn special_files_that_a_module_leaves_hang_nobody() {
    let root = Root::new();
    root.write("/srv/app/file", "before");
    let code = r#"
import os, stat
def main(args):
    for folder in ["/srv/app", os.environ["STATE_DIRECTORY"]]:
        os.mkfifo(folder + "/fifo")
        os.mknod(folder + "/socket", stat.S_IFSOCK | 0o600)
    os.unlink("/srv/app/file")
    os.mkfifo("/srv/app/file")
    return len(args) == 0
"#;
    root.install(&Module::python("app", "1", code).declares(&["/srv/app/"]));
    // Kept, saved again by the next run, and that one is taken back.
    root.run(&["--no-sync"]).0.expect(0);
    let before = root.tree("/srv/app");
    let failing = "import os\ndef main(args):\n    os.unlink('/srv/app/fifo')\n    raise OSError('no luck')\n";
    root.install(&Module::python("app", "1", failing).declares(&["/srv/app/"]));
    root.run(&["--no-sync"]).0.expect(20);
    assert_eq!(before.paths(), root.tree("/srv/app").paths());
}
