//! Which of the installed client programs fit a server: pg_dump refuses a server that is newer than itself, and what a
//! newer pg_restore sets an older server may not know.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::problem::Problem;
use crate::database::access::Bounds;
use crate::database::client::{Client, is_program, path_folders};

/// Where packages keep the programs of each version: Debian's and PGDG's folders.
const VERSIONS: [(&str, &str, &str); 2] = [("/usr/lib/postgresql", "", "bin"), ("/usr", "pgsql-", "bin")];

/// A folder with client programs of one version.
#[derive(Debug, Clone)]
pub(super) struct Tools {
    folder: PathBuf,
    major: Option<u32>,
}

impl Tools {
    /// All there are: those of `PATH` first, then each packaged version, the newest first.
    pub fn installed() -> Vec<Tools> {
        let from_path = path_folders().into_iter().filter(|folder| holds_all(folder) && !is_wrapped(folder));
        let from_path = from_path.map(|folder| Tools { major: ask_version(&folder), folder });
        let mut packaged = Vec::new();
        for (parent, prefix, below) in VERSIONS {
            for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
                let version = entry.file_name().to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
                let folder = entry.path().join(below);
                if version.is_some() && holds_all(&folder) {
                    packaged.push(Tools { folder, major: version });
                }
            }
        }
        packaged.sort_by_key(|tools| std::cmp::Reverse(tools.major));
        from_path.chain(packaged).collect()
    }

    /// Any, for what does not depend on the version.
    pub fn any() -> Result<Tools, Problem> {
        Self::installed().into_iter().next().ok_or(Problem::NoClient)
    }

    /// The ones for a server of that major version: the same, or else the newest if that is newer.
    pub fn of(server: u32) -> Result<Tools, Problem> {
        let mut all = Self::installed();
        if let Some(same) = all.iter().position(|tools| tools.major == Some(server)) {
            return Ok(all.swap_remove(same));
        }
        let newest = all.into_iter().max_by_key(|tools| tools.major).ok_or(Problem::NoClient)?;
        match newest.major {
            Some(client) if client < server => Err(Problem::OldClient { server, client }),
            _ => Ok(newest),
        }
    }

    /// Their major version, where they say it.
    pub fn major(&self) -> Option<u32> {
        self.major
    }

    /// Where a program is.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn holds_all(folder: &Path) -> bool {
    ["psql", "pg_dump", "pg_restore"].iter().all(|name| is_program(&folder.join(name)))
}

/// Whether these are Debian's wrapper, which chooses a version by the clusters of this machine.
fn is_wrapped(folder: &Path) -> bool {
    std::fs::canonicalize(folder.join("psql")).is_ok_and(|program| program.file_name() == Some("pg_wrapper".as_ref()))
}

/// `pg_dump (PostgreSQL) 15.18 (Debian …)`; `None` where it says anything else.
fn ask_version(folder: &Path) -> Option<u32> {
    let bounds = Bounds { timeout: Duration::from_secs(10), interrupt: None };
    let answer = Client::new(folder.join("pg_dump"), None).args(["--version"]).answer(bounds).ok()?;
    let answer = String::from_utf8(answer).ok()?;
    let version = answer.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
