//! SQLite databases in slots: beside declared files and inside of them, kept when nothing moved, refused when anything is
//! wrong: cases/faults.md 12, 48, 52, 53, 58 and 59.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use updates::fs::sha256;
use updates::state::{Backup, Damage, Note, RestoreError, Sealed, StateError, Store};
use updates_protocol::{Database, DeclaredPath};

use crate::ground::{Ground, declared, name, settle};

const DATABASE: &str = "/etc/app/data/app.db";

fn sqlite(path: &str) -> Database {
    Database::Sqlite { database: DeclaredPath::new(path).unwrap() }
}

impl Ground {
    fn try_seal_with(&self, paths: &[&str], databases: &[&str]) -> Result<Sealed, StateError> {
        let pending = self.store.begin(&name("app"), &name("app"), "a test").paths(declared(paths));
        pending.databases(databases.iter().map(|path| sqlite(path))).seal(&self.machine())
    }

    fn seal_with(&self, paths: &[&str], databases: &[&str]) -> Backup {
        self.try_seal_with(paths, databases).unwrap().into_backup()
    }

    fn sql(&self, path: &str, statements: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        Connection::open(self.at(path)).unwrap().execute_batch(statements).unwrap();
    }

    fn rows(&self, path: &str) -> i64 {
        rows(&self.at(path))
    }

    fn plan(&self) -> Vec<String> {
        let (backup, machine) = (self.load(), self.machine());
        let plan = backup.plan(&machine).unwrap();
        let databases = plan.databases().iter().map(|saved| saved.database.to_string());
        plan.differences().iter().map(ToString::to_string).chain(databases).collect()
    }
}

fn rows(path: &Path) -> i64 {
    Connection::open(path).unwrap().query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap()
}

/// A service of its own that has the database open in WAL mode and commits until it is asked to end.
struct Service(Child);

const SERVICE: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
db.execute('PRAGMA journal_mode=WAL')
db.execute('PRAGMA wal_autocheckpoint=0')
print('ready', flush=True)
for line in sys.stdin:
    print(db.execute(line).fetchall(), flush=True)
";

impl Service {
    fn start(path: &Path) -> Self {
        let mut command = Command::new("python3");
        command.args(["-c", SERVICE]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut service = Self(command.spawn().unwrap());
        assert_eq!(service.line(), "ready");
        service
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        // One line an answer, so nothing is lost with the buffer.
        BufReader::with_capacity(1, self.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, statement: &str) -> String {
        writeln!(self.0.stdin.as_mut().unwrap(), "{statement}").unwrap();
        self.line()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        drop(self.0.wait());
    }
}

#[test]
fn a_database_inside_of_a_declared_folder_is_saved_in_its_own_way_and_comes_back_below_its_service() {
    let ground = Ground::new();
    ground.write("/etc/app/data/plain", "one");
    let mut service = Service::start(&ground.at(DATABASE));
    service.ask("CREATE TABLE t(a)");
    service.ask("INSERT INTO t VALUES (1), (2)");
    let backup = ground.seal_with(&["/etc/app", DATABASE], &[DATABASE]);
    backup.verify().unwrap();
    assert!(ground.plan().is_empty(), "{:?}", ground.plan());
    let saved: Vec<_> =
        backup.entries().unwrap().map(|entry| entry.unwrap().path.to_str().unwrap().to_owned()).collect();
    assert_eq!(saved, ["/etc/app", "/etc/app/data", "/etc/app/data/plain"]);
    assert_eq!(rows_of_dump(&ground, 0), 2);

    service.ask("INSERT INTO t SELECT a FROM t");
    ground.write("/etc/app/data/plain", "two");
    ground.write("/etc/app/data/new", "new");
    assert_eq!(ground.plan().last().unwrap(), "SQLite /etc/app/data/app.db");
    let restored = ground.restore().unwrap();
    assert_eq!(restored.steps, ["restore SQLite /etc/app/data/app.db"]);
    assert_eq!(service.ask("SELECT count(*) FROM t"), "[(2,)]", "without opening it again");
    assert_eq!(service.ask("INSERT INTO t VALUES (3)"), "[]");
    assert!(ground.at(DATABASE).with_extension("db-wal").exists(), "the log is in use and no added file");
    assert_eq!(ground.read("/etc/app/data/plain"), "one");
    assert!(!ground.at("/etc/app/data/new").exists());
}

fn rows_of_dump(ground: &Ground, number: usize) -> i64 {
    let copy = ground.folder.path().join("copy.db");
    fs::copy(ground.slot().join(format!("databases/db_{number}.sqlite")), &copy).unwrap();
    rows(&copy)
}

#[test]
fn whatever_became_of_the_folder_the_database_is_in_it_again() {
    let harms: [fn(&Ground); 5] = [
        |ground| fs::remove_dir_all(ground.at("/etc/app/data")).unwrap(),
        |ground| {
            fs::remove_dir_all(ground.at("/etc/app/data")).unwrap();
            ground.write("/etc/app/data", "a file");
        },
        |ground| {
            fs::rename(ground.at("/etc/app/data"), ground.at("/etc/elsewhere")).unwrap();
            symlink("../elsewhere", ground.at("/etc/app/data")).unwrap();
        },
        |ground| fs::remove_dir_all(ground.at("/etc/app")).unwrap(),
        |ground| {
            fs::remove_file(ground.at(DATABASE)).unwrap();
            fs::create_dir_all(ground.at(DATABASE).join("deep")).unwrap();
        },
    ];
    for (number, harm) in harms.into_iter().enumerate() {
        let ground = Ground::new();
        ground.write("/etc/app/data/plain", "one");
        ground.sql(DATABASE, "PRAGMA journal_mode=WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        ground.seal_with(&["/etc/app"], &[DATABASE]);
        harm(&ground);
        ground.restore().unwrap();
        assert_eq!(ground.rows(DATABASE), 1, "{number}");
        assert_eq!(ground.read("/etc/app/data/plain"), "one", "{number}");
        assert!(fs::symlink_metadata(ground.at("/etc/app/data")).unwrap().is_dir(), "{number}");
        assert!(ground.plan().is_empty(), "{number}: {:?}", ground.plan());
    }
}

#[test]
fn a_database_that_was_not_there_goes_with_its_companions_and_its_folder() {
    for folder_was_there in [true, false] {
        let ground = Ground::new();
        if folder_was_there {
            fs::create_dir(ground.at("/etc/app/data")).unwrap();
        }
        let before = ground.observe("/etc/app");
        ground.seal_with(&["/etc/app"], &[DATABASE]);
        ground.sql(DATABASE, "CREATE TABLE t(a)");
        fs::write(ground.at(DATABASE).with_extension("db-wal"), "stale").unwrap();
        ground.restore().unwrap();
        assert_eq!(ground.observe("/etc/app"), before);
        assert!(ground.plan().is_empty());
    }
}

#[test]
fn files_and_times_around_a_database_are_exactly_what_they_were() {
    let ground = Ground::new();
    ground.sql(DATABASE, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    ground.seal_with(&["/etc/app"], &[DATABASE]);
    let time = |ground: &Ground| fs::metadata(ground.at("/etc/app/data")).map(|m| (m.mtime(), m.mtime_nsec())).unwrap();
    let before = time(&ground);
    ground.sql(DATABASE, "DELETE FROM t");
    ground.write("/etc/app/data/new", "new");
    ground.restore().unwrap();
    assert_eq!((ground.rows(DATABASE), time(&ground)), (1, before));
}

#[test]
fn where_nothing_moved_the_slot_is_kept_and_where_one_moved_the_other_is_linked() {
    let ground = Ground::new();
    let other = "/etc/app/other.db";
    for path in [DATABASE, other] {
        ground.sql(path, "PRAGMA journal_mode=WAL; CREATE TABLE t(a)");
    }
    settle(&ground);
    ground.seal_with(&["/etc/app"], &[DATABASE, other]);
    let again = ground.try_seal_with(&["/etc/app"], &[DATABASE, other]).unwrap();
    assert!(matches!(&again, Sealed::Reused(_)), "the first dump left no trace");
    let inode =
        |number: usize| fs::metadata(ground.slot().join(format!("databases/db_{number}.sqlite"))).unwrap().ino();
    let before = (inode(0), inode(1));
    ground.sql(other, "INSERT INTO t VALUES (1)");
    assert!(matches!(ground.try_seal_with(&["/etc/app"], &[DATABASE, other]).unwrap(), Sealed::Written(..)));
    assert_eq!(inode(0), before.0);
    assert_ne!(inode(1), before.1);
    // In another order they have other numbers.
    let linked = (inode(1), inode(0));
    ground.seal_with(&["/etc/app"], &[other, DATABASE]).verify().unwrap();
    assert_eq!((inode(0), inode(1)), linked);
    // Written to, and back to what it was: read again, and kept once.
    ground.sql(other, "BEGIN; DELETE FROM t; ROLLBACK; PRAGMA wal_checkpoint(TRUNCATE)");
    fs::set_permissions(ground.at(other), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(ground.try_seal_with(&["/etc/app"], &[other, DATABASE]).unwrap(), Sealed::Written(..)));
    assert_eq!(inode(0), linked.0);
    ground.load().verify().unwrap();
}

#[test]
fn a_commit_to_a_log_that_is_not_in_the_main_file_is_seen() {
    let ground = Ground::new();
    let mut service = Service::start(&ground.at("/etc/app/app.db"));
    service.ask("CREATE TABLE t(a)");
    settle(&ground);
    let seal = || ground.try_seal_with(&[], &["/etc/app/app.db"]).unwrap();
    drop(seal());
    assert!(matches!(seal(), Sealed::Reused(_)));
    for row in 0..20 {
        service.ask(&format!("INSERT INTO t VALUES ({row})"));
        assert!(matches!(seal(), Sealed::Written(..)), "row {row}");
        assert_eq!(rows_of_dump(&ground, 0), row + 1);
    }
}

#[test]
fn a_dump_that_is_not_what_was_saved_is_refused_before_the_first_live_write() {
    type Harm = (fn(&Path), fn(&Damage) -> bool);
    let dump = "db_0.sqlite";
    let harms: [Harm; 7] = [
        (|at| fs::remove_file(at.join("db_0.sqlite")).unwrap(), |d| matches!(d, Damage::Missing(_))),
        (|at| fs::remove_dir_all(at).unwrap(), |d| matches!(d, Damage::Missing(_))),
        (|at| fs::write(at.join("db_1.sqlite"), "").unwrap(), |d| matches!(d, Damage::Extra(_))),
        (|at| fs::write(at.join("db_0.sqlite-wal"), "").unwrap(), |d| matches!(d, Damage::Extra(_))),
        (
            |at| fs::File::options().write(true).open(at.join("db_0.sqlite")).unwrap().set_len(4096).unwrap(),
            |d| matches!(d, Damage::Database(_)),
        ),
        (
            |at| {
                let mut bytes = fs::read(at.join("db_0.sqlite")).unwrap();
                bytes[5000] ^= 1;
                fs::write(at.join("db_0.sqlite"), bytes).unwrap();
            },
            |d| matches!(d, Damage::Database(_)),
        ),
        (
            |at| {
                fs::rename(at.join("db_0.sqlite"), at.with_file_name("moved")).unwrap();
                symlink("../moved", at.join("db_0.sqlite")).unwrap();
            },
            |d| matches!(d, Damage::Database(_)),
        ),
    ];
    for (number, (harm, expected)) in harms.into_iter().enumerate() {
        let ground = Ground::new();
        ground.write("/etc/app/a", "one");
        ground.sql(DATABASE, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
        ground.seal_with(&["/etc/app"], &[DATABASE]);
        assert!(ground.slot().join("databases").join(dump).exists());
        ground.write("/etc/app/a", "two");
        ground.sql(DATABASE, "DELETE FROM t");
        harm(&ground.slot().join("databases"));
        let before = ground.observe("/etc/app");
        match ground.restore() {
            Err(RestoreError::Refused(StateError::Damaged { damage, .. })) => {
                assert!(expected(&damage), "{number}: {damage}");
            }
            other => panic!("{number}: {other:?}"),
        }
        assert_eq!(ground.observe("/etc/app"), before, "{number}");
    }
}

#[test]
fn dumps_in_a_slot_without_databases_are_damage() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    let backup = ground.seal(&["/etc/app"]);
    fs::create_dir(ground.slot().join("databases")).unwrap();
    assert!(matches!(backup.verify(), Err(StateError::Damaged { damage: Damage::Extra(_), .. })));
}

#[test]
fn what_can_not_be_dumped_leaves_the_old_slot() {
    let ground = Ground::new();
    ground.sql(DATABASE, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    let first = ground.seal_with(&["/etc/app"], &[DATABASE]).info().checksum;
    fs::write(ground.at(DATABASE), vec![7; 10_000]).unwrap();
    let said = ground.try_seal_with(&["/etc/app"], &[DATABASE]).unwrap_err().to_string();
    assert!(said.contains(DATABASE), "{said}");
    assert_eq!(ground.load().info().checksum, first);
    ground.restore().unwrap();
    assert_eq!(ground.rows(DATABASE), 1);
    let left = fs::read_dir(ground.store.root()).unwrap().count();
    assert_eq!(left, 1, "nothing half-built is left");
}

#[test]
fn a_server_that_does_not_answer_fails_the_backup_before_anything_is_written() {
    let ground = Ground::new();
    let server = serde_json::json!({"type": "postgresql", "database": "app", "host": "127.0.0.1", "port": 1,
        "user": "app", "password": "a secret of somebody"});
    let server = Database::parse(&server).unwrap();
    ground.sql(DATABASE, "CREATE TABLE t(a)");
    let pending = ground.store.begin(&name("app"), &name("app"), "").paths(declared(&["/etc/app"]));
    let error = pending.databases([sqlite(DATABASE), server]).seal(&ground.machine()).unwrap_err();
    assert!(matches!(&error, StateError::Database(_)), "{error}");
    assert!(error.to_string().contains("127.0.0.1") && !error.to_string().contains("secret"), "{error}");
    assert_eq!(fs::read_dir(ground.store.root()).unwrap().count(), 0);
}

#[test]
fn a_store_that_is_too_small_for_the_dump_says_what_it_needs() {
    let ground = Ground::new();
    let small = ground.folder.path().join("small");
    fs::create_dir(&small).unwrap();
    assert!(
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1M", "none"]).arg(&small).status().unwrap().success()
    );
    let store = Store::open(&small).unwrap();
    let seal = || {
        let pending = store.begin(&name("app"), &name("app"), "");
        pending.databases([sqlite(DATABASE)]).seal(&ground.machine())
    };
    ground.sql(DATABASE, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    let first = seal();
    ground.sql(DATABASE, "INSERT INTO t VALUES (zeroblob(2000000))");
    let second = seal();
    let still = store.load(&name("app")).map(|backup| backup.unwrap().verify().is_ok());
    drop(store);
    assert!(Command::new("umount").arg(&small).status().unwrap().success());
    first.unwrap().into_backup();
    assert!(matches!(second, Err(StateError::NoSpace { need, have, .. }) if need > have));
    assert!(still.unwrap());
}

#[test]
fn where_files_are_not_all_back_databases_are_left_until_they_are() {
    let ground = Ground::new();
    ground.write("/etc/app/data/plain", "one");
    ground.sql(DATABASE, "CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    ground.write("/etc/app/covered/a", "one");
    ground.seal_with(&["/etc/app"], &[DATABASE]);
    ground.sql(DATABASE, "DELETE FROM t");
    ground.write("/etc/app/data/plain", "two");
    let covered = ground.at("/etc/app/covered");
    assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&covered).status().unwrap().success());
    let first = ground.restore();
    let meanwhile = (ground.rows(DATABASE), ground.read("/etc/app/data/plain"));
    assert!(Command::new("umount").arg(&covered).status().unwrap().success());
    let Err(RestoreError::Incomplete { failures, .. }) = first else { panic!("{first:?}") };
    let said: Vec<_> = failures.iter().map(ToString::to_string).collect();
    assert!(said.iter().any(|line| line.contains(DATABASE) && line.contains("left as it is")), "{said:?}");
    assert_eq!(meanwhile, (0, "one".to_owned()));
    ground.restore().unwrap();
    assert_eq!(ground.rows(DATABASE), 1);
}

#[test]
fn a_slot_of_the_first_format_still_loads_and_restores() {
    let ground = Ground::new();
    ground.write("/etc/app/a", "one");
    ground.seal(&["/etc/app"]);
    let path = ground.slot().join("manifest.json");
    let text = fs::read_to_string(&path).unwrap().replacen("{\"format\":2", "{\"format\":1", 1);
    let (body, _) = text.rsplit_once("\n],\"sha256\":\"").unwrap();
    let text = format!("{body}\n],\"sha256\":\"{}\"}}\n", sha256(body.as_bytes()));
    fs::write(&path, text).unwrap();
    ground.write("/etc/app/a", "two");
    assert_eq!(ground.load().manifest().header.format, 1);
    ground.restore().unwrap();
    assert_eq!(ground.read("/etc/app/a"), "one");
}

#[test]
fn a_database_in_use_that_is_declared_as_a_file_is_noted() {
    let ground = Ground::new();
    let mut service = Service::start(&ground.at("/etc/app/app.db"));
    service.ask("CREATE TABLE t(a)");
    ground.sql("/etc/app/at_rest.db", "CREATE TABLE t(a)");
    ground.write("/etc/app/none", "x");
    ground.write("/etc/app/none-wal", "x");
    let notes = ground.seal(&["/etc/app"]).notes().unwrap();
    assert_eq!(notes, [Note::UndeclaredDatabase("/etc/app/app.db".into())]);
    assert!(notes[0].to_string().contains("databases"));
    assert!(ground.seal_with(&["/etc/app"], &["/etc/app/app.db"]).notes().unwrap().is_empty());
    drop(service);
}

#[test]
fn a_privilege_on_a_database_file_is_found() {
    let ground = Ground::new();
    ground.sql(DATABASE, "CREATE TABLE t(a)");
    let backup = ground.seal_with(&["/etc/app"], &[DATABASE]);
    assert!(backup.gained(&ground.machine()).unwrap().is_none());
    fs::set_permissions(ground.at(DATABASE), fs::Permissions::from_mode(0o4755)).unwrap();
    assert!(backup.gained(&ground.machine()).unwrap().unwrap().to_string().contains("setuid"));
    ground.restore().unwrap();
    assert!(backup.gained(&ground.machine()).unwrap().is_none());
}
