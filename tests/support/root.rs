//! A temporary root: a machine for one test, gone with it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use super::{Module, Ran, Started, Tree};

/// Where the supervisor keeps its own things, relative to the root.
pub const OWN_PLACES: [&str; 2] = ["var/lib/updates", "run/updates"];

/// A root folder with what a test puts there.
pub struct Root {
    folder: TempDir,
    temporary: TempDir,
}

impl Root {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("updates-test-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let temporary = tempfile::Builder::new().prefix("updates-test-tmp-").tempdir().unwrap();
        let root = Self { folder, temporary };
        for path in ["etc", "srv", "var/lib"] {
            fs::create_dir_all(root.path().join(path)).unwrap();
        }
        root
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The program's TMPDIR.
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Where `path`, absolute on the machine that modules see, lies on this one.
    pub fn at(&self, path: &str) -> PathBuf {
        self.path().join(path.trim_start_matches('/'))
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let place = self.at(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, content).unwrap();
        self
    }

    /// Writes a file with an owner, a mode and a time of its own, so that each can be seen to come back.
    pub fn write_as(&self, path: &str, content: &str, mode: u32, owner: u32, modified: u64) -> &Self {
        self.write(path, content);
        let place = self.at(path);
        chown(&place, Some(owner), Some(owner)).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        let file = fs::File::options().write(true).open(&place).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).unwrap();
        self
    }

    pub fn folder(&self, path: &str) -> &Self {
        fs::create_dir_all(self.at(path)).unwrap();
        self
    }

    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    #[track_caller]
    pub fn read_json(&self, path: &str) -> Value {
        serde_json::from_str(&self.read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub fn exists(&self, path: &str) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    /// The tree at `path`.
    pub fn tree(&self, path: &str) -> Tree {
        Tree::of(&self.at(path), &[])
    }

    /// Everything but the supervisor's own places.
    pub fn machine(&self) -> Tree {
        Tree::of(self.path(), &OWN_PLACES)
    }

    /// Where modules are installed.
    pub fn modules(&self) -> PathBuf {
        self.at("/usr/local/lib/updates/modules")
    }

    /// Puts a module where installed ones are.
    pub fn install(&self, module: &Module) -> &Self {
        module.write_into(&self.modules());
        self
    }

    /// The installed version of a module, as its `index.json` has it.
    #[track_caller]
    pub fn installed_version(&self, module: &str) -> String {
        let index = self.read_json(&format!("/usr/local/lib/updates/modules/{module}/index.json"));
        index["metadata"]["schema_version"].as_str().unwrap().to_owned()
    }

    /// Runs `updates --root ROOT` with `arguments` to its end.
    #[track_caller]
    pub fn updates(&self, arguments: &[&str]) -> Ran {
        self.start(arguments).end()
    }

    /// Starts `updates --root ROOT` with `arguments`.
    #[track_caller]
    pub fn start(&self, arguments: &[&str]) -> Started {
        Started::new(self.path(), self.temporary(), arguments)
    }

    /// `updates run --json` with `arguments`: how it ended, and its record.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> (Ran, Value) {
        let ran = self.updates(&[&["--json", "run"], arguments].concat());
        let record = ran.json();
        (ran, record)
    }
}
