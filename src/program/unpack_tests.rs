//! Archives that are none, and archives that lead outside; each is refused, and nothing is made outside.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::*;

/// An entry of a test's archive. Names are written into the header as they are: the library's own writer refuses some.
fn entry(archive: &mut Builder<GzEncoder<Vec<u8>>>, name: &str, kind: EntryType, mode: u32, text: &str) {
    let mut header = Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    if kind == EntryType::Regular || kind == EntryType::Directory {
        header.set_size(text.len() as u64);
        header.set_cksum();
        archive.append(&header, text.as_bytes()).unwrap();
    } else {
        header.set_size(0);
        header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text.as_bytes());
        header.set_cksum();
        archive.append(&header, io::empty()).unwrap();
    }
}

type Entries<'a> = &'a [(&'a str, EntryType, u32, &'a str)];

fn unpacked(entries: Entries<'_>) -> (tempfile::TempDir, Result<(), UnpackError>) {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    entry(&mut archive, "./bin/updates", EntryType::Regular, 0o755, "program");
    for (name, kind, mode, text) in entries {
        entry(&mut archive, name, *kind, *mode, text);
    }
    let bytes = archive.into_inner().unwrap().finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("in")).unwrap();
    let result = unpack(bytes.as_slice(), &folder.path().join("in"));
    (folder, result)
}

#[test]
fn files_folders_and_links_that_stay_inside_are_unpacked() {
    let (folder, result) = unpacked(&[
        ("lib/", EntryType::Directory, 0o700, ""),
        ("lib/updates/a", EntryType::Regular, 0o600, "a"),
        ("lib/b", EntryType::Symlink, 0o777, "updates/../updates/a"),
    ]);
    result.unwrap();
    let at = |path: &str| folder.path().join("in").join(path);
    assert_eq!(fs::read_to_string(at("lib/b")).unwrap(), "a");
    let mode =
        |path: &str| std::os::unix::fs::PermissionsExt::mode(&at(path).metadata().unwrap().permissions()) & 0o7777;
    assert_eq!((mode("bin/updates"), mode("lib/updates/a"), mode("lib")), (0o755, 0o644, 0o755));
}

#[test]
fn whatever_leads_outside_or_is_no_plain_file_is_refused() {
    let cases: &[(&str, Entries<'_>)] = &[
        ("a parent", &[("../x", EntryType::Regular, 0o644, "x")]),
        ("a parent further down", &[("a/../../x", EntryType::Regular, 0o644, "x")]),
        ("an absolute name", &[("/tmp/x", EntryType::Regular, 0o644, "x")]),
        ("an absolute link", &[("a", EntryType::Symlink, 0o777, "/etc")]),
        ("a link outside", &[("a", EntryType::Symlink, 0o777, "../..")]),
        ("a link to nothing", &[("a", EntryType::Symlink, 0o777, "b")]),
        (
            "a link over a link",
            &[
                ("d/", EntryType::Directory, 0o755, ""),
                ("d/s", EntryType::Symlink, 0o777, ".."),
                ("d/t", EntryType::Symlink, 0o777, "s/.."),
            ],
        ),
        ("a file through a link", &[("a", EntryType::Symlink, 0o777, "bin"), ("a/x", EntryType::Regular, 0o644, "x")]),
        ("a file over a link", &[("a", EntryType::Symlink, 0o777, "bin"), ("a", EntryType::Regular, 0o644, "x")]),
        ("a name twice", &[("bin/updates", EntryType::Regular, 0o755, "other")]),
        ("setuid", &[("a", EntryType::Regular, 0o4755, "x")]),
        ("a hard link", &[("a", EntryType::Link, 0o644, "bin/updates")]),
        ("a device", &[("a", EntryType::Char, 0o644, "")]),
        ("a pipe", &[("a", EntryType::Fifo, 0o644, "")]),
        ("a depth", &[("1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", EntryType::Regular, 0o644, "x")]),
    ];
    for (what, entries) in cases {
        let (folder, result) = unpacked(entries);
        let error = result.expect_err(what);
        assert!(matches!(error, UnpackError::Refused { .. }), "{what}: {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{what} left something outside");
    }
}

#[test]
fn a_program_that_is_a_link_or_not_executable_is_none() {
    let mut archive = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    entry(&mut archive, "bin/updates", EntryType::Regular, 0o644, "program");
    let bytes = archive.into_inner().unwrap().finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(unpack(bytes.as_slice(), folder.path()), Err(UnpackError::NoProgram)));
}

#[test]
fn a_bomb_is_stopped_and_what_is_cut_short_or_no_archive_is_damaged() {
    const TOTAL: u64 = 4 << 20;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let mut header = Header::new_gnu();
    header.set_path("bin/updates").unwrap();
    header.set_size(TOTAL * 2);
    header.set_mode(0o755);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..=TOTAL >> 20 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    for bytes in [bomb.as_slice(), &bomb[..bomb.len() / 2], b"no archive", b""] {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack_at_most(TOTAL, bytes, folder.path()).unwrap_err();
        assert!(matches!(error, UnpackError::Damaged(_) | UnpackError::NoProgram), "{error}");
    }
}
