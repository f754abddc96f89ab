//! What a dump itself does not say: the database's own properties, and where the parts of the dump begin.

use serde::{Deserialize, Serialize};

use super::quote::{identifier, literal};

/// What a dump itself does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The server's version as it says it, such as `10.11.19-MariaDB`.
    pub version: String,
    /// Default character set.
    pub character_set: String,
    /// Default collation.
    pub collation: String,
    /// Where the events end and the tables begin, in bytes.
    pub tables_at: u64,
    /// Where the tables end, and triggers, routines and views begin.
    pub objects_at: u64,
    /// Where each part ends.
    pub ends: Vec<u64>,
    /// Every definer of a view, trigger, routine or event, as `user@host`.
    pub definers: Vec<String>,
}

impl Details {
    /// `CREATE DATABASE` or `ALTER DATABASE` with its properties.
    pub(super) fn statement(&self, verb: &str, name: &str) -> String {
        // The server's own words, but from a file: nothing else gets into the statement.
        let word = |text: &str| -> String { text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').collect() };
        format!(
            "{verb} {} CHARACTER SET {} COLLATE {};\n",
            identifier(name),
            word(&self.character_set),
            word(&self.collation)
        )
    }
}

/// Asks for what kind of thing a database has, by name.
pub(super) fn names_of(column: &str, table: &str, database: &str, condition: &str) -> String {
    format!(
        "SELECT HEX(CONVERT({column} USING utf8mb4)) FROM information_schema.{table} WHERE {}_schema = {} {condition} ORDER BY 1;\n",
        match table {
            "TABLES" | "VIEWS" => "table",
            "TRIGGERS" => "trigger",
            "ROUTINES" => "routine",
            _ => "event",
        },
        literal(database)
    )
}
