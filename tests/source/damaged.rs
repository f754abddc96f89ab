//! A mirror or a source that is damaged: the next fetch brings the mirror back, and the guilty one is named.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use updates::source::FetchError;

use super::repository::module;
use super::{World, fetch, files_below, modules};

// Every way in which a killed or faulty machine may leave the mirror: the next fetch brings it back.
#[test]
fn a_damaged_mirror_is_made_anew() {
    type Damage = (&'static str, fn(&Path));
    let damages: [Damage; 7] = [
        ("truncated packs", |mirror| {
            for path in files_below(&mirror.join("objects")) {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
                let length = fs::metadata(&path).unwrap().len();
                fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(length / 2).unwrap();
            }
        }),
        ("no objects", |mirror| fs::remove_dir_all(mirror.join("objects")).unwrap()),
        ("empty references", |mirror| {
            for path in files_below(&mirror.join("refs/sources")) {
                fs::write(path, "").unwrap();
            }
        }),
        ("no HEAD", |mirror| fs::remove_file(mirror.join("HEAD")).unwrap()),
        ("config is noise", |mirror| fs::write(mirror.join("config"), b"[[[\0").unwrap()),
        ("an empty folder", |mirror| {
            fs::remove_dir_all(mirror).unwrap();
            fs::create_dir(mirror).unwrap();
        }),
        ("a file", |mirror| {
            fs::remove_dir_all(mirror).unwrap();
            fs::write(mirror, "x").unwrap();
        }),
    ];
    for (name, damage) in damages {
        let world = World::with_module();
        world.fetch();
        damage(&world.mirror_path());
        fs::write(world.mirror_path().join("updates-suspect"), "").unwrap_or_default();
        let fetched = fetch(&mut world.mirror(), &world.config()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let exported = world.export(&modules(&fetched.revision)[0]);
        exported.1.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!world.mirror_path().join("updates-suspect").exists(), "{name}");
        // The mirror, and what is remembered of sources.
        assert_eq!(fs::read_dir(world.mirror_path().parent().unwrap()).unwrap().count(), 2, "{name}");
    }
}

#[test]
fn damage_that_is_met_while_reading_is_said_and_repaired_by_the_next_fetch() {
    let world = World::with_module();
    let fetched = world.fetch();
    for path in files_below(&world.mirror_path().join("objects")) {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let mut content = fs::read(&path).unwrap();
        let middle = content.len() / 2;
        content.iter_mut().skip(middle).for_each(|byte| *byte ^= 0x55);
        fs::write(&path, content).unwrap();
    }
    // Whichever object the noise hit, what comes out is an error that says so.
    let read = fetched.revision.modules();
    let damaged = match read {
        Err(error) => error.to_string(),
        Ok(found) => match &found[0] {
            Err(rejected) => rejected.to_string(),
            Ok(module) => world.export(module).1.unwrap_err().to_string(),
        },
    };
    assert!(damaged.contains("is damaged and is rebuilt by the next fetch"), "{damaged}");
    let again = world.fetch();
    assert!(again.rebuilt.is_some_and(|reason| reason.contains("made anew")));
    assert_eq!(modules(&again.revision).len(), 1);
}

#[test]
fn a_mirror_of_many_packs_is_made_anew_with_what_the_source_has() {
    let world = World::with_module();
    world.fetch();
    let folder = world.mirror_path().join("objects/pack");
    let packs = || fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let pack = packs().find(|path| path.extension().is_some_and(|extension| extension == "pack")).unwrap();
    for copy in 0..250 {
        for extension in ["pack", "idx"] {
            let name = format!("pack-{copy:040x}.{extension}");
            fs::copy(pack.with_extension(extension), folder.join(name)).unwrap();
        }
    }
    let fetched = world.fetch();
    assert!(fetched.rebuilt.is_some_and(|reason| reason.contains("in 251 packs and was made anew")));
    assert_eq!(packs().count(), 2);
    assert_eq!(modules(&fetched.revision).len(), 1);
    assert_eq!(world.fetch().rebuilt, None);
}

#[test]
fn locks_and_half_packs_of_a_killed_fetch_are_removed() {
    let world = World::with_module();
    let fetched = world.fetch();
    let mirror = world.mirror_path();
    for path in files_below(&mirror.join("refs/sources")) {
        fs::write(path.with_extension("lock"), "").unwrap();
    }
    fs::write(mirror.join("packed-refs.lock"), "").unwrap();
    fs::write(mirror.join("objects/pack/pack_git2_0123"), "half").unwrap();
    fs::write(mirror.join("updates-suspect"), "").unwrap();
    fs::create_dir(world.folder.path().join("state/mirror.git.rebuild")).unwrap();
    world.origin.commit("main", &[module("hello", "1.1.0")]);
    let next = world.fetch();
    assert_ne!(next.revision, fetched.revision);
    assert_eq!(next.rebuilt, None);
    assert!(
        !files_below(&mirror)
            .iter()
            .any(|path| path.to_string_lossy().contains("lock") || path.to_string_lossy().contains("pack_git2_"))
    );
}

#[test]
fn a_damaged_mirror_stays_when_the_source_is_gone_too() {
    let world = World::with_module();
    world.fetch();
    fs::remove_dir_all(world.mirror_path().join("objects/pack")).unwrap();
    for path in files_below(&world.mirror_path().join("objects")) {
        fs::remove_file(path).unwrap();
    }
    fs::write(world.mirror_path().join("updates-suspect"), "").unwrap();
    fs::remove_dir_all(world.origin.path()).unwrap();
    let error = fetch(&mut world.mirror(), &world.config()).unwrap_err();
    assert!(matches!(error, FetchError::NoRepository { .. }), "{error}");
}

#[test]
fn a_source_that_is_itself_broken_is_blamed_and_the_mirror_kept() {
    let world = World::with_module();
    world.fetch();
    world.origin.commit("main", &[module("hello", "2.0.0"), module("world", "1.0.0")]);
    for path in files_below(&world.origin.path().join("objects")) {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "noise").unwrap();
    }
    let mut mirror = world.mirror();
    let error = fetch(&mut mirror, &world.config()).unwrap_err();
    assert!(matches!(error, FetchError::Broken { .. }), "{error:?}");
    let head = mirror.head(&world.config()).unwrap();
    assert_eq!(modules(&head).len(), 1);
}
