//! Artifacts for self-update, made of the package that was built: the same programs under another version.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use sha2::{Digest, Sha256};

use super::archive::{built, output};
use super::container::work;
use super::support::Source;

/// What stands before the version in the program; src/program/version.rs.
const MARK: &[u8] = b"updates-program-version=";

/// Offers `version` in the source's root `index.json`, and commits. `instead` is a script that stands in the place of the
/// program, which is `updates.real` beside it.
pub fn offer(source: &Source, version: &str, instead: Option<&str>) {
    let tree = tempfile::Builder::new().prefix("artifact-").tempdir_in(work()).unwrap();
    let tree = tree.path();
    output(std::process::Command::new("dpkg-deb").arg("--extract").arg(built()).arg(tree));
    let program = tree.join("usr/bin/updates");
    fs::write(&program, with_version(&fs::read(&program).unwrap(), version)).unwrap();
    if let Some(script) = instead {
        fs::rename(&program, tree.join("usr/bin/updates.real")).unwrap();
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let archive = tree.join("artifact.tar.gz");
    let mut tar = std::process::Command::new("tar");
    output(
        tar.arg("-C")
            .arg(tree.join("usr"))
            .args(["--owner=0", "--group=0", "-czf"])
            .arg(&archive)
            .args(["bin", "lib/updates"]),
    );
    let bytes = fs::read(&archive).unwrap();
    let index = json!({
        "metadata": {"schema_version": version},
        "artifacts": {"x86_64-linux": {
            "path": "artifacts/updates.tar.gz",
            "size": bytes.len(),
            "sha256": Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        }},
    });
    source.write("artifacts/updates.tar.gz", bytes).write("index.json", index.to_string()).commit();
}

fn with_version(program: &[u8], version: &str) -> Vec<u8> {
    let at =
        program.windows(MARK.len()).position(|bytes| bytes == MARK).expect("the program has its version behind a mark");
    let mut program = program.to_owned();
    let text = format!("{version};");
    program[at + MARK.len()..][..text.len()].copy_from_slice(text.as_bytes());
    program
}
