//! How databases are reached: the machine's files, passwords, and what bounds a client's time.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;

use updates_protocol::{Database, Secret};

/// The way to a machine's databases.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// Where the machine that modules see lies on this one; `/` for this machine. SQLite files lie below it, and a socket
    /// directory is looked for below it first.
    pub root: &'a Path,
    /// Passwords by database.
    pub passwords: &'a Passwords,
    /// How long one step with a database may take: a dump, a load.
    pub timeout: Duration,
    /// Becomes readable when nobody wants the answer any more; asked before anything live is changed, never after.
    pub interrupt: Option<BorrowedFd<'a>>,
    /// Whether what is compared is read, whatever the statuses of its files say.
    pub by_content: bool,
}

impl<'a> Access<'a> {
    /// What ends a step that reads or writes all of a database, where it may still be given up.
    pub(super) fn long(&self) -> Bounds<'a> {
        Bounds { timeout: self.timeout, interrupt: self.interrupt }
    }

    /// What ends a question that a server answers at once.
    pub(super) fn short(&self) -> Bounds<'a> {
        Bounds { timeout: self.timeout.min(QUESTION), interrupt: self.interrupt }
    }

    /// The same once something live is changed: nobody's loss of interest stops that half way.
    pub(super) fn committed(self) -> Self {
        Self { interrupt: None, ..self }
    }
}

/// How long a server may take for a question.
const QUESTION: Duration = Duration::from_secs(60);

/// What ends a client that does not end by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<'a> {
    /// How long it may take.
    pub timeout: Duration,
    /// Becomes readable when nobody wants the answer any more.
    pub interrupt: Option<BorrowedFd<'a>>,
}

/// Passwords of databases, kept in memory alone.
#[derive(Debug, Clone, Default)]
pub struct Passwords(BTreeMap<String, Secret>);

impl Passwords {
    /// Remembers the password of each of these that has one.
    pub fn remember<'d>(&mut self, databases: impl IntoIterator<Item = &'d Database>) {
        for database in databases {
            if let Some(password) = database.password() {
                self.0.insert(identity(database), password.clone());
            }
        }
    }

    /// The password of a database: its own, or one that was remembered for the same one.
    pub fn of<'p>(&'p self, database: &'p Database) -> Option<&'p Secret> {
        database.password().or_else(|| self.0.get(&identity(database)))
    }
}

/// Everything but the password.
fn identity(database: &Database) -> String {
    serde_json::to_string(database).unwrap_or_else(|_| unreachable!("texts and numbers are JSON"))
}
