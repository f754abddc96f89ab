//! Whether the source's version of a module replaces the installed one: a question of versions alone.

use std::cmp::Ordering;

use updates_protocol::{Manifest, SchemaVersion};

use super::CatalogEntry;

/// What to do with a module of the source.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// It is not installed yet.
    Install,
    /// The source's version is newer.
    Update {
        /// What is installed.
        from: SchemaVersion,
        /// What the source has.
        to: SchemaVersion,
    },
    /// The versions are equal; whether the files are is not asked.
    Same,
    /// What is installed is newer; nothing is taken back because a repository is old.
    Older {
        /// What is installed.
        installed: SchemaVersion,
        /// What the source has.
        source: SchemaVersion,
    },
    /// It is disabled here, and its code stays as it is.
    DisabledLocally,
    /// What is installed has no version to compare with; says what to mend.
    Invalid(String),
}

/// Compares what is installed with the source's manifest.
pub fn compare(installed: Option<&CatalogEntry>, source: &Manifest) -> Decision {
    let (version, disabled) = match installed {
        None => return Decision::Install,
        Some(CatalogEntry::Installed(module)) => (&module.manifest.schema_version, module.disabled_locally),
        Some(CatalogEntry::Broken(broken)) => match &broken.version {
            Some(version) => (version, broken.disabled_locally),
            None if broken.disabled_locally => return Decision::DisabledLocally,
            None => return Decision::Invalid(broken.problem.clone()),
        },
    };
    if disabled {
        return Decision::DisabledLocally;
    }
    match source.schema_version.cmp(version) {
        Ordering::Greater => Decision::Update { from: version.clone(), to: source.schema_version.clone() },
        Ordering::Equal => Decision::Same,
        Ordering::Less => Decision::Older { installed: version.clone(), source: source.schema_version.clone() },
    }
}
