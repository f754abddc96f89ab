//! Trees that no module has: each is refused quickly, by name, and the other modules of the source are installed.

use std::fs;
use std::path::Path;

use super::not_installed;
use super::support::{Module, Root, Source};

struct World {
    root: Root,
    source: Source,
}

impl World {
    fn new() -> Self {
        Self { root: Root::new(), source: Source::of(&[&Module::idle("good", "1.0.0"), &Module::idle("bad", "1.0.0")]) }
    }

    fn blob(&self, content: &[u8]) -> String {
        let file = self.root.temporary().join("object");
        fs::write(&file, content).unwrap();
        self.source.git(&["hash-object", "-w", file.to_str().unwrap()])
    }

    /// A tree of such entries: mode, name, object.
    fn tree(&self, entries: &[(&str, &[u8], &str)]) -> String {
        let mut sorted: Vec<_> = entries.to_vec();
        sorted.sort_by_key(|(mode, name, _)| [*name, if *mode == "40000" { b"/" } else { b"" }].concat());
        let mut content = Vec::new();
        for (mode, name, object) in sorted {
            content.extend_from_slice(mode.as_bytes());
            content.push(b' ');
            content.extend_from_slice(name);
            content.push(0);
            for at in (0..40).step_by(2) {
                content.push(u8::from_str_radix(&object[at..at + 2], 16).unwrap());
            }
        }
        let file = self.root.temporary().join("object");
        fs::write(&file, content).unwrap();
        self.source.git(&["hash-object", "--literally", "-t", "tree", "-w", file.to_str().unwrap()])
    }

    /// Puts these entries beside the index.json of `bad`, and commits.
    fn publish(&self, entries: &[(&str, &[u8], &str)]) {
        let of = |path: &str| self.source.git(&["rev-parse", &format!("HEAD:{path}")]);
        let (index, code) = (of("modules/good/index.json"), of("modules/good/index.py"));
        let own = self.blob(br#"{"metadata": {"schema_version": "1.0.0", "name": "bad"}}"#);
        let mut bad = vec![("100644", &b"index.json"[..], own.as_str()), ("100644", &b"index.py"[..], code.as_str())];
        bad.extend_from_slice(entries);
        let bad = self.tree(&bad);
        let good = self.tree(&[("100644", b"index.json", &index), ("100644", b"index.py", &code)]);
        let modules = self.tree(&[("40000", b"bad", &bad), ("40000", b"good", &good)]);
        let root = self.tree(&[("40000", b"modules", &modules)]);
        let commit = self.source.git(&["commit-tree", "-m", "Trees", &root]);
        self.source.git(&["update-ref", "refs/heads/main", &commit]);
    }

    #[track_caller]
    fn refused(&self, words: &str) {
        let (ran, record) = self.root.run(&["--source", self.source.path()]);
        ran.expect(0);
        let said = not_installed(&record, "bad");
        assert!(said.contains(words), "{said}");
        assert!(!said.contains(char::is_control), "{said:?}");
        assert!(!self.root.exists("/usr/local/lib/updates/modules/bad"));
        assert_eq!(self.root.installed_version("good"), "1.0.0");
    }
}

#[test]
fn a_tree_of_few_objects_and_endless_paths_is_refused() {
    let world = World::new();
    let mut below = world.tree(&[("100644", b"f", &world.blob(b"x"))]);
    for _ in 0..30 {
        let names: Vec<[u8; 1]> = (b'a'..=b'j').map(|letter| [letter]).collect();
        let entries: Vec<_> = names.iter().map(|name| ("40000", &name[..], below.as_str())).collect();
        below = world.tree(&entries);
    }
    world.publish(&[("40000", b"bomb", &below)]);
    world.refused("more than 10000 files");
}

#[test]
fn a_tree_that_is_too_deep_is_refused() {
    let world = World::new();
    let mut below = world.tree(&[("100644", b"f", &world.blob(b"x"))]);
    for _ in 0..100 {
        below = world.tree(&[("40000", b"d", &below)]);
    }
    world.publish(&[("40000", b"deep", &below)]);
    world.refused("deeper than");
}

#[test]
fn a_file_that_is_larger_than_a_module_is_refused_unread() {
    let world = World::new();
    let file = world.root.temporary().join("object");
    fs::File::create(&file).unwrap().set_len((256 << 20) + 1).unwrap();
    let blob = world.source.git(&["hash-object", "-w", file.to_str().unwrap()]);
    world.publish(&[("100644", b"large", &blob)]);
    world.refused("bytes together");
}

#[test]
fn names_and_links_that_lead_astray_are_refused() {
    let world = World::new();
    let (text, absolute, up) = (world.blob(b"x"), world.blob(b"/etc"), world.blob(b"../../../etc"));
    let empty = world.tree(&[("100644", b"f", &text)]);
    let long = [b'n'; 300];
    let cases: [(&str, &[u8], &str, &str); 7] = [
        ("40000", b".git", &empty, "not allowed"),
        ("100644", b"..", &text, "not allowed"),
        ("100644", b"line\nbreak", &text, "not allowed"),
        ("100644", b"\x1b[2Jclear", &text, "not allowed"),
        ("100644", &long, &text, "not allowed"),
        ("120000", b"absolute", &absolute, "leads out of"),
        ("120000", b"up", &up, "leads out of"),
    ];
    for (mode, name, object, words) in cases {
        let world = World { root: Root::new(), source: Source::of(&[&Module::idle("good", "1.0.0")]) };
        for object in [b"x".as_slice(), b"/etc", b"../../../etc"] {
            world.blob(object);
        }
        world.tree(&[("100644", b"f", &text)]);
        world.publish(&[(mode, name, object)]);
        world.refused(words);
    }
}

#[test]
fn a_link_through_a_link_and_names_that_differ_in_case_stay_what_they_are() {
    let world = World::new();
    let (inner, outer, text) = (world.blob(b"folder"), world.blob(b"first/file"), world.blob(b"x"));
    let folder = world.tree(&[("100644", b"file", &text)]);
    world.publish(&[
        ("40000", b"folder", &folder),
        ("40000", b"Folder", &folder),
        ("120000", b"first", &inner),
        ("120000", b"second", &outer),
    ]);
    let (ran, _) = world.root.run(&["--source", world.source.path()]);
    ran.expect(0);
    let module = world.root.modules().join("bad");
    assert_eq!(fs::read_link(module.join("second")).unwrap(), Path::new("first/file"));
    assert_eq!(fs::read(module.join("second")).unwrap(), b"x");
    assert!(module.join("Folder/file").is_file() && module.join("folder/file").is_file());
}

#[test]
fn a_source_of_endless_tags_is_refused_before_it_is_fetched() {
    let world = World::new();
    let head = world.source.git(&["rev-parse", "HEAD"]);
    let tags: String = (0..20_001).map(|tag| format!("{head} refs/tags/t{tag}\n")).collect();
    world.source.write(".git/packed-refs", tags);
    let (ran, record) = world.root.run(&["--source", world.source.path()]);
    ran.expect(3);
    assert!(super::refusal(&record).contains("more than 20000 tags"), "{record:#}");
    assert!(!world.root.exists("/usr/local/lib/updates/modules/good"));
}
