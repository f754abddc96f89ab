//! Everything that can lie in a declared path comes back: cases/faults.md 25 to 46.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{FileType, Mode, mkdirat, mknodat, readlinkat, symlinkat};
use updates::fs::{Root, remove_all};
use updates::state::{Change, Note, RestoreError, StateError};

use crate::ground::{Ground, declared, is_root, name};

// faults: 30
#[test]
fn changed_deleted_and_created_files_are_put_back() {
    let ground = Ground::new();
    for (path, text) in [("/etc/app/a", "one"), ("/etc/app/b", "two"), ("/etc/app/deep/c", "three")] {
        ground.write(path, text);
    }
    fs::set_permissions(ground.at("/etc/app/b"), Permissions::from_mode(0o4751)).unwrap();
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app/"]);
    ground.write("/etc/app/a", "changed");
    fs::set_permissions(ground.at("/etc/app/b"), Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir_all(ground.at("/etc/app/deep")).unwrap();
    ground.write("/etc/app/new/planted", "x");
    let (backup, machine) = (ground.load(), ground.machine());
    let plan = backup.plan(&machine).unwrap();
    let told: Vec<_> = plan.differences().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "attributes /etc/app",
            "content    /etc/app/a",
            "attributes /etc/app/b",
            "create     /etc/app/deep",
            "create     /etc/app/deep/c",
            "remove     /etc/app/new",
        ]
    );
    plan.apply().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
    assert!(ground.load().plan(&ground.machine()).unwrap().is_empty());
}

#[test]
fn restoring_an_unchanged_tree_writes_nothing() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    let inode = fs::metadata(ground.at("/etc/app/a")).unwrap().ino();
    assert!(ground.restore().unwrap().changed.is_empty());
    assert_eq!(fs::metadata(ground.at("/etc/app/a")).unwrap().ino(), inode);
}

// faults: 23
#[test]
fn a_write_of_equal_size_with_its_time_put_back_is_seen() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app/a"]);
    let time = fs::metadata(ground.at("/etc/app/a")).unwrap().modified().unwrap();
    ground.write("/etc/app/a", "two");
    File::options().write(true).open(ground.at("/etc/app/a")).unwrap().set_modified(time).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.read("/etc/app/a"), "one");
}

// faults: 30 31
#[test]
fn a_path_that_was_not_there_is_removed_with_the_directories_made_for_it() {
    let ground = Ground::new();
    ground.seal(&["/opt/app/data/", "/etc/app/later"]);
    ground.write("/opt/app/data/x", "x");
    ground.write("/etc/app/later", "x");
    ground.restore().unwrap();
    assert!(!ground.at("/opt").exists());
    assert!(ground.at("/etc/app").exists() && !ground.at("/etc/app/later").exists());
}

#[test]
fn a_missing_directory_above_a_declared_path_comes_back_with_its_mode() {
    let ground = Ground::new();
    ground.write("/srv/app/data/x", "x");
    fs::set_permissions(ground.at("/srv/app"), Permissions::from_mode(0o711)).unwrap();
    ground.seal(&["/srv/app/data"]);
    fs::remove_dir_all(ground.at("/srv")).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.read("/srv/app/data/x"), "x");
    assert_eq!(fs::metadata(ground.at("/srv/app")).unwrap().mode() & 0o7777, 0o711);
}

// faults: 29
#[test]
fn a_path_that_became_another_type_is_replaced() {
    let ground = Ground::new();
    ground.write("/etc/app/file", "x");
    ground.write("/etc/app/directory/inside", "y");
    symlink("nowhere", ground.at("/etc/app/link")).unwrap();
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    fs::remove_file(ground.at("/etc/app/file")).unwrap();
    ground.write("/etc/app/file/deep/x", "");
    fs::remove_dir_all(ground.at("/etc/app/directory")).unwrap();
    symlink("/etc", ground.at("/etc/app/directory")).unwrap();
    fs::remove_file(ground.at("/etc/app/link")).unwrap();
    mkfifo(&ground.at("/etc/app/link"));
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
}

// faults: 27
#[test]
fn a_declared_link_is_saved_itself_and_never_followed() {
    let ground = Ground::new();
    ground.write("/etc/other", "other");
    symlink("../other", ground.at("/etc/app/link")).unwrap();
    ground.seal(&["/etc/app/link"]);
    fs::remove_file(ground.at("/etc/app/link")).unwrap();
    symlink("elsewhere", ground.at("/etc/app/link")).unwrap();
    ground.restore().unwrap();
    assert_eq!(fs::read_link(ground.at("/etc/app/link")).unwrap(), Path::new("../other"));
    assert_eq!(ground.read("/etc/other"), "other");
}

#[test]
fn a_declared_path_through_a_link_is_refused_with_the_path_to_declare() {
    let ground = Ground::new();
    ground.write("/usr/lib/app/x", "x");
    symlink("usr/lib", ground.at("/lib")).unwrap();
    let error = ground.try_seal(&["/lib/app/x"]).unwrap_err();
    assert_eq!(error.to_string(), "/lib/app/x leads through the symbolic link /lib; declare /usr/lib/app/x instead");
    assert!(ground.store.load(&name("app")).unwrap().is_none());
}

// faults: 26
#[test]
fn a_link_swapped_into_a_parent_before_the_restore_is_not_followed() {
    let ground = Ground::new();
    ground.write("/srv/app/x", "mine");
    ground.write("/srv/victim/x", "theirs");
    ground.seal(&["/srv/app/x"]);
    fs::rename(ground.at("/srv/app"), ground.at("/srv/moved")).unwrap();
    symlink("victim", ground.at("/srv/app")).unwrap();
    assert!(matches!(ground.restore(), Err(RestoreError::Refused(StateError::ThroughLink { .. }))));
    assert_eq!(ground.read("/srv/victim/x"), "theirs");
}

#[test]
fn a_planted_hard_link_is_unlinked_and_its_target_untouched() {
    let ground = Ground::new();
    for content in ["mine", "root:x:0:0"] {
        ground.write("/etc/passwd", "root:x:0:0");
        ground.write("/etc/app/x", content);
        fs::set_permissions(ground.at("/etc/app/x"), Permissions::from_mode(0o666)).unwrap();
        ground.seal(&["/etc/app"]);
        fs::remove_file(ground.at("/etc/app/x")).unwrap();
        fs::hard_link(ground.at("/etc/passwd"), ground.at("/etc/app/x")).unwrap();
        let before = ground.observe("/etc/passwd");
        ground.restore().unwrap();
        assert_eq!(ground.read("/etc/app/x"), content);
        assert_eq!(ground.observe("/etc/passwd"), before);
    }
}

// faults: 38
#[test]
fn hard_links_come_back_as_links_and_separate_files_stay_separate() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "linked");
    fs::hard_link(ground.at("/etc/app/a"), ground.at("/etc/app/b")).unwrap();
    ground.write("/etc/app/c", "linked");
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    for path in ["/etc/app/b", "/etc/app/c"] {
        fs::remove_file(ground.at(path)).unwrap();
    }
    ground.write("/etc/app/b", "linked");
    fs::hard_link(ground.at("/etc/app/a"), ground.at("/etc/app/c")).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
    assert!(ground.load().plan(&ground.machine()).unwrap().is_empty());
}

// faults: 38
#[test]
fn links_and_pipes_of_several_names_come_back_as_one() {
    let ground = Ground::new();
    ground.write("/etc/app/file", "one");
    symlink("file", ground.at("/etc/app/link")).unwrap();
    mkfifo(&ground.at("/etc/app/pipe"));
    fs::hard_link(ground.at("/etc/app/link"), ground.at("/etc/app/link2")).unwrap();
    fs::hard_link(ground.at("/etc/app/pipe"), ground.at("/etc/app/pipe2")).unwrap();
    ground.seal(&["/etc/app"]);
    for (gone, replaced) in [("link", "pipe2"), ("link2", "pipe")] {
        fs::remove_file(ground.at("/etc/app").join(gone)).unwrap();
        fs::remove_file(ground.at("/etc/app").join(replaced)).unwrap();
        symlink("file", ground.at("/etc/app").join(gone)).unwrap();
        ground.restore().unwrap();
        let inode = |name: &str| fs::symlink_metadata(ground.at("/etc/app").join(name)).unwrap().ino();
        assert_eq!((inode("link"), inode("pipe")), (inode("link2"), inode("pipe2")), "{gone} {replaced}");
    }
}

// faults: 38
#[test]
fn a_further_name_outside_of_the_declared_paths_is_said() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "linked");
    ground.write("/etc/app/b", "alone");
    fs::hard_link(ground.at("/etc/app/a"), ground.at("/etc/app/c")).unwrap();
    assert_eq!(ground.seal(&["/etc/app"]).notes().unwrap(), []);
    fs::hard_link(ground.at("/etc/app/a"), ground.at("/etc/outside")).unwrap();
    let outside = ["/etc/app/a", "/etc/app/c"].map(|path| Note::LinkedOutside(path.into()));
    assert_eq!(ground.seal(&["/etc/app"]).notes().unwrap(), outside);
}

// faults: 42 44
#[test]
fn names_of_any_bytes_come_back_byte_for_byte() {
    let ground = Ground::new();
    for name in [&b"new\nline"[..], b"\xff\xfe", b"Case", b"case", b"-rf", b" ", b"quote\"\\"] {
        fs::write(ground.at("/etc/app").join(OsStr::from_bytes(name)), name).unwrap();
    }
    symlink(OsStr::from_bytes(b"\xf0\n"), ground.at("/etc/app/link")).unwrap();
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    fs::remove_dir_all(ground.at("/etc/app")).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
}

// faults: 39
#[test]
fn fifos_sockets_and_devices_are_never_opened() {
    let ground = Ground::new();
    mkfifo(&ground.at("/etc/app/fifo"));
    drop(std::os::unix::net::UnixListener::bind(ground.at("/etc/app/socket")).unwrap());
    if is_root() {
        let mode = Mode::from_raw_mode(0o600);
        mknodat(
            rustix::fs::CWD,
            ground.at("/etc/app/null"),
            FileType::CharacterDevice,
            mode,
            rustix::fs::makedev(1, 3),
        )
        .unwrap();
    }
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    fs::remove_file(ground.at("/etc/app/fifo")).unwrap();
    fs::remove_file(ground.at("/etc/app/socket")).unwrap();
    mkfifo(&ground.at("/etc/app/planted"));
    ground.write("/etc/app/socket", "a file now");
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
}

// faults: 36
#[test]
fn a_sparse_terabyte_takes_no_time_and_no_space() {
    let ground = Ground::new();
    let file = File::create(ground.at("/etc/app/sparse")).unwrap();
    file.write_at(b"start", 0).unwrap();
    file.write_at(b"middle", 1 << 30).unwrap();
    file.set_len(1 << 40).unwrap();
    drop(file);
    ground.seal(&["/etc/app"]);
    assert!(fs::metadata(ground.slot().join("files/etc/app/sparse")).unwrap().blocks() < 1000);
    ground.load().verify().unwrap();
    fs::write(ground.at("/etc/app/sparse"), "gone").unwrap();
    ground.restore().unwrap();
    let back = fs::metadata(ground.at("/etc/app/sparse")).unwrap();
    assert!(back.len() == 1 << 40 && back.blocks() < 1000, "{} blocks", back.blocks());
    let mut bytes = [0; 6];
    File::open(ground.at("/etc/app/sparse")).unwrap().read_exact_at(&mut bytes, 1 << 30).unwrap();
    assert_eq!(&bytes, b"middle");
    // Data where a hole was is a difference, though size and other data are equal.
    File::options().write(true).open(ground.at("/etc/app/sparse")).unwrap().write_at(b"x", 1 << 35).unwrap();
    let (backup, machine) = (ground.load(), ground.machine());
    let plan = backup.plan(&machine).unwrap();
    assert_eq!(plan.differences()[0].change, Change::Content);
}

// faults: 43
#[test]
fn a_path_longer_than_path_max_is_saved_and_restored() {
    let ground = Ground::new();
    let root = Root::open(&ground.at("/etc/app")).unwrap();
    let part = "d".repeat(250);
    let deep: PathBuf = std::iter::once("/").chain(std::iter::repeat_n(part.as_str(), 20)).collect();
    for above in deep.ancestors().collect::<Vec<_>>().iter().rev().skip(1) {
        let (directory, name) = root.parent(above).unwrap();
        mkdirat(directory, name, Mode::RWXU).unwrap();
    }
    symlinkat("target", root.directory(&deep).unwrap(), "link").unwrap();
    ground.seal(&["/etc/app"]);
    ground.load().verify().unwrap();
    remove_all(&root, &Path::new("/").join(&part)).unwrap();
    ground.restore().unwrap();
    assert_eq!(readlinkat(root.directory(&deep).unwrap(), "link", Vec::new()).unwrap().as_bytes(), b"target");
}

// faults: 41
#[test]
fn owner_setuid_acl_capabilities_and_attributes_come_back() {
    if !is_root() {
        return;
    }
    let ground = Ground::new();
    let path = ground.at("/etc/app/tool");
    ground.write("/etc/app/tool", "tool");
    std::os::unix::fs::chown(&path, Some(1234), Some(2345)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o6755)).unwrap();
    // A capability set of version 2 with CAP_NET_BIND_SERVICE permitted and effective; see capabilities(7).
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    xattr::set(&path, "security.capability", &capability).unwrap();
    xattr::set(&path, "user.note", b"\xff\0binary").unwrap();
    // user::rw- user:77:r-- group::r-- mask::r-- other::---; see acl(5) and posix_acl_xattr.h.
    let acl: Vec<u8> = [(1u16, 6u16, u32::MAX), (2, 4, 77), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)]
        .iter()
        .flat_map(|(tag, perm, id)| [&tag.to_le_bytes()[..], &perm.to_le_bytes(), &id.to_le_bytes()].concat())
        .collect();
    ground.write("/etc/app/listed", "");
    let listed =
        xattr::set(ground.at("/etc/app/listed"), "system.posix_acl_access", &[&[2, 0, 0, 0][..], &acl].concat());
    assert!(listed.is_ok() || listed.unwrap_err().raw_os_error() == Some(95));
    let before = ground.observe("/etc/app");
    ground.seal(&["/etc/app"]);
    for path in ["/etc/app/tool", "/etc/app/listed"] {
        fs::remove_file(ground.at(path)).unwrap();
        ground.write(path, "replaced");
        xattr::set(ground.at(path), "user.planted", b"x").unwrap();
    }
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
    // And where only metadata differs, in place.
    std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
    ground.restore().unwrap();
    assert_eq!(ground.observe("/etc/app"), before);
}

// faults: 40
#[test]
fn immutable_and_append_only_files_are_restored_and_locked_again() {
    let ground = Ground::new();
    ground.write("/etc/app/locked", "locked");
    ground.write("/etc/app/free", "free");
    let chattr = |flags: &str, path: &str| {
        Command::new("chattr").arg(flags).arg(ground.at(path)).stderr(std::process::Stdio::null()).status()
    };
    if !is_root() || !chattr("+i", "/etc/app/locked").is_ok_and(|status| status.success()) {
        return;
    }
    ground.seal(&["/etc/app"]);
    chattr("-i", "/etc/app/locked").unwrap();
    fs::write(ground.at("/etc/app/locked"), "changed").unwrap();
    fs::write(ground.at("/etc/app/free"), "changed").unwrap();
    ground.write("/etc/app/planted/deep", "x");
    for path in ["/etc/app/free", "/etc/app/planted/deep", "/etc/app/planted", "/etc/app"] {
        chattr(if path.ends_with("free") { "+a" } else { "+i" }, path).unwrap();
    }
    let restored = ground.restore();
    let locked = fs::write(ground.at("/etc/app/locked"), "x").is_err();
    for path in ["/etc/app", "/etc/app/locked", "/etc/app/free", "/etc/app/planted", "/etc/app/planted/deep"] {
        chattr("-ai", path).unwrap();
    }
    restored.unwrap();
    assert!(locked);
    assert_eq!((ground.read("/etc/app/locked"), ground.read("/etc/app/free")), ("locked".into(), "free".into()));
    assert!(!ground.at("/etc/app/planted").exists());
}

// faults: 45
#[test]
fn a_mount_below_a_declared_path_is_neither_crossed_nor_removed() {
    let ground = Ground::new();
    ground.write("/etc/app/x", "x");
    fs::create_dir_all(ground.at("/etc/app/mnt")).unwrap();
    let target = ground.at("/etc/app/mnt");
    let mounted = Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&target).status();
    if !is_root() || !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    fs::write(target.join("foreign"), "foreign").unwrap();
    let sealed = ground.try_seal(&["/etc/app"]);
    ground.write("/etc/app/x", "changed");
    let restored = ground.restore();
    let foreign = fs::read_to_string(target.join("foreign"));
    assert!(Command::new("umount").arg(&target).status().unwrap().success());
    sealed.unwrap().into_backup();
    restored.unwrap();
    assert_eq!(foreign.unwrap(), "foreign");
    assert!(!ground.slot().join("files/etc/app/mnt/foreign").exists());
    assert_eq!(ground.read("/etc/app/x"), "x");
}

// faults: 46
#[test]
fn a_running_program_is_renamed_over() {
    let ground = Ground::new();
    fs::copy("/bin/sleep", ground.at("/etc/app/program")).unwrap();
    ground.seal(&["/etc/app"]);
    fs::remove_file(ground.at("/etc/app/program")).unwrap();
    fs::copy("/bin/cat", ground.at("/etc/app/program")).unwrap();
    let mut child = Command::new(ground.at("/etc/app/program")).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let restored = ground.restore();
    drop(child.stdin.take());
    child.wait().unwrap();
    restored.unwrap();
    assert_eq!(fs::read(ground.at("/etc/app/program")).unwrap(), fs::read("/bin/sleep").unwrap());
}

// faults: 32 35
#[test]
fn the_supervisors_own_places_inside_a_declared_path_are_left_out() {
    let ground = Ground::new();
    ground.write("/var/lib/updates/updates.db", "runs");
    ground.write("/var/lib/updates/state/app/mine", "mine");
    ground.write("/var/lib/app/x", "x");
    let pending =
        ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/var/lib", "/var/lib/updates/state/app"]));
    let sealed = pending.leave_out(declared(&["/var/lib/updates"])).seal(&ground.machine()).unwrap();
    sealed.into_backup().verify().unwrap();
    let reserved = ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/var/lib/updates/"]));
    let reserved = reserved.leave_out(declared(&["/var/lib/updates"])).seal(&ground.machine());
    assert!(matches!(reserved, Err(StateError::Reserved(_))));
    ground.write("/var/lib/updates/updates.db", "more runs");
    ground.write("/var/lib/updates/state/app/mine", "changed");
    ground.write("/var/lib/updates/state/app/new", "new");
    ground.restore().unwrap();
    assert_eq!(ground.read("/var/lib/updates/updates.db"), "more runs");
    assert_eq!(ground.read("/var/lib/updates/state/app/mine"), "mine");
    assert!(!ground.at("/var/lib/updates/state/app/new").exists());
}

// faults: 22
#[test]
fn a_file_that_never_stops_changing_fails_the_backup_by_name() {
    let ground = Ground::new();
    // Large enough that the writer gets its turns while it is read.
    ground.write("/etc/app/busy", &"x".repeat(32 << 20));
    let path = ground.at("/etc/app/busy");
    let (stop, begun) = (AtomicBool::new(false), Barrier::new(2));
    let sealed = std::thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            begun.wait();
            while !stop.load(Ordering::Relaxed) {
                file.write_at(b"y", 0).unwrap();
            }
        });
        begun.wait();
        let sealed = ground.try_seal(&["/etc/app"]);
        stop.store(true, Ordering::Relaxed);
        sealed
    });
    assert!(matches!(&sealed, Err(StateError::Changing(busy)) if busy == Path::new("/etc/app/busy")), "{sealed:?}");
    assert!(ground.store.load(&name("app")).unwrap().is_none());
}

fn mkfifo(path: &Path) {
    mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}
