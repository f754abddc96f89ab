//! Programs of other versions, and artifacts of them.
//!
//! A program of version 0.2.0 is the one under test with `0.2.0` written over the mark that holds its version: what it
//! says of itself is what any program of that version would say. An artifact is a script that executes one of these, so
//! that it is small and can fail as a test wants.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

const MARK: &str = "updates-program-version=";
/// The version of the program under test; the others have to be as long.
pub const OWN: &str = env!("CARGO_PKG_VERSION");

static PROGRAMS: LazyLock<Mutex<BTreeMap<String, PathBuf>>> = LazyLock::new(Mutex::default);

/// Where the programs of this process lie; the folder goes with the next test process that finds it without its owner.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let target = Path::new(env!("CARGO_BIN_EXE_updates")).parent().unwrap();
    for entry in fs::read_dir(target).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let owner = name.strip_prefix("test-programs-").map(|pid| Path::new("/proc").join(pid));
        if owner.is_some_and(|owner| !owner.exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = target.join(format!("test-programs-{}", std::process::id()));
    fs::create_dir_all(folder.join("bin")).unwrap();
    // Beside the programs, as where they are built: everything else comes from the checkout then.
    fs::hard_link(target.join("updates-runner"), folder.join("bin/updates-runner")).unwrap();
    folder
});

/// The program of `version`.
pub fn program(version: &str) -> PathBuf {
    assert_eq!(version.len(), OWN.len(), "a version is written over {OWN}");
    let mut programs = PROGRAMS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(path) = programs.get(version) {
        return path.clone();
    }
    let path = FOLDER.join("bin").join(format!("updates-{version}"));
    let status = Command::new("strip").arg("-o").arg(&path).arg(env!("CARGO_BIN_EXE_updates")).status().unwrap();
    assert!(status.success());
    let mut bytes = fs::read(&path).unwrap();
    let old = format!("{MARK}{OWN};");
    let found: Vec<_> = memchr_all(&bytes, old.as_bytes());
    assert_eq!(found.len(), 1, "the version stands in the program once");
    bytes[found[0] + MARK.len()..][..version.len()].copy_from_slice(version.as_bytes());
    fs::write(&path, bytes).unwrap();
    programs.insert(version.to_owned(), path.clone());
    path
}

fn memchr_all(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    bytes.windows(text.len()).enumerate().filter(|(_, window)| *window == text).map(|(at, _)| at).collect()
}

/// An archive, and what an `index.json` says of it.
pub struct Artifact {
    pub bytes: Vec<u8>,
    pub sha256: String,
}

impl Artifact {
    pub fn of(bytes: Vec<u8>) -> Self {
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { bytes, sha256 }
    }

    /// An archive whose `bin/updates` holds `content`.
    pub fn with(content: &[u8]) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("bin/updates");
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self::of(pack(folder.path()))
    }

    /// A script that does `first`, and then executes the program of `version`.
    pub fn script(version: &str, first: &str) -> Self {
        Self::with(format!("#!/bin/bash\n{first}\nexec {} \"$@\"\n", program(version).display()).as_bytes())
    }

    /// A version that works.
    pub fn good(version: &str) -> Self {
        Self::script(version, "")
    }

    /// A version whose self-test passes, and that does `instead` of anything else.
    pub fn only_tests(version: &str, instead: &str) -> Self {
        Self::script(version, &format!("case \" $* \" in *' self-test '*) ;; *) {instead} ;; esac"))
    }

    /// The stanza of an `index.json` that names it by a path of the repository.
    pub fn stanza(&self, path: &str) -> Value {
        json!({"path": path, "size": self.bytes.len(), "sha256": self.sha256})
    }
}

/// A folder as `make artifact` packs it.
pub fn pack(folder: &Path) -> Vec<u8> {
    let tar = ["--create", "--gzip", "--file=-", "--owner=0", "--group=0", "--directory"];
    let output = Command::new("tar").args(tar).arg(folder).arg(".").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
