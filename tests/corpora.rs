//! The corpora of the fuzz targets, through the same properties as an ordinary test: what once broke never does again.
//! `make fuzz` looks for more.

#![allow(clippy::unwrap_used)]

#[path = "../fuzz/properties.rs"]
mod properties;

use std::fs;
use std::path::Path;

use updates_protocol::Manifest;

fn each(target: &str, property: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        eprintln!("{}", path.display()); // names the culprit when the property fails
        property(&bytes);
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn any_stream_is_cut_into_lines_that_are_read_or_refused() {
    each("frames", properties::frames);
}

#[test]
fn any_manifest_is_refused_or_means_the_same_when_printed() {
    each("manifest", properties::manifest);
}

#[test]
fn any_profile_is_refused_or_within_its_bounds() {
    each("profile", properties::profile);
}

#[test]
fn any_three_documents_keep_the_laws_of_the_merge() {
    each("merge", properties::merge);
}

#[test]
fn the_shipped_profiles_and_modules_are_accepted_by_the_same_parsers() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    for entry in fs::read_dir(checkout.join("sandbox-profiles")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        updates::profile::parse(&bytes).unwrap();
        properties::profile(&bytes);
    }
    for entry in fs::read_dir(checkout.join("modules")).unwrap() {
        let folder = entry.unwrap();
        let bytes = fs::read(folder.path().join("index.json")).unwrap();
        Manifest::parse(&bytes, &folder.file_name().to_str().unwrap().parse().unwrap()).unwrap();
        properties::manifest(&bytes);
    }
}
