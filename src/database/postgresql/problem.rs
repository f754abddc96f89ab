//! Why a PostgreSQL database can't be saved or put back, in sentences that say what to do.

use std::path::PathBuf;

use crate::database::client::ClientError;
use crate::fs::PathError;

#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    #[error("there are no PostgreSQL client programs here (psql, pg_dump, pg_restore); install postgresql-client")]
    NoClient,
    #[error(
        "the server is version {server} and the newest pg_dump here is {client}, which refuses a newer server; \
        install postgresql-client-{server}"
    )]
    OldClient { server: u32, client: u32 },
    #[error(
        "it names neither host nor port, so it would be this machine's own server and not that of {}; name the socket's \
        directory as host", .0.display()
    )]
    Unnamed(PathBuf),
    #[error("the server does not answer; start it, or correct host and port ({0})")]
    Down(String),
    #[error("the server is starting or ending; try again when it is up ({0})")]
    NotReady(String),
    #[error(
        "the server does not let in role {role:?}; correct user and password, or allow it in pg_hba.conf ({message})"
    )]
    Refused { role: String, message: String },
    #[error("the server has no such database; create it, or correct the name")]
    Missing,
    #[error("role {role:?} can't connect to it: {message}")]
    NoAccess { role: String, message: String },
    #[error(
        "role {role:?} can connect to neither of the databases postgres and template1, which a restore needs to be able \
        to put another in its place; allow it in pg_hba.conf, or name an admin_user ({message})"
    )]
    NoMaintenance { role: String, message: String },
    #[error("the server is a standby; save databases on the server that it follows")]
    Standby,
    #[error("user and admin_user lead to different servers; name the host of the socket that both reach")]
    TwoServers,
    #[error("role {role:?} can't read {what}, so no dump would be whole; grant it SELECT there, or let it own them")]
    Unreadable { role: String, what: String },
    #[error(
        "role {role:?} could not put it back: {lacking}; give it what it lacks, or name an admin_user that is a superuser"
    )]
    Rights { role: String, lacking: String },
    #[error("the dump needs what the server lacks: {0}; create it again, then restore")]
    Lacking(String),
    #[error("the dump is not whole: {0}")]
    Truncated(String),
    #[error("{path}: {0}", path = .1.display())]
    File(std::io::Error, PathBuf),
    #[error("the server's answer was not understood: {0}")]
    Answer(#[from] serde_json::Error),
    #[error("{during}: {source}")]
    Client {
        during: &'static str,
        #[source]
        source: ClientError,
    },
    #[error(
        "role {role:?} can't end the sessions of {whose} there; end them and restore again, or grant it pg_signal_backend"
    )]
    Unendable { role: String, whose: String },
    #[error("its clients kept it in use; stop them, then restore again ({0})")]
    InUse(Box<Problem>),
    #[error("{0}; it refuses connections until ALTER DATABASE … ALLOW_CONNECTIONS true ({1})")]
    StillClosed(Box<Problem>, Box<Problem>),
    #[error("it is as it was saved, but the one that it replaced stays as {name:?}: {source}")]
    OldStays {
        name: String,
        #[source]
        source: Box<Problem>,
    },
    #[error(transparent)]
    Path(#[from] PathError),
}

impl Problem {
    pub fn client(during: &'static str) -> impl FnOnce(ClientError) -> Self {
        move |source| Self::Client { during, source }
    }

    /// What a client said when it failed, where one did.
    pub fn message(&self) -> String {
        match self {
            Self::Client { source: ClientError::Failed { message, .. }, .. } => message.clone(),
            other => other.to_string(),
        }
    }
}
