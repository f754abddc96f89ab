//! A real git repository of modules, made by git itself with nothing of this machine's settings in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Module;

/// A repository with a work tree.
pub struct Source {
    folder: TempDir,
}

impl Source {
    /// An empty repository on `main`, without a commit.
    pub fn new() -> Self {
        let source = Self { folder: tempfile::Builder::new().prefix("updates-source-").tempdir().unwrap() };
        source.git(&["init", "--quiet", "--initial-branch", "main"]);
        source
    }

    /// A repository with these modules, committed.
    pub fn of(modules: &[&Module]) -> Self {
        let source = Self::new();
        for module in modules {
            source.put(module);
        }
        source.commit();
        source
    }

    pub fn path(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    pub fn modules(&self) -> PathBuf {
        self.folder.path().join("modules")
    }

    pub fn put(&self, module: &Module) -> &Self {
        module.write_into(&self.modules());
        self
    }

    pub fn remove(&self, module: &str) -> &Self {
        fs::remove_dir_all(self.modules().join(module)).unwrap();
        self
    }

    /// Writes a file anywhere in the work tree.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let file = self.folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self
    }

    pub fn link(&self, path: &str, target: &str) -> &Self {
        let file = self.folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(target, file).unwrap();
        self
    }

    /// Commits all that is there, and returns the commit's id.
    pub fn commit(&self) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", "Change modules"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Puts `modules` in and commits.
    pub fn publish(&self, modules: &[&Module]) -> String {
        for module in modules {
            self.put(module);
        }
        self.commit()
    }

    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        git(self.folder.path(), arguments)
    }
}

/// Runs git in `folder` and returns what it printed, trimmed.
#[track_caller]
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args(["-c", "core.autocrlf=false", "-c", "commit.gpgsign=false"])
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Author")
        .env("GIT_AUTHOR_EMAIL", "author@example.org")
        .env("GIT_AUTHOR_DATE", "2024-12-08T10:30:15Z")
        .env("GIT_COMMITTER_NAME", "Author")
        .env("GIT_COMMITTER_EMAIL", "author@example.org")
        .env("GIT_COMMITTER_DATE", "2024-12-08T10:30:15Z")
        .stdin(Stdio::null())
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
