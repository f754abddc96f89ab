//! The way back: everything but events is loaded beside first, strictly; then the tables are moved over by one RENAME
//! TABLE, and views, triggers, routines and events are made in the live database.
//!
//! Up to the move the live database has lost at most its triggers, which a table can't be moved with, and an error puts
//! them back. What the move replaced lies in a third database until all is done. Begun again after any interruption, it
//! comes to the same end: the copy beside is made anew from the dump, and what an earlier move replaced is dropped only
//! when the new copy is complete.

use std::fmt::Write as _;
use std::path::Path;

use updates_protocol::ServerDatabase;

use super::connection::{Connection, in_memory};
use super::details::{Details, names_of};
use super::problem::Problem;
use super::quote::{identifier, literal, names};
use super::rights::{Names, Ways};
use super::{dump, quote};
use crate::database::Access;

/// How often the clients of the live database are ended before one of them counts as in the way.
const ROUNDS: u32 = 5;
/// A client that holds a table for longer is ended, in seconds.
const LOCK_WAIT: u32 = 5;
/// The server's number for waiting too long for a lock.
const LOCK_WAIT_TIMEOUT: u32 = 1205;

/// Puts a database back.
pub(super) fn restore(
    server: &ServerDatabase,
    details: &Details,
    dump: &Path,
    access: &Access<'_>,
) -> Result<(), Problem> {
    let ways = Ways::to_restore(server, &details.definers, access)?;
    let names = Names::of(&server.database);
    let keeper = Keeper { way: &ways.keeper, names: &names, access };
    keeper.end_clients(&names.beside)?;
    if let Err(error) = keeper.load(details, dump).and_then(|()| keeper.move_tables(details)) {
        // The copy is of no use. If it can't be dropped, the next restore does it; the error is the first one.
        keeper.drop(&names.beside).ok();
        return Err(error);
    }
    keeper.make_objects(details, dump).map_err(|error| Problem::Half(error.into()))?;
    for name in [&names.beside, &names.replaced] {
        keeper.drop(name).map_err(|source| Problem::OldStays { name: name.clone(), source: source.into() })?;
    }
    Ok(())
}

struct Keeper<'a> {
    way: &'a Connection,
    names: &'a Names,
    access: &'a Access<'a>,
}

impl Keeper<'_> {
    fn ask(&self, statements: &str, during: &'static str) -> Result<String, Problem> {
        self.way.ask(None, statements, during, self.access.committed().long())
    }

    fn list(&self, question: &str) -> Result<Vec<String>, Problem> {
        let answer = self.ask(question, "ask for names")?;
        names(&answer).ok_or(Problem::Answer(answer))
    }

    fn drop(&self, name: &str) -> Result<(), Problem> {
        let statement = format!("SET foreign_key_checks = 0;\nDROP DATABASE IF EXISTS {};\n", identifier(name));
        self.contended(&statement, name, "drop a database")
    }

    /// Ends whoever is connected to a database.
    fn end_clients(&self, database: &str) -> Result<(), Problem> {
        let question = format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = {} AND ID <> CONNECTION_ID();",
            literal(database)
        );
        for id in self.ask(&question, "ask for clients")?.lines().filter(|id| id.bytes().all(|b| b.is_ascii_digit())) {
            match self.ask(&format!("KILL {id};"), "end a client") {
                // It has ended by itself.
                Err(error) if error.number() == Some(1094) => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Carries out what needs tables that clients may hold; these are ended after a while.
    fn contended(&self, statements: &str, database: &str, during: &'static str) -> Result<(), Problem> {
        let statements = format!("SET lock_wait_timeout = {LOCK_WAIT};\n{statements}");
        let mut last = None;
        for _ in 0..ROUNDS {
            match self.ask(&statements, during) {
                Ok(_) => return Ok(()),
                Err(error) if error.number() == Some(LOCK_WAIT_TIMEOUT) => last = Some(error),
                Err(error) => return Err(error),
            }
            self.end_clients(database)?;
        }
        Err(Problem::InUse(last.unwrap_or(Problem::NoClient("mariadb or mysql")).into()))
    }

    /// Makes the copy beside, complete but for events. Nothing live is changed, so it may still be given up.
    fn load(&self, details: &Details, dump: &Path) -> Result<(), Problem> {
        let beside = &self.names.beside;
        self.drop(beside)?;
        self.ask(&details.statement("CREATE DATABASE", beside), "create a database beside it")?;
        let input = dump::from(dump, details.tables_at)?;
        self.way.load(beside, input, "load the dump beside it", self.access.long())
    }

    fn tables(&self, database: &str) -> Result<Vec<String>, Problem> {
        self.list(&names_of("TABLE_NAME", "TABLES", database, "AND TABLE_TYPE <> 'VIEW'"))
    }

    /// `DROP TRIGGER` for all of a database's triggers.
    fn without_triggers(&self, database: &str) -> Result<String, Problem> {
        let mut statements = String::new();
        for name in self.list(&names_of("TRIGGER_NAME", "TRIGGERS", database, ""))? {
            drop_one(&mut statements, "TRIGGER", database, &name);
        }
        Ok(statements)
    }

    /// Puts the copy's tables in the place of the live ones.
    fn move_tables(&self, details: &Details) -> Result<(), Problem> {
        let Names { live, beside, replaced, .. } = self.names;
        self.contended(&self.without_triggers(beside)?, beside, "take the triggers off the copy")?;
        self.drop(replaced)?;
        self.ask(&details.statement("CREATE DATABASE", replaced), "create a database for what is replaced")?;
        let exists =
            format!("SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = {};", quote::literal(live));
        let verb =
            if self.ask(&exists, "ask for the database")?.trim() == "0" { "CREATE DATABASE" } else { "ALTER DATABASE" };
        self.ask(&details.statement(verb, live), "give it its properties")?;
        let mut pairs = Vec::new();
        for (from, to) in [(live, replaced), (beside, live)] {
            for table in self.tables(from)? {
                let table = identifier(&table);
                pairs.push(format!("{}.{table} TO {}.{table}", identifier(from), identifier(to)));
            }
        }
        let mut statements = self.without_triggers(live)?;
        // A view may have the name of a table to come. It is made anew after, or is not of the dump.
        let coming = self.tables(beside)?;
        for view in self.views(live)?.iter().filter(|view| coming.contains(view)) {
            drop_one(&mut statements, "VIEW", live, view);
        }
        let undo = self.triggers(live)?;
        if !pairs.is_empty() {
            // All in one statement: its locks are taken before anything moves, and foreign keys go with the tables.
            statements += &format!("RENAME TABLE {};\n", pairs.join(",\n"));
        }
        self.contended(&statements, live, "put its tables in their place").map_err(|error| {
            let undone = in_memory(&undo).and_then(|undo| {
                self.contended(&self.without_triggers(live)?, live, "take its triggers off")?;
                self.way.load(live, undo, "put its triggers on again", self.access.committed().long())
            });
            match undone {
                Ok(()) => error,
                Err(other) => Problem::WithoutTriggers(error.into(), other.into()),
            }
        })
    }

    /// The live database's triggers, as a dump.
    fn triggers(&self, live: &str) -> Result<Vec<u8>, Problem> {
        let client = self.way.client(&["mariadb-dump", "mysqldump"])?;
        let client = client.args(["--no-data", "--no-create-info", "--no-tablespaces", "--single-transaction"]);
        let saved = client.args(["--triggers", "--", live]).answer(self.access.committed().long());
        saved.map_err(|source| Problem::Client { during: "save its triggers", source })
    }

    fn views(&self, database: &str) -> Result<Vec<String>, Problem> {
        self.list(&names_of("TABLE_NAME", "VIEWS", database, ""))
    }

    /// Makes routines, triggers, views and events in the live database what they are in the dump.
    fn make_objects(&self, details: &Details, dump: &Path) -> Result<(), Problem> {
        let live = &self.names.live;
        let mut statements = self.without_triggers(live)?;
        for view in self.views(live)? {
            drop_one(&mut statements, "VIEW", live, &view);
        }
        for kind in ["PROCEDURE", "FUNCTION", "PACKAGE"] {
            let condition = format!("AND ROUTINE_TYPE = '{kind}'");
            for name in self.list(&names_of("ROUTINE_NAME", "ROUTINES", live, &condition))? {
                drop_one(&mut statements, kind, live, &name);
            }
        }
        for name in self.list(&names_of("EVENT_NAME", "EVENTS", live, ""))? {
            drop_one(&mut statements, "EVENT", live, &name);
        }
        self.contended(&statements, live, "remove what is made anew")?;
        let bounds = self.access.committed().long();
        let objects = dump::from(dump, details.objects_at)?;
        self.way.load(live, objects, "make its triggers, routines and views", bounds)?;
        self.way.load(live, in_memory(&dump::events(dump, details)?)?, "make its events", bounds)
    }
}

fn drop_one(statements: &mut String, kind: &str, database: &str, name: &str) {
    // Writing to a text can't fail.
    writeln!(statements, "DROP {kind} IF EXISTS {}.{};", identifier(database), identifier(name)).ok();
}
