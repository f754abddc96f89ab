//! The way back: beside, strict, and in the live one's place by one transaction.
//!
//! The order makes every interruption harmless. A database under the name beside is a restore that was interrupted and is
//! dropped first. The live one is closed to its clients only when the new one is complete; renaming both is one
//! transaction; what was replaced is dropped last. Begun again after any step, it comes to the same end.

use std::fs::File;
use std::path::Path;

use updates_protocol::ServerDatabase;

use super::connection::{APPLICATION, Connection};
use super::details::Details;
use super::problem::Problem;
use super::quote::{identifier, literal};
use super::rights::{ENDABLE, Ways, open};
use crate::database::Access;
use crate::fs::sha256;

/// How often the clients of the live database are ended before one of them counts as in the way.
const ROUNDS: u32 = 5;

/// Asks whether a dump can be put back now: rights, and the roles, extensions and tablespace that it needs.
pub(super) fn require(server: &ServerDatabase, details: &Details, access: &Access<'_>) -> Result<Ways, Problem> {
    let ways = Ways::to_restore(server, &details.owners, &details.privileged, access)?;
    let mut lacking = Vec::new();
    for (what, names, catalog, column) in [
        ("role", &details.roles, "pg_roles", "rolname"),
        ("role", &details.owners, "pg_roles", "rolname"),
        ("extension", &details.extensions, "pg_available_extensions", "name"),
        ("tablespace", &vec![details.tablespace.clone()], "pg_tablespace", "spcname"),
    ] {
        if names.is_empty() {
            continue;
        }
        let values: Vec<_> = names.iter().map(|name| format!("({})", literal(name))).collect();
        let question = format!(
            "SELECT coalesce(json_agg(n), '[]') FROM (VALUES {}) w(n)
             WHERE NOT EXISTS (SELECT FROM {catalog} WHERE {column} = n)",
            values.join(", ")
        );
        let answer = ways.keeper.ask(ways.maintenance, &[&question], "ask what it has", access.short())?;
        let names: Vec<String> = serde_json::from_str(&answer)?;
        lacking.extend(names.into_iter().map(|name| format!("the {what} {name:?}")));
    }
    lacking.dedup();
    if lacking.is_empty() { Ok(ways) } else { Err(Problem::Lacking(lacking.join(", "))) }
}

/// Puts a database back.
pub(super) fn restore(
    server: &ServerDatabase,
    details: &Details,
    dump: &Path,
    access: &Access<'_>,
) -> Result<(), Problem> {
    let ways = require(server, details, access)?;
    let names = Names::of(&server.database);
    let keeper = Keeper { way: &ways.keeper, at: ways.maintenance, names: &names, access };
    keeper.end_earlier()?;
    keeper.drop(&names.beside)?;
    if let Err(error) = keeper.load(&ways, details, dump).and_then(|()| keeper.exchange()) {
        // What is beside is of no use. If it can't be dropped, the next restore does it; the error is the first one.
        keeper.drop(&names.beside).ok();
        return Err(error);
    }
    keeper
        .drop(&names.replaced)
        .map_err(|source| Problem::OldStays { name: names.replaced.clone(), source: source.into() })
}

/// The names of a database's two companions. PostgreSQL's names have at most 63 bytes; the same database has the same
/// ones each time.
struct Names {
    live: String,
    beside: String,
    replaced: String,
}

impl Names {
    fn of(live: &str) -> Self {
        let end = (0..=40.min(live.len())).rev().find(|&at| live.is_char_boundary(at)).unwrap_or(0);
        let stem = format!("{}-{}", &live[..end], &sha256(live.as_bytes())[..8]);
        Self { live: live.to_owned(), beside: format!("{stem}-restored"), replaced: format!("{stem}-replaced") }
    }
}

/// Who creates, renames and drops databases, and from where.
struct Keeper<'a> {
    way: &'a Connection,
    at: &'static str,
    names: &'a Names,
    access: &'a Access<'a>,
}

impl Keeper<'_> {
    fn ask(&self, statements: &[&str], during: &'static str) -> Result<String, Problem> {
        self.way.ask(self.at, statements, during, self.access.committed().long())
    }

    fn exists(&self, name: &str) -> Result<bool, Problem> {
        let question = format!("SELECT count(*) FROM pg_database WHERE datname = {}", literal(name));
        Ok(self.ask(&[&question], "look for a database")? != "0")
    }

    /// Ends what the clients of a restore that was killed are still doing on the server.
    fn end_earlier(&self) -> Result<(), Problem> {
        let Names { beside, replaced, .. } = self.names;
        let left = format!(
            "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = {} AND usesysid IS NOT NULL
             AND (datname IN ({}, {}) OR position({} IN query) > 0)",
            literal(APPLICATION),
            literal(beside),
            literal(replaced),
            literal(&identifier(beside)),
        );
        self.end(&left)
    }

    /// Ends sessions and waits, a moment, until they are gone.
    fn end(&self, sessions: &str) -> Result<(), Problem> {
        let end = format!("SELECT count(pg_terminate_backend(pid)) {sessions} AND {ENDABLE}");
        let wait = format!(
            "DO $$ BEGIN FOR i IN 1..500 LOOP
               PERFORM pg_stat_clear_snapshot();
               IF NOT EXISTS (SELECT {sessions} AND {ENDABLE}) THEN RETURN; END IF;
               PERFORM pg_sleep(0.01);
             END LOOP; END $$"
        );
        self.ask(&[&end, &wait], "end the clients").map(drop)
    }

    fn drop(&self, name: &str) -> Result<(), Problem> {
        if !self.exists(name)? {
            return Ok(());
        }
        let plain = format!("ALTER DATABASE {} WITH IS_TEMPLATE false", identifier(name));
        self.ask(&[&plain], "prepare to drop a database")?;
        self.end(&sessions_of(name))?;
        self.ask(&[&format!("DROP DATABASE IF EXISTS {}", identifier(name))], "drop a database").map(drop)
    }

    /// Makes the database beside, complete. Nothing live is changed, so it may still be given up.
    fn load(&self, ways: &Ways, details: &Details, dump: &Path) -> Result<(), Problem> {
        let beside = &self.names.beside;
        let bounds = self.access.long();
        self.way.ask(self.at, &[&details.create(beside)], "create a database beside it", bounds)?;
        // A role that pg_hba.conf lets into its own database alone can't load into another.
        let loader = match ways.loader.ask(beside, &["SELECT 1"], "connect", self.access.short()) {
            Ok(_) => &ways.loader,
            Err(_) => &ways.keeper,
        };
        let file = File::open(dump).map_err(|error| Problem::File(error, dump.to_owned()))?;
        loader
            .client("pg_restore", beside)
            .args(["--exit-on-error"])
            .input(file)
            .answer(bounds)
            .map_err(Problem::client("load the dump beside it"))?;
        let mut statements = details.apply(beside);
        statements.insert(0, "BEGIN".to_owned());
        statements.push("COMMIT".to_owned());
        let statements: Vec<&str> = statements.iter().map(String::as_str).collect();
        self.way.ask(self.at, &statements, "give it its properties", bounds).map(drop)
    }

    /// Puts the database beside in the live one's place.
    fn exchange(&self) -> Result<(), Problem> {
        let Names { live, beside, replaced } = self.names;
        let (live_name, beside_name) = (identifier(live), identifier(beside));
        if !self.exists(live)? {
            let rename = format!("ALTER DATABASE {beside_name} RENAME TO {live_name}");
            return self.ask(&[&rename], "put it in its place").map(drop);
        }
        self.drop(replaced)?;
        self.end_prepared()?;
        let closed = self.close().and_then(|()| self.require_endable()).and_then(|()| {
            let away = format!("ALTER DATABASE {live_name} RENAME TO {}", identifier(replaced));
            let place = format!("ALTER DATABASE {beside_name} RENAME TO {live_name}");
            let mut last = None;
            for _ in 0..ROUNDS {
                // Those of the copy too: what watches a server connects to whatever database is there.
                self.end(&sessions_of(live))?;
                self.end(&sessions_of(beside))?;
                // The server itself waits some seconds for sessions that are ending.
                match self.ask(&["BEGIN", &away, &place, "COMMIT"], "put it in its place") {
                    Ok(_) => return Ok(()),
                    Err(error) => last = Some(error),
                }
            }
            Err(Problem::InUse(last.unwrap_or(Problem::NoClient).into()))
        });
        closed.map_err(|error| match open(self.way, self.at, live, &self.access.committed()) {
            Ok(()) => error,
            Err(other) => Problem::StillClosed(error.into(), other.into()),
        })
    }

    /// Looks for clients that this role can't end, before it ends those that it can for nothing. Who looks in for a moment is
    /// waited for.
    fn require_endable(&self) -> Result<(), Problem> {
        let others = format!("{} AND NOT ({ENDABLE})", sessions_of(&self.names.live));
        let wait = format!(
            "DO $$ BEGIN FOR i IN 1..500 LOOP
               PERFORM pg_stat_clear_snapshot();
               IF NOT EXISTS (SELECT {others}) THEN RETURN; END IF;
               PERFORM pg_sleep(0.01);
             END LOOP; END $$"
        );
        let whose = format!("SELECT coalesce(string_agg(DISTINCT usename, ', '), '') {others}");
        let whose = self.ask(&[&wait, &whose], "ask for clients")?;
        let role = self.way.role.clone();
        if whose.is_empty() { Ok(()) } else { Err(Problem::Unendable { role, whose }) }
    }

    /// Forbids new connections to the live database. Sessions that stand are ended after.
    fn close(&self) -> Result<(), Problem> {
        let close =
            format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false IS_TEMPLATE false", identifier(&self.names.live));
        self.ask(&[&close], "close it to its clients").map(drop)
    }

    /// Rolls back transactions that were prepared and never committed: they would hold the live database for ever.
    fn end_prepared(&self) -> Result<(), Problem> {
        let live = &self.names.live;
        let question =
            format!("SELECT coalesce(json_agg(gid), '[]') FROM pg_prepared_xacts WHERE database = {}", literal(live));
        let prepared: Vec<String> = serde_json::from_str(&self.ask(&[&question], "ask for prepared transactions")?)?;
        for gid in prepared {
            let end = format!("ROLLBACK PREPARED {}", literal(&gid));
            let bounds = self.access.committed().short();
            self.way.ask(live, &[&end], "roll back a prepared transaction", bounds)?;
        }
        Ok(())
    }
}

/// The sessions in a database. Those without a user are the server's own, which it ends itself.
fn sessions_of(database: &str) -> String {
    format!(
        "FROM pg_stat_activity WHERE datname = {} AND pid <> pg_backend_pid() AND usesysid IS NOT NULL",
        literal(database)
    )
}
