//! Names of users and groups, as the machine that modules see knows them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::Machine;

/// Looks names up: below `--root` in that tree's own files when it has them, else by the system's name service.
#[derive(Debug)]
pub struct Owners {
    root: Option<PathBuf>,
}

/// A name that is not known.
#[derive(Debug, thiserror::Error)]
#[error("{kind} {name:?} does not exist on this machine")]
pub struct OwnerError {
    kind: &'static str,
    name: String,
}

impl Owners {
    /// The names of `machine`.
    pub fn of(machine: &Machine) -> Self {
        match machine {
            Machine::Host => Self { root: None },
            Machine::Root(root) => Self { root: Some(root.clone()) },
        }
    }

    /// The number of a user.
    pub fn user(&self, name: &str) -> Result<u32, OwnerError> {
        let system = || nix::unistd::User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
        self.find("user", "etc/passwd", name, system)
    }

    /// The number of a group.
    pub fn group(&self, name: &str) -> Result<u32, OwnerError> {
        let system = || nix::unistd::Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
        self.find("group", "etc/group", name, system)
    }

    fn find(
        &self,
        kind: &'static str,
        file: &str,
        name: &str,
        system: impl FnOnce() -> Option<u32>,
    ) -> Result<u32, OwnerError> {
        if let Ok(number) = name.parse::<u32>() {
            return Ok(number);
        }
        self.root
            .as_ref()
            .and_then(|root| listed(&root.join(file), name))
            .or_else(system)
            .ok_or_else(|| OwnerError { kind, name: name.to_owned() })
    }
}

// passwd(5) and group(5) have the name in the first field and the number in the third.
fn listed(file: &Path, name: &str) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == name)?.get(2)?.parse().ok()
}
