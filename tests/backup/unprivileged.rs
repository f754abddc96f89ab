//! Without root, below a root of one's own.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::support::Root;
use super::{change, web};

const USER: u32 = 65_123;

#[test]
fn a_root_of_ones_own_needs_no_privilege() {
    let root = Root::new();
    root.write("/srv/web/page", "hello\n").write("/srv/web/other", "other\n").install(&web());
    give(root.path());
    let before = root.tree("/srv/web");
    assert_eq!(run(&root, &["backup", "create", "web"]).status.code(), Some(0));
    change(&root);
    give(root.path());
    let restored = run(&root, &["backup", "restore", "web", "--yes"]);
    assert_eq!(restored.status.code(), Some(0), "{}", String::from_utf8_lossy(&restored.stderr));
    assert_eq!(before.content(), root.tree("/srv/web").content());
}

#[test]
fn the_machines_own_backups_are_roots() {
    let root = Root::new();
    for arguments in
        [&["backup", "list"][..], &["backup", "verify"], &["backup", "restore", "web"], &["rollback", "web"]]
    {
        let mut command = command(&root, Path::new("/"));
        let ran = command.args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("sudo"), "{said}");
    }
}

fn run(root: &Root, arguments: &[&str]) -> Output {
    command(root, root.path()).args(arguments).output().unwrap()
}

/// The program below `below` as a user, from a copy laid out as `make install` does: the checkout may be root's alone.
fn command(root: &Root, below: &Path) -> Command {
    let (bin, library) = (root.temporary().join("bin"), root.temporary().join("lib/updates"));
    let program = bin.join("updates");
    if !program.exists() {
        let built = Path::new(env!("CARGO_BIN_EXE_updates"));
        std::fs::create_dir_all(&bin).unwrap();
        std::fs::create_dir_all(&library).unwrap();
        std::fs::copy(built, &program).unwrap();
        std::fs::copy(built.with_file_name("updates-runner"), library.join("updates-runner")).unwrap();
        for part in ["sandbox-profiles", "runner/python"] {
            let part = Path::new(env!("CARGO_MANIFEST_DIR")).join(part);
            assert!(Command::new("cp").arg("-R").arg(part).arg(&library).status().unwrap().success());
        }
        give(root.temporary());
    }
    let user = USER.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups"]).arg(program).arg("--root").arg(below);
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("TMPDIR", root.temporary());
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn give(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => give(&entry.path()),
            false => chown(entry.path(), Some(USER), Some(USER)).unwrap(),
        }
    }
    chown(folder, Some(USER), Some(USER)).unwrap();
}
