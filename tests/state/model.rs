//! Whatever is done to a tree between backup and restore, nobody finds a difference afterwards: neither rsync(1), which
//! shares nothing with the code under test, nor the observer, who sees flags and nanoseconds too.
//!
//! Trees are small and many. Each case makes two slots, the second on top of the first, and puts both back; the copies
//! that rsync compares are gathered, so that one start of it serves many cases.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rustix::fs::{FileType, IFlags, Mode};
use updates::state::{Backup, Entry, Store};

use crate::ground::{Ground, declared, is_root, name};
use crate::scene::{assert_same, lock};

/// How many cases each of the threads tries; unoptimised code is given fewer.
const CASES: usize = if cfg!(debug_assertions) { 400 } else { 3000 };
const THREADS: u64 = 2;
/// So many cases share one rsync.
const BATCH: usize = 50;

/// The declared paths: two folders, one file, one that is nested and one that may not be there.
const PATHS: [&str; 5] = ["/etc/app", "/srv/app/", "/etc/one", "/etc/app/n1", "/etc/two"];

/// What of them is not nested.
const TOPS: [&str; 4] = ["/etc/app", "/srv/app", "/etc/one", "/etc/two"];

/// Something that a module may do. Paths are a few names up to three deep, so that operations meet each other.
#[derive(Debug, Clone)]
enum Operation {
    Write(Spot, u8, u16),
    Truncate(Spot, u16),
    Sparse(Spot, u8),
    Directory(Spot),
    Symlink(Spot, Spot),
    Link(Spot, Spot),
    LinkOutside(Spot),
    LinkInside(Spot),
    Rename(Spot, Spot),
    Remove(Spot),
    Mode(Spot, u32),
    Owner(Spot, u8),
    Xattr(Spot, u8),
    Acl(Spot, u8),
    Time(Spot, u8),
    Node(Spot, u8),
    Lock(Spot, u8),
}

type Spot = Vec<u8>;

fn spot() -> impl Strategy<Value = Spot> {
    proptest::collection::vec(0u8..5, 1..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation as O;
    let mode = prop_oneof![Just(0o000), Just(0o644), Just(0o755), Just(0o4755), Just(0o1777), Just(0o2750)];
    prop_oneof![
        6 => (spot(), any::<u8>(), any::<u16>()).prop_map(|(at, byte, size)| O::Write(at, byte, size)),
        1 => (spot(), any::<u16>()).prop_map(|(at, size)| O::Truncate(at, size)),
        1 => (spot(), any::<u8>()).prop_map(|(at, byte)| O::Sparse(at, byte)),
        5 => spot().prop_map(O::Directory),
        1 => (spot(), spot()).prop_map(|(to, at)| O::Symlink(to, at)),
        2 => (spot(), spot()).prop_map(|(from, to)| O::Link(from, to)),
        1 => spot().prop_map(O::LinkOutside),
        1 => spot().prop_map(O::LinkInside),
        3 => (spot(), spot()).prop_map(|(from, to)| O::Rename(from, to)),
        2 => spot().prop_map(O::Remove),
        1 => (spot(), mode).prop_map(|(at, mode)| O::Mode(at, mode)),
        1 => (spot(), any::<u8>()).prop_map(|(at, owner)| O::Owner(at, owner)),
        1 => (spot(), any::<u8>()).prop_map(|(at, value)| O::Xattr(at, value)),
        1 => (spot(), any::<u8>()).prop_map(|(at, value)| O::Acl(at, value)),
        2 => (spot(), any::<u8>()).prop_map(|(at, time)| O::Time(at, time)),
        1 => (spot(), any::<u8>()).prop_map(|(at, kind)| O::Node(at, kind)),
        1 => (spot(), any::<u8>()).prop_map(|(at, kind)| O::Lock(at, kind)),
    ]
}

/// Where a spot lies: its first name chooses the declared path, and some names are no text.
fn place(ground: &Ground, spot: &Spot) -> PathBuf {
    const NAMES: [&[u8]; 5] = [b"n0", b"n1", b"N1", b"new\nline", b"\xff\xfe"];
    let top = match spot[0] {
        0 | 1 => "/etc/app",
        2 => "/srv/app",
        3 => "/etc/one",
        _ => "/etc/two",
    };
    let below = spot[1..].iter().map(|&number| std::ffi::OsStr::from_bytes(NAMES[usize::from(number)]));
    ground.at(top).join(below.collect::<PathBuf>())
}

/// Does it where it can be done; what the file system refuses is no operation.
fn perform(ground: &Ground, operation: &Operation) {
    use Operation as O;
    let at = |spot: &Spot| place(ground, spot);
    let kind = |spot: &Spot| fs::symlink_metadata(at(spot)).map(|found| found.file_type()).ok();
    let plain = |spot: &Spot| kind(spot).is_some_and(|kind| kind.is_file() || kind.is_dir());
    let file = |spot: &Spot| kind(spot).is_some_and(|kind| kind.is_file());
    let free = |spot: &Spot| kind(spot).is_none_or(|kind| kind.is_file());
    let open = |spot: &Spot| fs::File::options().write(true).open(at(spot));
    drop(match operation {
        O::Write(spot, byte, size) if free(spot) => fs::write(at(spot), vec![*byte; usize::from(*size)]),
        O::Truncate(spot, size) if file(spot) => open(spot).and_then(|file| file.set_len(u64::from(*size))),
        O::Sparse(spot, byte) if free(spot) => fs::write(at(spot), "").and_then(|()| {
            let file = open(spot)?;
            file.set_len(1 << 19)?;
            file.write_all_at(&[*byte; 100], u64::from(*byte) << 10)
        }),
        O::Directory(spot) => fs::create_dir_all(at(spot)),
        O::Symlink(to, spot) => symlink(at(to), at(spot)),
        O::Link(from, to) => fs::hard_link(at(from), at(to)),
        O::LinkOutside(spot) => fs::hard_link(at(spot), ground.at("/etc/outside/linked")),
        O::LinkInside(spot) => fs::hard_link(ground.at("/etc/outside/file"), at(spot)),
        O::Rename(from, to) => fs::rename(at(from), at(to)),
        O::Remove(spot) => fs::remove_file(at(spot)).or_else(|_| fs::remove_dir_all(at(spot))),
        O::Mode(spot, mode) if plain(spot) => fs::set_permissions(at(spot), fs::Permissions::from_mode(*mode)),
        O::Owner(spot, owner) if is_root() => {
            std::os::unix::fs::lchown(at(spot), Some(u32::from(*owner)), Some(u32::from(*owner) + 1))
        }
        O::Xattr(spot, value) if plain(spot) => xattr::set(at(spot), format!("user.a{}", value % 3), &[*value]),
        O::Acl(spot, value) if plain(spot) => {
            let kind = if value % 2 == 0 { "system.posix_acl_access" } else { "system.posix_acl_default" };
            xattr::set(at(spot), kind, &acl(u32::from(*value)))
        }
        O::Time(spot, time) if plain(spot) => {
            let time = std::time::UNIX_EPOCH + std::time::Duration::new(u64::from(*time) * 9_999_999, 123_456_789);
            fs::File::open(at(spot)).and_then(|file| file.set_modified(time))
        }
        O::Node(spot, kind) => {
            let (kind, number) = match kind % 4 {
                0 | 1 => (FileType::Fifo, 0),
                2 => (FileType::Socket, 0),
                _ => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
            };
            rustix::fs::mknodat(rustix::fs::CWD, at(spot), kind, Mode::from_raw_mode(0o600), number).map_err(Into::into)
        }
        O::Lock(spot, kind) if is_root() && plain(spot) => {
            // Two thirds are unlocked again, or soon nothing could be done any more.
            let flags = [IFlags::IMMUTABLE, IFlags::APPEND, IFlags::empty(), IFlags::NODUMP, IFlags::empty()];
            lock(&at(spot), flags[usize::from(*kind) % flags.len()]);
            Ok(())
        }
        _ => Ok(()),
    });
}

/// `user::rw- user:ID:r-- group::r-- mask::r-- other::---`; see acl(5) and posix_acl_xattr.h.
fn acl(id: u32) -> Vec<u8> {
    let entries = [(1u16, 6u16, u32::MAX), (2, 4, id), (4, 4, u32::MAX), (16, 4, u32::MAX), (32, 0, u32::MAX)];
    let entries = entries.iter().flat_map(|(tag, permissions, id)| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    });
    [2, 0, 0, 0].into_iter().chain(entries).collect()
}

/// The declared paths, as the observer sees them.
fn look(ground: &Ground) -> std::collections::BTreeMap<PathBuf, String> {
    TOPS.iter().flat_map(|top| ground.observe(top)).collect()
}

/// Cases whose trees wait for the one rsync that compares them all.
struct Batch {
    folder: tempfile::TempDir,
    cases: usize,
}

impl Batch {
    fn new() -> Self {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for side in ["before", "after"] {
            fs::create_dir(folder.path().join(side)).unwrap();
        }
        Self { folder, cases: 0 }
    }

    /// Copies a declared tree for one side. It is cp(1)'s copy that is compared, so both sides lose alike what it loses.
    fn keep(&self, side: &str, case: usize, ground: &Ground) {
        let target = self.folder.path().join(side).join(case.to_string());
        fs::create_dir(&target).unwrap();
        let mut copy = Command::new("cp");
        copy.args(["-a", "--parents"]).current_dir(ground.at("/"));
        copy.args(TOPS.iter().map(|top| &top[1..]).filter(|top| fs::symlink_metadata(ground.at(top)).is_ok()));
        let copied = copy.arg(target).status();
        assert!(copied.unwrap().success());
    }

    fn compare(&self) {
        let side = |name: &str| format!("{}/", self.folder.path().join(name).display());
        let compared = Command::new("rsync")
            .args(["-aHAXnc", "--delete", "--itemize-changes", "--numeric-ids"])
            .args([side("before"), side("after")])
            .output()
            .unwrap();
        let found = String::from_utf8_lossy(&compared.stdout).into_owned();
        // The directories above what is declared are nobody's promise.
        let above = |line: &str| line.ends_with('/') && line.matches('/').count() < 3;
        let found: Vec<_> = found.lines().filter(|line| !above(line)).collect();
        assert!(compared.status.success() && found.is_empty(), "{found:#?}");
    }
}

/// The second slot, made on top of the first, says and holds what one made from nothing says and holds.
fn assert_as_if_made_afresh(ground: &Ground) {
    let fresh = Store::open(&ground.folder.path().join("fresh")).unwrap();
    let made = fresh.begin(&name("app"), &name("app"), "a test").paths(declared(&PATHS)).seal(&ground.machine());
    let made = made.unwrap().into_backup();
    made.verify().unwrap();
    let grown = ground.load();
    grown.verify().unwrap();
    let text = |entries: &[updates::state::Entry]| {
        let without_access = entries.iter().cloned().map(|mut entry| {
            entry.attributes = entry.attributes.map(|kept| updates::state::Attributes { atime: kept.mtime, ..kept });
            format!("{entry:?}")
        });
        without_access.collect::<Vec<_>>()
    };
    assert_eq!(text(&entries(&grown)), text(&entries(&made)));
    let held = |slot: &Path| -> Vec<_> {
        let files = slot.join("files");
        let seen = crate::ground::observe(&files);
        seen.into_keys().map(|path| path.strip_prefix(&files).unwrap().to_owned()).collect()
    };
    assert_eq!(held(grown.path()), held(made.path()));
}

fn try_cases(seed: u64) {
    let config = Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let operations = proptest::collection::vec(operation(), 0..30);
    let mut batch = Batch::new();
    for case in 0..CASES {
        let mut draw = || operations.new_tree(&mut runner).unwrap().current();
        let steps = [draw(), draw(), draw()];
        let ground = Ground::in_memory();
        ground.write("/etc/outside/file", "outside");
        fs::create_dir_all(ground.at("/srv/app")).unwrap();
        steps[0].iter().for_each(|operation| perform(&ground, operation));
        for later in &steps[1..] {
            let what = format!("seed {seed}, case {case}, then {later:#?} after {:#?}", steps[0]);
            let before = look(&ground);
            ground.try_seal(&PATHS).unwrap_or_else(|error| panic!("{what}: {error}")).into_backup();
            assert_as_if_made_afresh(&ground);
            // One pair a case is enough for rsync; it is the second, which stands on more ground.
            let compared = std::ptr::eq(later, &raw const steps[2]) && case % 4 == 0;
            if compared {
                batch.keep("before", case, &ground);
            }
            later.iter().for_each(|operation| perform(&ground, operation));
            let outside = fs::read(ground.at("/etc/outside/file")).unwrap();
            ground.restore().unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_same(&before, &look(&ground), &what);
            assert_eq!(fs::read(ground.at("/etc/outside/file")).unwrap(), outside, "{what}");
            assert!(ground.load().plan(&ground.machine()).unwrap().is_empty(), "{what}");
            if compared {
                batch.keep("after", case, &ground);
                batch.cases += 1;
            }
            // The next backup starts from other ground.
            later.iter().rev().for_each(|operation| perform(&ground, operation));
        }
        let unlocked = updates::fs::Root::open(ground.folder.path()).unwrap();
        updates::fs::remove_all(&unlocked, Path::new("/machine")).unwrap();
        if batch.cases == BATCH {
            batch.compare();
            batch = Batch::new();
        }
    }
    batch.compare();
}

// faults: 29 30 31 32 38 39 40 41 42 44
#[test]
fn any_operations_between_backup_and_restore_are_undone() {
    std::thread::scope(|scope| {
        (1..=THREADS).for_each(|seed| drop(scope.spawn(move || try_cases(seed))));
    });
}

fn entries(backup: &Backup) -> Vec<Entry> {
    backup.entries().unwrap().map(Result::unwrap).collect()
}
