//! Why a database could not be saved or put back, in sentences that say what to do.

use updates_protocol::Database;

/// Which database, and what went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{database}: {problem}")]
pub struct DatabaseError {
    /// Which database.
    pub database: Box<Database>,
    /// What went wrong, and the way out where that is known.
    pub problem: String,
}
