//! A git working copy of a source, asked and told by the git program alone.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use updates_protocol::ModuleName;

use super::error::ReleaseError;

/// Changes that are named.
const NAMED: usize = 5;

/// A working copy, by its topmost folder.
pub(super) struct WorkingCopy {
    top: PathBuf,
}

impl WorkingCopy {
    /// The working copy around `from`, or around the module's folder, and the module's name.
    pub(super) fn find(from: &Path, module: &str) -> Result<(Self, ModuleName), ReleaseError> {
        let is_path = module.contains('/') || module == "." || module == "..";
        let no_module = |problem: String| ReleaseError::NoModule { place: module.to_owned(), problem };
        if !is_path {
            let name: ModuleName = module.parse().map_err(|error| no_module(format!("{error}")))?;
            let copy = Self::around(from)?;
            let folder = copy.top.join("modules").join(name.as_str());
            if !folder.is_dir() {
                return Err(no_module(format!("there is no folder {}", folder.display())));
            }
            return Ok((copy, name));
        }
        let folder = from.join(module).canonicalize().map_err(|error| no_module(error.to_string()))?;
        let copy = Self::around(&folder)?;
        let inside = folder.strip_prefix(&copy.top).ok().and_then(|inside| inside.strip_prefix("modules").ok());
        match inside.and_then(Path::to_str).map(str::parse::<ModuleName>) {
            Some(Ok(name)) => Ok((copy, name)),
            _ => Err(no_module(format!("a module lies directly in {}", copy.top.join("modules").display()))),
        }
    }

    fn around(place: &Path) -> Result<Self, ReleaseError> {
        let top = git(place, ["rev-parse", "--show-toplevel"]);
        let no_copy = |reason| ReleaseError::NoWorkingCopy { place: place.to_owned(), reason };
        let top = PathBuf::from(top.map_err(|error| match error {
            ReleaseError::Git { reason, .. } => no_copy(reason),
            other => other,
        })?);
        Ok(Self { top: top.canonicalize().map_err(|error| no_copy(error.to_string()))? })
    }

    /// Refuses changes that HEAD does not hold: of tracked files anywhere, and new files in the module.
    pub(super) fn require_clean(&self, module: &ModuleName) -> Result<(), ReleaseError> {
        let folder = format!("modules/{module}");
        let tracked = git(&self.top, ["status", "--porcelain", "--untracked-files=no"])?;
        let own = git(&self.top, ["status", "--porcelain", "--untracked-files=all", "--", &folder])?;
        let mut changes: Vec<String> =
            tracked.lines().chain(own.lines()).filter_map(|line| Some(line.get(3..)?.to_owned())).collect();
        changes.sort();
        changes.dedup();
        changes.truncate(NAMED);
        if changes.is_empty() { Ok(()) } else { Err(ReleaseError::NotClean { changes }) }
    }

    /// The commit that is checked out.
    pub(super) fn head(&self) -> Result<String, ReleaseError> {
        git(&self.top, ["rev-parse", "--verify", "--quiet", "HEAD^{commit}"])
    }

    /// The folder of the repository.
    pub(super) fn repository(&self) -> Result<PathBuf, ReleaseError> {
        let folder = git(&self.top, ["rev-parse", "--git-common-dir"])?;
        Ok(self.top.join(folder))
    }

    /// Refuses a tag that exists.
    pub(super) fn require_new(&self, tag: &str) -> Result<(), ReleaseError> {
        let listed = git(&self.top, ["tag", "--list", tag])?;
        if listed.is_empty() { Ok(()) } else { Err(ReleaseError::Exists(tag.to_owned())) }
    }

    /// Makes an annotated tag.
    pub(super) fn tag(&self, tag: &str, commit: &str, message: &str, sign: bool) -> Result<(), ReleaseError> {
        let kind = if sign { "--sign" } else { "--annotate" };
        git(&self.top, ["tag", kind, "--message", message, tag, commit]).map(drop)
    }

    /// The remote that the branch is pushed to.
    pub(super) fn remote(&self) -> String {
        let branch = git(&self.top, ["symbolic-ref", "--quiet", "--short", "HEAD"]).ok();
        let configured =
            branch.and_then(|branch| git(&self.top, ["config", "--get", &format!("branch.{branch}.remote")]).ok());
        configured.filter(|remote| !remote.is_empty()).unwrap_or_else(|| "origin".to_owned())
    }

    pub(super) fn unreadable(&self) -> ReleaseError {
        ReleaseError::Unreadable { place: self.top.clone() }
    }
}

/// Runs git in `folder`; what it printed, without the last line's end.
fn git<A: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = A>) -> Result<String, ReleaseError> {
    let mut command = Command::new("git");
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let failed = |reason: String| ReleaseError::Git { command: words.join(" "), reason };
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(failed(if said.is_empty() { output.status.to_string() } else { said }));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}
