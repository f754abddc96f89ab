//! Which version is to run: the one that `current` names, when it is newer than the installed program and can be trusted.

use std::fmt;

use updates_protocol::SchemaVersion;

use crate::config::Layout;
use crate::program::{Mistrust, Place};

/// What is to run.
#[derive(Debug)]
pub(in crate::supervisor) enum Choice {
    /// The installed program.
    Installed(Why),
    /// This version.
    Version(SchemaVersion),
}

/// Why the installed program is.
#[derive(Debug)]
pub(in crate::supervisor) enum Why {
    /// There is no other.
    Alone,
    /// The other one is not newer.
    NotNewer(SchemaVersion),
    /// The other one can't be told, or could be somebody else's.
    Mistrusted(Mistrust),
}

impl Why {
    /// Whether a person has to know.
    pub(in crate::supervisor) fn is_wrong(&self) -> bool {
        matches!(self, Why::Mistrusted(_))
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Alone => f.write_str("it is the installed program, and no self-update has taken its place"),
            Why::NotNewer(other) => write!(f, "version {other}, which a self-update left, is not newer"),
            Why::Mistrusted(error) => write!(f, "the version that a self-update left is not executed: {error}"),
        }
    }
}

/// Chooses between the installed program, of version `installed`, and what `current` names.
pub(in crate::supervisor) fn choose(layout: &Layout, installed: &SchemaVersion) -> Choice {
    let place = Place::new(layout);
    let current = match place.current() {
        Ok(None) => return Choice::Installed(Why::Alone),
        Ok(Some(current)) => current,
        Err(error) => return Choice::Installed(Why::Mistrusted(error)),
    };
    if current <= *installed {
        return Choice::Installed(Why::NotNewer(current));
    }
    match place.examine(&current) {
        Ok(()) => Choice::Version(current),
        Err(error) => Choice::Installed(Why::Mistrusted(error)),
    }
}
