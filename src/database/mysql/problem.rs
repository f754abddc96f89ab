//! Why a MySQL or MariaDB database can't be saved or put back, in sentences that say what to do.

use std::path::PathBuf;

use crate::database::client::ClientError;
use crate::fs::PathError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("there is no {0} here; install mariadb-client or mysql-client")]
    NoClient(&'static str),
    #[error(
        "it names neither host nor port, so it would be this machine's own server and not that of {}; name the socket \
        as host", .0.display()
    )]
    Unnamed(PathBuf),
    #[error("the server does not answer; start it, or correct host and port ({0})")]
    Down(String),
    #[error("the server does not let in user {user:?}; correct user and password ({message})")]
    Refused { user: String, message: String },
    #[error("the server has no such database that user {0:?} may see; create it, or correct the name or the rights")]
    Missing(String),
    #[error("the server is read-only, as a replica is; save databases on the server that it follows")]
    ReadOnly,
    #[error("user and admin_user lead to different servers; name the socket that both reach as host")]
    TwoServers,
    #[error(
        "user {user:?} lacks {lacking} on {database:?}, so that no dump would be sure to be whole; grant it that, or \
        ALL PRIVILEGES"
    )]
    Unreadable { user: String, database: String, lacking: String },
    #[error(
        "user {user:?} could not put it back: it lacks {lacking} on {database:?}; grant it ALL PRIVILEGES on {pattern}, \
        where a restore builds its copy, or name an admin_user that has them everywhere"
    )]
    Rights { user: String, database: String, lacking: String, pattern: String },
    #[error(
        "user {user:?} could not put it back: it has objects whose definer is {definer}, which only a user with SUPER or \
        SET USER can make; name such an admin_user"
    )]
    Definer { user: String, definer: String },
    #[error(
        "foreign keys of the database {0:?} refer to it, and they can't follow a restore; save both as one database"
    )]
    Referred(String),
    #[error(
        "a row of it makes a statement of {longest} bytes, and the server takes {limit}; set max_allowed_packet to \
        {need} at least"
    )]
    LongRow { longest: u64, limit: u64, need: u64 },
    #[error("it has system-versioned tables, whose history {0} can't dump; install mariadb-client 10.11 or later")]
    NoHistory(String),
    #[error("its tables can't be read; end the client that keeps them locked ({0})")]
    Locked(#[source] ClientError),
    #[error(
        "the column {0} takes its default from a sequence, whose name stands in it with that of the database, so that no \
        copy of it can be loaded; make it AUTO_INCREMENT"
    )]
    SequenceDefault(String),
    #[error("the dump is not whole: {0}")]
    Truncated(&'static str),
    #[error("{path}: {0}", path = .1.display())]
    File(std::io::Error, PathBuf),
    #[error("the server's answer was not understood: {0}")]
    Answer(String),
    #[error("{during}: {source}")]
    Client {
        during: &'static str,
        #[source]
        source: ClientError,
    },
    #[error("its clients kept it in use; stop them, then restore again ({0})")]
    InUse(Box<Problem>),
    #[error("{0}; and its triggers, which had been taken off, could not be put on again ({1})")]
    WithoutTriggers(Box<Problem>, Box<Problem>),
    #[error("its tables are as they were saved, but not all views, triggers, routines and events; restore again ({0})")]
    Half(Box<Problem>),
    #[error("it is as it was saved, but what was replaced stays as {name:?}: {source}")]
    OldStays {
        name: String,
        #[source]
        source: Box<Problem>,
    },
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Problem {
    /// The server's or the client library's number for an error: `ERROR 1045 (28000)`, `Got error: 2002`.
    pub fn number(&self) -> Option<u32> {
        let Self::Client { source: ClientError::Failed { message, .. }, .. } = self else { return None };
        let after = ["ERROR ", "error: "].iter().find_map(|word| Some(message.split_once(word)?.1))?;
        after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }
}
