//! Whatever is done to a tree between backup and restore, an observer that shares no code finds nothing afterwards.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::ground::{Ground, is_root};

/// Something that a module may do. Paths are a few names up to three deep, so that operations meet each other.
#[derive(Debug, Clone)]
enum Operation {
    Write(Spot, u8, u16),
    Truncate(Spot, u16),
    Directory(Spot),
    Symlink(Spot, Spot),
    Link(Spot, Spot),
    Rename(Spot, Spot),
    Remove(Spot),
    Mode(Spot, u32),
    Owner(Spot, u8),
    Xattr(Spot, u8),
    Fifo(Spot),
}

type Spot = Vec<u8>;

fn spot() -> impl Strategy<Value = Spot> {
    proptest::collection::vec(0u8..4, 1..4)
}

fn operation() -> impl Strategy<Value = Operation> {
    let mode = prop_oneof![Just(0o000), Just(0o644), Just(0o755), Just(0o4755), Just(0o1777), Just(0o2750)];
    prop_oneof![
        4 => (spot(), any::<u8>(), any::<u16>()).prop_map(|(at, byte, size)| Operation::Write(at, byte, size)),
        1 => (spot(), any::<u16>()).prop_map(|(at, size)| Operation::Truncate(at, size)),
        3 => spot().prop_map(Operation::Directory),
        1 => (spot(), spot()).prop_map(|(to, at)| Operation::Symlink(to, at)),
        2 => (spot(), spot()).prop_map(|(from, to)| Operation::Link(from, to)),
        2 => (spot(), spot()).prop_map(|(from, to)| Operation::Rename(from, to)),
        2 => spot().prop_map(Operation::Remove),
        1 => (spot(), mode).prop_map(|(at, mode)| Operation::Mode(at, mode)),
        1 => (spot(), any::<u8>()).prop_map(|(at, owner)| Operation::Owner(at, owner)),
        1 => (spot(), any::<u8>()).prop_map(|(at, value)| Operation::Xattr(at, value)),
        1 => spot().prop_map(Operation::Fifo),
    ]
}

/// Does it where it can be done; what the file system refuses is no operation.
fn perform(ground: &Ground, operation: &Operation) {
    let at = |spot: &Spot| -> PathBuf {
        let names = spot.iter().map(|number| format!("n{number}"));
        ground.at("/etc/app").join(names.collect::<PathBuf>())
    };
    let plain = |spot: &Spot| fs::symlink_metadata(at(spot)).is_ok_and(|found| found.is_file() || found.is_dir());
    let free = |spot: &Spot| fs::symlink_metadata(at(spot)).map_or(true, |found| found.is_file());
    drop(match operation {
        Operation::Write(spot, byte, size) if free(spot) => fs::write(at(spot), vec![*byte; usize::from(*size)]),
        Operation::Truncate(spot, size) if plain(spot) => {
            fs::File::options().write(true).open(at(spot)).and_then(|file| file.set_len(u64::from(*size)))
        }
        Operation::Directory(spot) => fs::create_dir(at(spot)),
        Operation::Symlink(to, spot) => symlink(at(to), at(spot)),
        Operation::Link(from, to) => fs::hard_link(at(from), at(to)),
        Operation::Rename(from, to) => fs::rename(at(from), at(to)),
        Operation::Remove(spot) => fs::remove_file(at(spot)).or_else(|_| fs::remove_dir_all(at(spot))),
        Operation::Mode(spot, mode) if plain(spot) => fs::set_permissions(at(spot), fs::Permissions::from_mode(*mode)),
        Operation::Owner(spot, owner) if is_root() => {
            std::os::unix::fs::lchown(at(spot), Some(u32::from(*owner)), Some(u32::from(*owner) + 1))
        }
        Operation::Xattr(spot, value) if plain(spot) => xattr::set(at(spot), format!("user.a{}", value % 3), &[*value]),
        Operation::Fifo(spot) => rustix::fs::mknodat(
            rustix::fs::CWD,
            at(spot),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .map_err(Into::into),
        _ => Ok(()),
    });
}

#[test]
fn any_operations_between_backup_and_restore_are_undone() {
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let operations = || proptest::collection::vec(operation(), 0..25);
    runner
        .run(&(operations(), operations(), operations()), |(first, second, third)| {
            let ground = Ground::new();
            first.iter().for_each(|operation| perform(&ground, operation));
            for later in [second, third] {
                let before = ground.observe("/etc/app");
                ground.seal(&["/etc/app"]).verify().unwrap();
                later.iter().for_each(|operation| perform(&ground, operation));
                ground.restore().unwrap();
                assert_eq!(ground.observe("/etc/app"), before);
                assert!(ground.load().plan(&ground.machine()).unwrap().is_empty());
                // The next backup starts from other ground.
                later.iter().rev().for_each(|operation| perform(&ground, operation));
            }
            Ok(())
        })
        .unwrap();
}
