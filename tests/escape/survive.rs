//! Lines 44 to 46, and 7: what of a module is left when it is over, whatever it did to stay.

use std::fs;

use crate::outside::Outside;
use crate::support::{Root, Watch, marker, until};
use crate::table::module;

#[test]
fn a_module_that_forks_twice_is_gone_at_its_end() {
    let (root, marker) = (Root::new(), marker());
    root.install(&module("stays", "default"));
    root.updates(&["runner", "stays", "--", "stay", "fork", "setsid", "ignore", "deathsig", &marker]).expect(0);
    Watch { root: root.path(), marker: Some(&marker) }.assert_none();
}

#[test]
fn the_tree_dies_with_its_supervisor_whatever_it_did_to_stay() {
    for ways in [&["deathsig"][..], &["deathsig", "setsid", "ignore"]] {
        let (root, marker) = (Root::new(), marker());
        root.install(&module("stays", "default"));
        let arguments = [&["runner", "stays", "--", "stay"], ways, &[marker.as_str()]].concat();
        let started = root.start(&arguments);
        // The word comes when signals are ignored and the death signal is taken back.
        until("the module says that it stays", || started.stderr().contains("staying"));
        let watch = Watch { root: root.path(), marker: Some(&marker) };
        assert!(!watch.alive().is_empty(), "{}", started.stderr());
        started.signal(rustix::process::Signal::KILL);
        assert_eq!(started.end().code, -9);
        until("the whole tree is dead", || watch.alive().is_empty());
        root.updates(&["recover"]).expect(0);
    }
}

#[test]
fn nothing_that_a_module_tried_is_left_on_the_machine() {
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let host = || fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let root = Root::new();
    root.install(&module("escape", "default"));
    let outside = Outside::new(&root);
    let before = (mounts(), host());
    let arguments: Vec<&str> = ["runner", "escape", "--", "all"].into_iter().chain(outside.arguments()).collect();
    root.updates(&arguments).expect(0);
    assert_eq!(before, (mounts(), host()));
    Watch { root: root.path(), marker: None }.assert_none();
    for place in ["/usr", "/etc", "/srv", "/var", "/var/lib", "/", "/run", "/dev/shm"] {
        let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".attempt-")).collect();
        assert!(left.is_empty(), "{place}: {left:?}");
    }
}
