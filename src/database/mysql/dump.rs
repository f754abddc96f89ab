//! A dump: written in four parts, each with its own end, and checked by these ends.
//!
//! The parts are loaded at different times: events last, since a copy of an event would run; triggers, routines and views
//! once beside the live database and once in it. The file as a whole loads by hand like any other dump.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use updates_protocol::ServerDatabase;

use super::connection::Connection;
use super::details::{Details, names_of};
use super::problem::Problem;
use super::quote::literal;
use super::rights::{Ways, ask_names};
use crate::database::client::{Client, ClientError};
use crate::database::{Access, Dump};
use crate::fs::{Root, digest};

/// How each part ends; the time may follow.
const END: &[u8] = b"\n-- Dump completed";

/// The parts, as mysqldump is to be called for them.
struct Parts {
    versioned: bool,
    views: Vec<String>,
    transactional: bool,
    maria: bool,
}

impl Parts {
    fn ask(way: &Connection, server: &ServerDatabase, version: &str, access: &Access<'_>) -> Result<Self, Problem> {
        let database = &server.database;
        let name = literal(database);
        let engines = format!(
            "SELECT COUNT(*) FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
             WHERE TABLE_SCHEMA = {name} AND TABLE_TYPE <> 'VIEW' AND COALESCE(e.TRANSACTIONS, '') <> 'YES';"
        );
        let versioned = names_of("TABLE_NAME", "TABLES", database, "AND TABLE_TYPE = 'SYSTEM VERSIONED'");
        Ok(Self {
            versioned: !ask_names(way, &versioned, access)?.is_empty(),
            views: ask_names(way, &names_of("TABLE_NAME", "VIEWS", database, ""), access)?,
            transactional: way.ask(None, &engines, "ask for engines", access.short())?.trim() == "0",
            maria: version.contains("MariaDB"),
        })
    }

    fn program(&self) -> &'static [&'static str] {
        if self.maria { &["mariadb-dump", "mysqldump"] } else { &["mysqldump", "mariadb-dump"] }
    }

    /// The client with what holds for every part.
    fn client(&self, way: &Connection) -> Result<Client, Problem> {
        let mut client = way.client(self.program())?.args([
            "--comments",
            // Without its time a dump of the same content is the same file, which slots keep once.
            "--skip-dump-date",
            "--hex-blob",
            "--quick",
            "--no-tablespaces",
            "--skip-force",
            "--max-allowed-packet=1G",
        ]);
        if !self.maria {
            client = client.args(["--loose-set-gtid-purged=OFF", "--loose-column-statistics=0"]);
        }
        Ok(client)
    }

    /// Events, tables, triggers and routines, views; `rows` for the second.
    fn all(&self, way: &Connection, database: &str, rows: bool) -> Result<Vec<Client>, Problem> {
        let nothing = ["--no-data", "--no-create-info", "--single-transaction"];
        let events = self.client(way)?.args(nothing).args(["--skip-triggers", "--events", "--", database]);
        // A snapshot where every engine has one; else what writes to the tables waits until they are dumped.
        let consistent = if self.transactional { "--single-transaction" } else { "--lock-tables" };
        let mut tables = self.client(way)?.args([consistent, "--skip-triggers"]);
        if self.versioned {
            tables = tables.args(["--dump-history"]);
        }
        if !rows {
            tables = tables.args(["--where=1=0"]);
        }
        tables = tables.args(self.views.iter().map(|view| format!("--ignore-table={database}.{view}")));
        let tables = tables.args(["--", database]);
        let objects = self.client(way)?.args(nothing).args(["--triggers", "--routines", "--", database]);
        let mut parts = vec![events, tables, objects];
        if !self.views.is_empty() {
            let views =
                self.client(way)?.args(["--no-data", "--single-transaction", "--skip-triggers", "--", database]);
            parts.push(views.args(&self.views));
        }
        Ok(parts)
    }
}

fn client_failed(error: ClientError, parts: &Parts) -> Problem {
    let text = error.to_string();
    if parts.versioned && text.contains("dump-history") {
        return Problem::NoHistory(text);
    }
    Problem::Client { during: "dump", source: error }
}

fn version(way: &Connection, access: &Access<'_>) -> Result<String, Problem> {
    Ok(way.ask(None, "SELECT VERSION();", "ask for the version", access.short())?.trim().to_owned())
}

/// Everything that a dump does, but without rows.
pub(super) fn rehearse(way: &Connection, server: &ServerDatabase, access: &Access<'_>) -> Result<(), Problem> {
    let parts = Parts::ask(way, server, &version(way, access)?, access)?;
    for client in parts.all(way, &server.database, false)? {
        let nothing = File::options().write(true).open("/dev/null");
        let nothing = nothing.map_err(|error| Problem::File(error, "/dev/null".into()))?;
        // There are no rows to wait for, only a table that somebody keeps locked: the server itself would wait a day.
        client.write_to(nothing, access.short()).map_err(|error| match error {
            ClientError::TooLong { .. } => Problem::Locked(error),
            error => client_failed(error, &parts),
        })?;
    }
    Ok(())
}

/// Dumps a database into the new file `db_NUMBER.sql` of `directory`.
pub(super) fn dump(
    server: &ServerDatabase,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Dump, Problem> {
    let (ways, definers) = Ways::to_save(server, access)?;
    let way = &ways.user;
    let version = version(way, access)?;
    let properties = format!(
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME, @@global.max_allowed_packet
         FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};",
        literal(&server.database)
    );
    let properties = way.ask(None, &properties, "ask for its properties", access.short())?;
    let [character_set, collation, limit] = properties.trim().split('\t').collect::<Vec<_>>()[..] else {
        return Err(Problem::Answer(properties));
    };
    let limit: u64 = limit.parse().map_err(|_| Problem::Answer(properties.clone()))?;

    let name = format!("db_{number}.sql");
    let path = directory.join(&name);
    let failed = |error| Problem::File(error, path.clone());
    let mut file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    let parts = Parts::ask(way, server, &version, access)?;
    let mut ends = Vec::new();
    for client in parts.all(way, &server.database, true)? {
        // The descriptors share one position, so each part follows the last.
        let part = file.try_clone().map_err(failed)?;
        client.write_to(part, access.long()).map_err(|error| client_failed(error, &parts))?;
        ends.push(file.seek(SeekFrom::End(0)).map_err(failed)?);
    }
    file.sync_all().map_err(failed)?;
    let [tables_at, objects_at, ..] = ends[..] else { return Err(Problem::Truncated("it has no parts")) };
    let (character_set, collation) = (character_set.to_owned(), collation.to_owned());
    let details = Details { version, character_set, collation, tables_at, objects_at, ends, definers };
    verify(&path, &details)?;
    require_rows_to_fit(&path, limit)?;
    let status = Root::open(directory)?.status(Path::new(&name)).map_err(failed)?;
    let status = status.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let content = digest(&file, &status).map_err(failed)?;
    let details = crate::database::Details::Mysql(details);
    Ok(Dump { file: name, size: content.size, sha256: content.sha256, details })
}

/// Binary columns are dumped as hexadecimal digits, twice as long: what was inserted once may be too long to be loaded.
fn require_rows_to_fit(path: &Path, limit: u64) -> Result<(), Problem> {
    let failed = |error| Problem::File(error, path.to_owned());
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(failed)?);
    let (mut longest, mut length) = (0, 0);
    loop {
        let buffer = file.fill_buf().map_err(failed)?;
        if buffer.is_empty() {
            break;
        }
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(at) => (at + 1, true),
            None => (buffer.len(), false),
        };
        file.consume(used);
        length += used as u64;
        longest = longest.max(length);
        if ended {
            length = 0;
        }
    }
    // A statement ends with the row that takes it beyond a mebibyte.
    let need = longest + (1 << 20);
    if longest < limit && need.min(longest.max(1 << 20)) < limit {
        return Ok(());
    }
    Err(Problem::LongRow { longest, limit, need: need.next_multiple_of(1 << 20) })
}

/// Looks for the end of every part, where it must be.
pub(super) fn verify(path: &Path, details: &Details) -> Result<(), Problem> {
    let failed = |error| Problem::File(error, path.to_owned());
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    if details.ends.last() != Some(&length) {
        return Err(Problem::Truncated("it is not as long as it was"));
    }
    let begins = [0].into_iter().chain(details.ends.iter().copied());
    for (begin, &end) in begins.zip(&details.ends) {
        let size = end.checked_sub(begin).ok_or(Problem::Truncated("its parts are out of order"))?.min(100);
        let mut tail = [0; 100];
        // At most 100, so it fits.
        let tail = &mut tail[..size as usize];
        file.read_exact_at(tail, end - size).map_err(failed)?;
        let Some(at) = tail.windows(END.len()).rposition(|window| window == END) else {
            return Err(Problem::Truncated("a part of it does not end with \"Dump completed\""));
        };
        let rest = &tail[at + 1..];
        if rest.last() != Some(&b'\n') || rest[..rest.len() - 1].contains(&b'\n') {
            return Err(Problem::Truncated("something follows the end of a part"));
        }
    }
    Ok(())
}

/// The dump from `at` on.
pub(super) fn from(path: &Path, at: u64) -> Result<File, Problem> {
    let failed = |error| Problem::File(error, path.to_owned());
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(at)).map_err(failed)?;
    Ok(file)
}

/// The events, which stand before all else.
pub(super) fn events(path: &Path, details: &Details) -> Result<Vec<u8>, Problem> {
    let failed = |error| Problem::File(error, path.to_owned());
    let mut events = Vec::new();
    File::open(path).and_then(|file| file.take(details.tables_at).read_to_end(&mut events)).map_err(failed)?;
    Ok(events)
}

/// What was remembered beside a dump.
pub(super) fn details(dump: &Dump) -> Result<&Details, Problem> {
    match &dump.details {
        crate::database::Details::Mysql(details) => Ok(details),
        _ => Err(Problem::Truncated("the slot describes it as that of another kind of server")),
    }
}
