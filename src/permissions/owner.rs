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

    /// The number of a user, given by name or number.
    pub fn user(&self, name: &str) -> Result<u32, OwnerError> {
        let system = |wanted: &Wanted<'_>| {
            let found = match wanted {
                Wanted::Number(number) => nix::unistd::User::from_uid((*number).into()),
                Wanted::Name(name) => nix::unistd::User::from_name(name),
            };
            found.ok().flatten().map(|user| user.uid.as_raw())
        };
        self.find("user", "etc/passwd", name, system)
    }

    /// The number of a group, given by name or number.
    pub fn group(&self, name: &str) -> Result<u32, OwnerError> {
        let system = |wanted: &Wanted<'_>| {
            let found = match wanted {
                Wanted::Number(number) => nix::unistd::Group::from_gid((*number).into()),
                Wanted::Name(name) => nix::unistd::Group::from_name(name),
            };
            found.ok().flatten().map(|group| group.gid.as_raw())
        };
        self.find("group", "etc/group", name, system)
    }

    fn find(
        &self,
        kind: &'static str,
        file: &str,
        name: &str,
        system: impl FnOnce(&Wanted<'_>) -> Option<u32>,
    ) -> Result<u32, OwnerError> {
        let wanted = name.parse().map_or(Wanted::Name(name), Wanted::Number);
        self.root
            .as_ref()
            .and_then(|root| listed(&root.join(file), &wanted))
            .or_else(|| system(&wanted))
            .ok_or_else(|| OwnerError { kind, name: name.to_owned() })
    }
}

/// A number is looked up as a name is: files of nobody are anybody's who gets that number next.
enum Wanted<'a> {
    Number(u32),
    Name(&'a str),
}

// passwd(5) and group(5) have the name in the first field and the number in the third.
fn listed(file: &Path, wanted: &Wanted<'_>) -> Option<u32> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?.parse().ok()?);
        let found = match wanted {
            Wanted::Number(wanted) => *wanted == number,
            Wanted::Name(wanted) => *wanted == name,
        };
        found.then_some(number)
    })
}
