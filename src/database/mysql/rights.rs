//! Asked before a module runs: does this user see all of the database, and may it, or the admin, put it back?
//!
//! A server hides what a user has no right to: tables and triggers would be lacking in a dump without a word. So the
//! rights themselves are asked for, on the whole database.

use updates_protocol::ServerDatabase;

use super::connection::Connection;
use super::problem::Problem;
use super::quote::{literal, names};
use crate::database::Access;
use crate::fs::sha256;

/// What it takes to see and read everything in a database.
const TO_DUMP: [&str; 6] = ["SELECT", "SHOW VIEW", "TRIGGER", "EVENT", "ALTER ROUTINE", "LOCK TABLES"];
/// What it takes to make everything in a database and to move its tables.
const TO_RESTORE: [&str; 14] = [
    "SELECT",
    "INSERT",
    "CREATE",
    "DROP",
    "ALTER",
    "INDEX",
    "REFERENCES",
    "LOCK TABLES",
    "CREATE VIEW",
    "SHOW VIEW",
    "TRIGGER",
    "EVENT",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
];
/// Rights to make objects that run as somebody else: MariaDB's, MySQL's of 8.0 and of 8.2.
const TO_DEFINE: [&str; 4] = ["SUPER", "SET USER", "SET_USER_ID", "SET_ANY_DEFINER"];

/// The names of a database's two companions, the same ones each time. Names have at most 64 characters.
#[derive(Debug)]
pub(super) struct Names {
    pub live: String,
    pub beside: String,
    pub replaced: String,
    stem: String,
}

impl Names {
    pub fn of(live: &str) -> Self {
        let stem = format!("{}-{}", live.chars().take(40).collect::<String>(), &sha256(live.as_bytes())[..8]);
        let (beside, replaced) = (format!("{stem}-restored"), format!("{stem}-replaced"));
        Self { live: live.to_owned(), beside, replaced, stem }
    }

    /// What a GRANT names to allow both.
    fn pattern(&self) -> String {
        let escaped = self.stem.replace('\\', "\\\\").replace('_', "\\_").replace('%', "\\%").replace('`', "``");
        format!("`{escaped}-%`.*")
    }
}

/// The ways to a server that a backup and a restore need.
#[derive(Debug)]
pub(super) struct Ways {
    /// Dumps.
    pub user: Connection,
    /// Puts back: the user where its rights suffice, else the admin.
    pub keeper: Connection,
}

impl Ways {
    /// Finds the ways to save a database now and to put it back later.
    pub fn to_save(server: &ServerDatabase, access: &Access<'_>) -> Result<(Self, Vec<String>), Problem> {
        let user = Connection::user(server, access)?;
        let database = &server.database;
        let exists =
            format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};", literal(database));
        if user.ask(None, &exists, "ask for the database", access.short())?.trim() != "1" {
            return Err(Problem::Missing(user.user));
        }
        let lacking = lacking(&user, database, &TO_DUMP, access)?;
        if !lacking.is_empty() {
            return Err(Problem::Unreadable { user: user.user, database: database.clone(), lacking });
        }
        let name = literal(database);
        let referring = format!(
            "SELECT HEX(CONVERT(CONSTRAINT_SCHEMA USING utf8mb4)) FROM information_schema.REFERENTIAL_CONSTRAINTS
             WHERE UNIQUE_CONSTRAINT_SCHEMA = {name} AND CONSTRAINT_SCHEMA <> {name} LIMIT 1;"
        );
        if let Some(other) = ask_names(&user, &referring, access)?.pop() {
            return Err(Problem::Referred(other));
        }
        let sequence_defaults = format!(
            "SELECT HEX(CONVERT(CONCAT(TABLE_NAME, '.', COLUMN_NAME) USING utf8mb4)) FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = {name} AND COLUMN_DEFAULT REGEXP '(nextval|lastval|setval)[(]`' LIMIT 1;"
        );
        if let Some(column) = ask_names(&user, &sequence_defaults, access)?.pop() {
            return Err(Problem::SequenceDefault(column));
        }
        let definers = format!(
            "SELECT HEX(CONVERT(d USING utf8mb4)) FROM (
               SELECT DEFINER d FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {name}
               UNION SELECT DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = {name}
               UNION SELECT DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name}
               UNION SELECT DEFINER FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name}) x;"
        );
        let definers = ask_names(&user, &definers, access)?;
        let keeper = keeper(server, &user, &definers, access)?;
        Ok((Self { user, keeper }, definers))
    }

    /// Finds the ways to put a database back, which may be missing.
    pub fn to_restore(server: &ServerDatabase, definers: &[String], access: &Access<'_>) -> Result<Self, Problem> {
        let user = Connection::user(server, access)?;
        let keeper = keeper(server, &user, definers, access)?;
        Ok(Self { user, keeper })
    }
}

fn keeper(
    server: &ServerDatabase,
    user: &Connection,
    definers: &[String],
    access: &Access<'_>,
) -> Result<Connection, Problem> {
    let names = Names::of(&server.database);
    let identity = "SELECT CONCAT_WS('|', @@hostname, @@port, @@datadir, @@socket);";
    let refused = match may_keep(user, &names, definers, access) {
        Ok(()) => return Ok(user.clone()),
        Err(error) => error,
    };
    let Some(admin) = server.admin_user.as_deref().filter(|admin| *admin != user.user) else { return Err(refused) };
    let this = user.ask(None, identity, "ask which server it is", access.short())?;
    for way in Connection::admin(server, admin, access)? {
        if way.ask(None, identity, "ask which server it is", access.short())? == this {
            may_keep(&way, &names, definers, access)?;
            return Ok(way);
        }
    }
    Err(Problem::TwoServers)
}

fn may_keep(way: &Connection, names: &Names, definers: &[String], access: &Access<'_>) -> Result<(), Problem> {
    for database in [&names.live, &names.beside, &names.replaced] {
        let lacking = lacking(way, database, &TO_RESTORE, access)?;
        if !lacking.is_empty() {
            let (user, database, pattern) = (way.user.clone(), database.clone(), names.pattern());
            return Err(Problem::Rights { user, database, lacking, pattern });
        }
    }
    let state = "SELECT @@global.read_only, HEX(CONVERT(CURRENT_USER() USING utf8mb4));";
    let state = way.ask(None, state, "ask for the server's state", access.short())?;
    let (read_only, user) = state.trim().split_once('\t').ok_or_else(|| Problem::Answer(state.clone()))?;
    if read_only != "0" && read_only != "OFF" {
        return Err(Problem::ReadOnly);
    }
    let user = self::names(user).and_then(|mut names| names.pop()).unwrap_or_default();
    if let Some(other) = definers.iter().find(|definer| **definer != user)
        && lacking(way, &names.live, &TO_DEFINE, access)?.split(", ").count() == TO_DEFINE.len()
    {
        return Err(Problem::Definer { user: way.user.clone(), definer: other.clone() });
    }
    Ok(())
}

/// Which of these rights it has neither everywhere nor on a database, by itself or by a role that is on.
fn lacking(way: &Connection, database: &str, rights: &[&str], access: &Access<'_>) -> Result<String, Problem> {
    let question = |roles: &str| {
        format!(
            "SELECT DISTINCT PRIVILEGE_TYPE FROM (
               SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.USER_PRIVILEGES
               UNION ALL SELECT GRANTEE, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES
                 WHERE {} LIKE TABLE_SCHEMA) p
             WHERE REPLACE(GRANTEE, '''', '') = CURRENT_USER() {roles};",
            literal(database)
        )
    };
    let with_roles = question(
        "OR EXISTS (SELECT 1 FROM information_schema.ENABLED_ROLES
           WHERE REPLACE(GRANTEE, '''', '') IN (ROLE_NAME, CONCAT(ROLE_NAME, '@'), CONCAT(ROLE_NAME, '@%')))",
    );
    // Versions without roles have no such table.
    let during = "ask for rights";
    let answer = way.ask(None, &with_roles, during, access.short());
    let answer = answer.or_else(|_| way.ask(None, &question(""), during, access.short()))?;
    let has = |right: &str| answer.lines().any(|line| line.eq_ignore_ascii_case(right));
    Ok(rights.iter().copied().filter(|right| !has(right)).collect::<Vec<_>>().join(", "))
}

/// Asks for names, as `HEX(name)`.
pub(super) fn ask_names(way: &Connection, question: &str, access: &Access<'_>) -> Result<Vec<String>, Problem> {
    let answer = way.ask(None, question, "ask for names", access.short())?;
    names(&answer).ok_or(Problem::Answer(answer))
}
