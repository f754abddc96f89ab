//! Why a backup, a slot or a restore failed, in sentences that say what to do.

use std::path::PathBuf;

use updates_protocol::{DeclaredPath, ModuleName};

use super::size::Size;
use crate::database::DatabaseError;
use crate::fs::PathError;
use crate::service::ServiceError;

/// A backup that could not be taken or a slot that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A system call failed.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A database can't be saved or put back.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// systemd could not be asked.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Units are to be saved or put back where there is no systemd.
    #[error("there is no systemd here, so services can be neither saved nor put back")]
    NoSystemd,
    /// A tree deeper than is walked.
    #[error("below {0} paths are longer than 65536 bytes; remove what is nested so deeply")]
    TooDeep(DeclaredPath),
    /// A component above a declared path is a symbolic link.
    #[error("{} leads through the symbolic link {}; declare {} instead", declared.display(), link.display(), instead.display())]
    ThroughLink {
        /// The path as declared.
        declared: PathBuf,
        /// The link on the way.
        link: PathBuf,
        /// What to declare.
        instead: PathBuf,
    },
    /// A declared path is a place of the supervisor itself.
    #[error("{0} belongs to the supervisor and can't be declared; declare what the module itself writes")]
    Reserved(DeclaredPath),
    /// A file was written to each time it was read.
    #[error("{} changes while it is read; stop what writes to it, or declare it volatile", .0.display())]
    Changing(PathBuf),
    /// Files come and go faster than they can be listed.
    #[error("{} changes while it is listed; stop what writes to it, or declare it volatile", .0.display())]
    Vanishing(PathBuf),
    /// It was told to stop.
    #[error("the backup of {0} was interrupted; the former one stands")]
    Interrupted(ModuleName),
    /// The store's file system is too full.
    #[error("the backup of {module} needs {} and {} has {} free; free some or move it", Size(*need), store.display(), Size(*have))]
    NoSpace {
        /// Whose backup.
        module: ModuleName,
        /// Bytes needed.
        need: u64,
        /// Bytes free.
        have: u64,
        /// Where.
        store: PathBuf,
    },
    /// The store's file system has too few inodes.
    #[error("the backup of {module} needs {need} inodes and {} has {have}; free some or move it", store.display())]
    NoInodes {
        /// Whose backup.
        module: ModuleName,
        /// Inodes needed.
        need: u64,
        /// Inodes free.
        have: u64,
        /// Where.
        store: PathBuf,
    },
    /// The slot can't be trusted.
    #[error("the slot {} can't be used: {damage}", slot.display())]
    Damaged {
        /// Which slot.
        slot: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
}

impl StateError {
    /// Whether a slot is sound as far as is known, and only a newer program can read it.
    pub fn is_newer_format(&self) -> bool {
        matches!(self, StateError::Damaged { damage: Damage::NewerFormat(_), .. })
    }
}

/// What is wrong with a slot.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// It is a link or a file.
    #[error("it is not a directory of its own")]
    NotADirectory,
    /// There is no manifest.
    #[error("it has no manifest.json")]
    NoManifest,
    /// A later version wrote it.
    #[error("it has format {0} and this program reads format {known}; use the newer program", known = super::manifest::FORMAT)]
    NewerFormat(u64),
    /// The manifest ends early or holds more than a manifest.
    #[error("manifest.json is cut off or has been added to")]
    Truncated,
    /// The manifest can't be read.
    #[error("manifest.json can't be read: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The manifest's bytes are not those that were written.
    #[error("manifest.json does not match its own checksum")]
    Checksum,
    /// The manifest says something that this program never wrote.
    #[error("manifest.json, line {line}: {source}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// An entry lies outside of the declared paths or out of order.
    #[error("manifest.json lists {} where it can't be", .0.display())]
    Stray(PathBuf),
    /// It belongs to another name.
    #[error("it was made for {0}")]
    OtherModule(ModuleName),
    /// Something listed is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// Something is there that is not listed.
    #[error("{} does not belong to it", .0.display())]
    Extra(PathBuf),
    /// A dump is not what was saved.
    #[error(transparent)]
    Database(DatabaseError),
    /// What is there is not what was saved.
    #[error("{} is not what was saved", .0.display())]
    Differs(PathBuf),
}

/// A restore that did not put everything back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The slot can't be used, or the machine can't be written; nothing was changed.
    #[error("nothing was restored: {0}")]
    Refused(#[source] StateError),
    /// Some of it is not back. Applying a fresh plan goes on with that.
    #[error("{}{}", number_left(*total), failures.first().map(ToString::to_string).unwrap_or_default())]
    Incomplete {
        /// At most [`super::MAX_FAILURES`] of them, in the order in which they failed.
        failures: Vec<RestoreProblem>,
        /// How many there are.
        total: usize,
        /// What was done.
        restored: super::Restored,
    },
}

/// How much is not back; what follows names the first.
fn number_left(total: usize) -> String {
    if total == 1 { "one thing is not back: ".to_owned() } else { format!("{total} things are not back, the first: ") }
}

/// Something that is not back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreProblem {
    /// A path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The slot itself, which was sound when it was verified just before.
    #[error("the rest was not put back: {0}")]
    Slot(#[source] Box<StateError>),
    /// A unit, in a sentence.
    #[error("{0}")]
    Unit(String),
}
