//! What the tests of SQLite share: a machine with one database, and programs of their own that have it open.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use updates::database::{self, Access, DatabaseError, Passwords, SavedDatabase};
use updates_protocol::{Database, DeclaredPath};

/// A machine with one database, and a directory for its dump.
pub struct Ground {
    pub folder: tempfile::TempDir,
    passwords: Passwords,
    pub timeout: Duration,
}

impl Ground {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("machine/srv/app")).unwrap();
        fs::create_dir(folder.path().join("dumps")).unwrap();
        Self { folder, passwords: Passwords::default(), timeout: Duration::from_secs(60) }
    }

    pub fn access(&self) -> Access<'_> {
        let root = Box::leak(self.folder.path().join("machine").into_boxed_path());
        Access { root, passwords: &self.passwords, timeout: self.timeout, interrupt: None, by_content: false }
    }

    pub fn at(&self, suffix: &str) -> PathBuf {
        self.folder.path().join(format!("machine/srv/app/app.db{suffix}"))
    }

    pub fn dumps(&self) -> PathBuf {
        self.folder.path().join("dumps")
    }

    pub fn try_dump(&self) -> Result<SavedDatabase, DatabaseError> {
        database::require(&declared(), &self.access())?;
        let beside = tempfile::tempdir_in(self.folder.path()).unwrap();
        let saved = database::dump(&declared(), 0, beside.path(), &self.access())?;
        database::verify(&saved, beside.path())?;
        drop(fs::remove_dir_all(self.dumps()));
        fs::rename(beside.keep(), self.dumps()).unwrap();
        Ok(saved)
    }

    pub fn dump(&self) -> SavedDatabase {
        self.try_dump().unwrap()
    }

    pub fn restore(&self, saved: &SavedDatabase) -> Result<(), DatabaseError> {
        database::require_restore(saved, &self.dumps(), &self.access())?;
        database::restore(saved, &self.dumps(), &self.access())
    }

    pub fn is_as_saved(&self, saved: &SavedDatabase) -> Option<bool> {
        database::is_as_saved(saved, &self.dumps(), &self.access()).unwrap()
    }

    /// Opens the database as an application would, once.
    pub fn sql(&self, statements: &str) {
        Connection::open(self.at("")).unwrap().execute_batch(statements).unwrap();
    }

    pub fn rows(&self) -> i64 {
        count(&self.at(""))
    }

    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.at("").parent().unwrap()).unwrap();
        let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub fn declared() -> Database {
    Database::Sqlite { database: DeclaredPath::new("/srv/app/app.db").unwrap() }
}

pub fn count(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// What sqlite3's `.dump` would say, by a walk over everything that a query reaches.
pub fn contents(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let mut said = Vec::new();
    for pragma in ["page_size", "auto_vacuum", "user_version", "application_id", "journal_mode", "encoding"] {
        let value: rusqlite::types::Value = connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap();
        said.push(format!("{pragma} {value:?}"));
    }
    let mut statement = connection.prepare("SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name").unwrap();
    let tables: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    for (name, sql) in tables {
        if sql.starts_with("CREATE TABLE") {
            let mut statement = connection.prepare(&format!("SELECT rowid, * FROM \"{name}\" ORDER BY rowid")).unwrap();
            let columns = statement.column_count();
            let mut rows = statement.query([]).unwrap();
            while let Some(row) = rows.next().unwrap() {
                let values = (0..columns).map(|at| format!("{:?}", row.get_ref_unwrap(at)));
                said.push(values.collect::<Vec<_>>().join("|"));
            }
        }
        said.push(format!("{name} {sql}"));
    }
    said
}

/// A program of its own with the database open, which answers a line for each line.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

const PROGRAM: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
for line in sys.stdin:
    try:
        print(repr(db.execute(line).fetchall()), flush=True)
    except sqlite3.Error as error:
        print('error', error, flush=True)
";

impl Program {
    pub fn open(path: &Path) -> Self {
        Self::run(PROGRAM, path)
    }

    pub fn run(program: &str, path: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), child, output }
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn ask(&mut self, statement: &str) -> String {
        writeln!(self.input.as_mut().unwrap(), "{statement}").unwrap();
        self.line()
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.input = None;
        drop(self.child.wait());
    }
}
