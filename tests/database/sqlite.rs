//! SQLite with writers and readers of other processes at work: cases/faults.md 52 and 53, and what a module may leave.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use updates::database::{self, SavedDatabase};
use updates_protocol::{Database, DeclaredPath};

use crate::sqlite_ground::{Ground, Program, contents, count};

/// Two thousand rows, none of them in the main file.
fn log_of_2000(ground: &Ground) -> Program {
    let mut program = Program::open(&ground.at(""));
    program.ask("PRAGMA journal_mode=WAL");
    program.ask("PRAGMA wal_autocheckpoint=0");
    program.ask("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)");
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<2000)";
    program.ask(&format!("INSERT INTO t SELECT i, 'row ' || i FROM ({rows} SELECT i FROM n)"));
    program
}

// faults: 52
#[test]
fn every_row_of_a_log_that_a_writer_holds_is_saved() {
    let ground = Ground::new();
    let mut program = log_of_2000(&ground);
    let log = fs::metadata(ground.at("-wal")).unwrap();
    let saved = ground.dump();
    assert_eq!(count_of_dump(&ground), 2000);
    assert_eq!(fs::metadata(ground.at("-wal")).unwrap().ino(), log.ino(), "the log is the writer's");
    assert_eq!(program.ask("INSERT INTO t(b) VALUES ('one more')"), "[]");
    assert_eq!(ground.is_as_saved(&saved), Some(false));
    program.ask("DELETE FROM t WHERE b = 'one more'");
    assert_eq!(program.ask("SELECT count(*) FROM t"), "[(2000,)]");
}

fn count_of_dump(ground: &Ground) -> i64 {
    // A copy, since opening a dump in WAL mode makes files beside it.
    let copy = ground.folder.path().join("copy.db");
    fs::copy(ground.dumps().join("db_0.sqlite"), &copy).unwrap();
    count(&copy)
}

#[test]
fn a_log_that_a_killed_writer_left_is_saved_and_stays() {
    let ground = Ground::new();
    let mut program = log_of_2000(&ground);
    program.kill();
    let before = (fs::read(ground.at("")).unwrap(), fs::read(ground.at("-wal")).unwrap());
    let saved = ground.dump();
    assert_eq!(count_of_dump(&ground), 2000);
    assert_eq!((fs::read(ground.at("")).unwrap(), fs::read(ground.at("-wal")).unwrap()), before);
    assert_eq!(ground.is_as_saved(&saved), Some(true));
}

#[test]
fn readers_and_writers_see_the_old_content_without_opening_again() {
    for mode in ["WAL", "DELETE", "TRUNCATE", "PERSIST"] {
        let ground = Ground::new();
        let mut program = Program::open(&ground.at(""));
        program.ask(&format!("PRAGMA journal_mode={mode}"));
        program.ask("CREATE TABLE t(a)");
        program.ask("INSERT INTO t VALUES (1)");
        let saved = ground.dump();
        assert_eq!(ground.is_as_saved(&saved), Some(true), "{mode}");
        for row in 0..200 {
            program.ask(&format!("INSERT INTO t VALUES ({row})"));
        }
        program.ask("CREATE TABLE u(a)");
        assert_eq!(program.ask("SELECT count(*) FROM t"), "[(201,)]");
        let inode = fs::metadata(ground.at("")).unwrap().ino();
        ground.restore(&saved).unwrap();
        assert_eq!(fs::metadata(ground.at("")).unwrap().ino(), inode);
        assert_eq!(program.ask("SELECT count(*) FROM t"), "[(1,)]", "{mode}");
        assert!(program.ask("SELECT * FROM u").contains("no such table"), "{mode}");
        assert_eq!(ground.is_as_saved(&saved), Some(true), "{mode}");
        assert_eq!(program.ask("INSERT INTO t VALUES (9)"), "[]", "{mode}");
        assert_eq!(program.ask("PRAGMA integrity_check"), "[('ok',)]", "{mode}");
        drop(program);
        assert_eq!(ground.rows(), 2);
    }
}

// faults: 53
#[test]
fn a_stale_log_adds_nothing_to_what_is_restored() {
    let ground = Ground::new();
    let mut program = log_of_2000(&ground);
    let saved = ground.dump();
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<3500)";
    program.ask(&format!("INSERT INTO t(b) SELECT 'late' FROM ({rows} SELECT i FROM n)"));
    assert_eq!(program.ask("SELECT count(*) FROM t"), "[(5500,)]");
    program.kill();
    assert!(fs::metadata(ground.at("-wal")).unwrap().len() > 0);
    ground.restore(&saved).unwrap();
    assert_eq!(ground.rows(), 2000);
    assert_eq!(ground.is_as_saved(&saved), Some(true));
    // A log and a journal of another time, beside a file that is not the one they were for.
    let stale = (fs::read(ground.at("")).unwrap(), Connection::open(ground.at("")).unwrap());
    stale.1.execute_batch("PRAGMA wal_autocheckpoint=0; DELETE FROM t WHERE a > 10").unwrap();
    let log = fs::read(ground.at("-wal")).unwrap();
    drop(stale.1);
    fs::write(ground.at(""), stale.0).unwrap();
    fs::write(ground.at("-wal"), log).unwrap();
    drop(fs::remove_file(ground.at("-shm")));
    ground.restore(&saved).unwrap();
    assert_eq!(ground.rows(), 2000);
}

#[test]
fn each_dump_beside_a_busy_writer_holds_whole_transactions() {
    const WRITER: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
db.execute('PRAGMA journal_mode=' + ('WAL' if 'wal' in sys.argv[1] else 'DELETE'))
db.execute('PRAGMA synchronous=OFF')
db.execute('CREATE TABLE IF NOT EXISTS t(a, b)')
print('ready', flush=True)
n = 0
while True:
    n += 1
    db.execute('BEGIN IMMEDIATE')
    for _ in range(7):
        db.execute('INSERT INTO t VALUES (?, ?)', (n, 'x' * 500))
    db.execute('COMMIT')
    print(n, flush=True)
";
    for folder in ["wal", "journal"] {
        let ground = Ground::new();
        let path = ground.folder.path().join(format!("machine/srv/app/{folder}.db"));
        let name = Database::Sqlite { database: DeclaredPath::new(&format!("/srv/app/{folder}.db")).unwrap() };
        let mut writer = Program::run(WRITER, &path);
        assert_eq!(writer.line(), "ready");
        for number in 0..5 {
            let committed: i64 = writer.line().parse().unwrap();
            let saved = database::dump(&name, number, &ground.dumps(), &ground.access()).unwrap();
            database::verify(&saved, &ground.dumps()).unwrap();
            let copy = ground.folder.path().join(format!("{number}.db"));
            fs::copy(ground.dumps().join(format!("db_{number}.sqlite")), &copy).unwrap();
            let dumped = Connection::open(&copy).unwrap();
            let (rows, last): (i64, i64) =
                dumped.query_row("SELECT count(*), max(a) FROM t", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
            assert!(last >= committed, "{folder}: what was committed before the dump is in it");
            assert_eq!(rows, last * 7, "{folder}");
        }
        writer.kill();
    }
}

#[test]
fn the_journal_of_a_crashed_writer_is_honoured() {
    let ground = Ground::new();
    ground.sql("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, zeroblob(100000)), (2, zeroblob(100000))");
    let mut program = Program::open(&ground.at(""));
    program.ask("PRAGMA cache_size=1");
    program.ask("BEGIN");
    program.ask("UPDATE t SET b = randomblob(100000)");
    program.ask("INSERT INTO t SELECT a, randomblob(100000) FROM t");
    assert!(fs::metadata(ground.at("-journal")).unwrap().len() > 0, "pages were spilled");
    program.kill();
    ground.dump();
    assert_eq!(count_of_dump(&ground), 2);
    assert_eq!(ground.rows(), 2);
}

#[test]
fn pages_versions_modes_and_encoding_come_back() {
    for (number, settings) in [
        "PRAGMA page_size=512; PRAGMA encoding='UTF-16be'; PRAGMA auto_vacuum=FULL; PRAGMA user_version=7",
        "PRAGMA page_size=65536; PRAGMA application_id=99; PRAGMA auto_vacuum=INCREMENTAL",
        "PRAGMA page_size=1024; PRAGMA journal_mode=WAL; PRAGMA user_version=-3",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        let ground = Ground::new();
        ground.sql(settings);
        ground.sql("CREATE TABLE t(a, b UNIQUE); INSERT INTO t VALUES (1, 'ä'), (2, x'00ff'), (3, 1.5)");
        let before = contents(&ground.at(""));
        let saved = ground.dump();
        for harm in [
            "PRAGMA journal_mode=DELETE; PRAGMA page_size=8192; VACUUM; PRAGMA user_version=1; PRAGMA application_id=1",
            "PRAGMA journal_mode=WAL; PRAGMA user_version=1; DELETE FROM t",
            "PRAGMA journal_mode=DELETE; PRAGMA page_size=16384; VACUUM; PRAGMA journal_mode=WAL; DROP TABLE t",
        ] {
            ground.sql(harm);
            assert_eq!(ground.is_as_saved(&saved), Some(false));
            ground.restore(&saved).unwrap();
            assert_eq!(contents(&ground.at("")), before, "{number} {harm}");
            assert_eq!(ground.is_as_saved(&saved), Some(true), "{number} {harm}");
        }
    }
}

#[test]
fn whatever_took_the_place_of_the_database_is_replaced() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 10] = [
        ("garbage", |path| fs::write(path, vec![0x5a; 20_000]).unwrap()),
        ("nothing in it", |path| fs::write(path, "").unwrap()),
        ("a header alone", |path| fs::File::options().write(true).open(path).unwrap().set_len(100).unwrap()),
        ("half of it", |path| {
            let length = fs::metadata(path).unwrap().len() / 2;
            fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
        }),
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir_all(path.join("deep")).unwrap();
        }),
        ("a link to somebody's file", |path| {
            fs::remove_file(path).unwrap();
            symlink(path.with_file_name("victim"), path).unwrap();
        }),
        ("a further name of somebody's file", |path| {
            fs::remove_file(path).unwrap();
            fs::hard_link(path.with_file_name("victim"), path).unwrap();
        }),
        ("a FIFO", |path| {
            fs::remove_file(path).unwrap();
            assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        }),
        ("companions of every kind", |path| {
            let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
            fs::create_dir(beside("-wal")).unwrap();
            symlink(path.with_file_name("victim"), beside("-shm")).unwrap();
            assert!(Command::new("mkfifo").arg(beside("-journal")).status().unwrap().success());
        }),
    ];
    for mode in ["DELETE", "WAL"] {
        for (what, harm) in harms {
            let ground = Ground::new();
            ground.sql(&format!("PRAGMA journal_mode={mode}; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2)"));
            fs::set_permissions(ground.at(""), fs::Permissions::from_mode(0o640)).unwrap();
            chown(ground.at(""), Some(71), Some(72)).unwrap();
            xattr::set(ground.at(""), "user.kept", b"yes").unwrap();
            let victim = ground.at("").with_file_name("victim");
            Connection::open(&victim).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
            let untouched = (fs::read(&victim).unwrap(), fs::metadata(&victim).unwrap().uid());
            let saved = ground.dump();
            harm(&ground.at(""));
            assert_eq!(ground.is_as_saved(&saved), Some(false), "{what}");
            ground.restore(&saved).unwrap();
            assert_eq!(ground.rows(), 2, "{what}");
            assert_eq!(ground.is_as_saved(&saved), Some(true), "{what}");
            let found = fs::symlink_metadata(ground.at("")).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (71, 72, 0o640), "{what}");
            assert_eq!(xattr::get(ground.at(""), "user.kept").unwrap().unwrap(), b"yes", "{what}");
            assert_eq!((fs::read(&victim).unwrap(), fs::metadata(&victim).unwrap().uid()), untouched, "{what}");
            assert_eq!(ground.names(), ["app.db", "victim"], "{what} {mode}");
        }
    }
}

#[test]
fn a_database_that_was_not_there_is_removed_with_all_that_lies_beside_it() {
    let ground = Ground::new();
    let saved = ground.dump();
    assert!(saved.dump.is_none());
    let mut program = log_of_2000(&ground);
    program.kill();
    fs::write(ground.at("-journal"), "x").unwrap();
    assert_eq!(ground.is_as_saved(&saved), Some(false));
    ground.restore(&saved).unwrap();
    assert!(ground.names().is_empty());
    assert_eq!(ground.is_as_saved(&saved), Some(true));
}

#[test]
fn a_name_with_every_character_is_one_name() {
    let ground = Ground::new();
    let text = "/srv/app/a?b=%41#ä'\\ \u{7f}.db&immutable=0";
    let database = Database::Sqlite { database: DeclaredPath::new(text).unwrap() };
    let path = ground.folder.path().join(format!("machine{text}"));
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let saved = database::dump(&database, 0, &ground.dumps(), &ground.access()).unwrap();
    Connection::open(&path).unwrap().execute_batch("DELETE FROM t").unwrap();
    database::restore(&saved, &ground.dumps(), &ground.access()).unwrap();
    assert_eq!((count(&path), ground.names().len()), (1, 1));
}

#[test]
fn a_missing_folder_comes_back_with_its_owner() {
    let ground = Ground::new();
    ground.sql("CREATE TABLE t(a)");
    let folder = ground.at("").parent().unwrap().to_owned();
    chown(&folder, Some(71), Some(72)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2750)).unwrap();
    let saved = ground.dump();
    fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    ground.restore(&saved).unwrap();
    assert_eq!(ground.rows(), 0);
    let found = fs::metadata(&folder).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (71, 72, 0o2750));
}

#[test]
fn what_root_leaves_beside_a_database_belongs_to_its_owner() {
    let ground = Ground::new();
    let mut program = log_of_2000(&ground);
    let saved = ground.dump();
    for suffix in ["", "-wal", "-shm"] {
        chown(ground.at(suffix), Some(71), Some(72)).unwrap();
    }
    let owned = ground.dump();
    program.ask("DELETE FROM t");
    program.kill();
    fs::remove_file(ground.at("-shm")).unwrap();
    let read = ground.dump();
    assert!(read.dump.is_some() && saved.dump.is_some());
    for suffix in ["-wal", "-shm"] {
        let found = fs::metadata(ground.at(suffix)).unwrap();
        assert_eq!((found.uid(), found.gid()), (71, 72), "{suffix}");
    }
    // With somebody else there, the log stays after a restore.
    let mut other = Program::open(&ground.at(""));
    assert_eq!(other.ask("SELECT count(*) FROM t"), "[(0,)]");
    chown(ground.at(""), Some(0), Some(0)).unwrap();
    drop(fs::remove_file(ground.dumps().join("db_0.sqlite")));
    ground.restore(&read_again(&ground, &owned)).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let found = fs::metadata(ground.at(suffix)).unwrap();
        assert_eq!((found.uid(), found.gid()), (71, 72), "{suffix}");
    }
}

/// A dump of now under the details of another one.
fn read_again(ground: &Ground, details: &SavedDatabase) -> SavedDatabase {
    let mut saved = ground.dump();
    saved.dump.as_mut().unwrap().details = details.dump.as_ref().unwrap().details.clone();
    saved
}

#[test]
fn a_lock_that_is_never_let_go_is_an_error_that_names_the_file() {
    for mode in ["WAL", "DELETE"] {
        let mut ground = Ground::new();
        ground.timeout = Duration::from_millis(300);
        ground.sql(&format!("PRAGMA journal_mode={mode}; CREATE TABLE t(a); INSERT INTO t VALUES (1)"));
        let saved = ground.dump();
        ground.sql("INSERT INTO t VALUES (2)");
        let mut program = Program::open(&ground.at(""));
        program.ask("PRAGMA locking_mode=EXCLUSIVE");
        program.ask("BEGIN EXCLUSIVE");
        program.ask("INSERT INTO t VALUES (3)");
        for error in [ground.try_dump().unwrap_err(), ground.restore(&saved).unwrap_err()] {
            let said = error.to_string();
            assert!(said.contains("/srv/app/app.db") && said.contains("locked"), "{said}");
        }
        assert_eq!(ground.is_as_saved(&saved), None);
        program.ask("ROLLBACK");
        drop(program);
        assert_eq!(ground.rows(), 2, "nothing was changed");
        ground.restore(&saved).unwrap();
        assert_eq!(ground.rows(), 1);
    }
}

#[test]
fn what_is_no_database_can_not_be_saved_as_one() {
    let ground = Ground::new();
    fs::write(ground.at(""), vec![1; 5000]).unwrap();
    assert!(ground.try_dump().unwrap_err().to_string().contains("backup_paths"));
    fs::remove_file(ground.at("")).unwrap();
    symlink("other.db", ground.at("")).unwrap();
    assert!(ground.try_dump().unwrap_err().to_string().contains("symbolic link"));
    fs::remove_file(ground.at("")).unwrap();
    let folder = ground.at("").parent().unwrap().to_owned();
    fs::rename(&folder, folder.with_file_name("real")).unwrap();
    symlink("real", &folder).unwrap();
    Connection::open(ground.at("")).unwrap().execute_batch("CREATE TABLE t(a)").unwrap();
    assert!(ground.try_dump().is_err());
}

#[test]
fn a_damaged_database_is_said_at_the_backup() {
    let ground = Ground::new();
    ground.sql("CREATE TABLE t(a, b); CREATE INDEX i ON t(a)");
    ground.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<50)
         INSERT INTO t SELECT i, zeroblob(900) FROM n",
    );
    let mut bytes = fs::read(ground.at("")).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xff);
    fs::write(ground.at(""), bytes).unwrap();
    let said = ground.try_dump().unwrap_err().to_string();
    assert!(said.contains("damaged"), "{said}");
}

#[test]
fn what_only_the_application_can_judge_is_no_damage() {
    let ground = Ground::new();
    const APPLICATION: &str = "
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.create_collation('mine', lambda a, b: len(a) - len(b))
db.create_function('even', 1, lambda a: a % 2 == 0, deterministic=True)
db.executescript('CREATE TABLE t(a TEXT COLLATE mine, b CHECK (b > 0), c CHECK (even(c))); CREATE INDEX i ON t(a);'
    'CREATE INDEX j ON t(even(c)); CREATE VIRTUAL TABLE f USING fts5(x);'
    'PRAGMA ignore_check_constraints=ON; INSERT INTO t VALUES (1, -1, 2); INSERT INTO f VALUES (1)')
print('done', flush=True)
";
    assert_eq!(Program::run(APPLICATION, &ground.at("")).line(), "done");
    let saved = ground.dump();
    ground.sql("DROP TABLE f");
    ground.restore(&saved).unwrap();
    assert_eq!(ground.is_as_saved(&saved), Some(true));
}

#[test]
fn a_crafted_journal_deletes_nobody_elses_file() {
    let ground = Ground::new();
    ground.sql("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, zeroblob(100000)), (2, zeroblob(100000))");
    let mut program = Program::open(&ground.at(""));
    program.ask("PRAGMA cache_size=1");
    program.ask("BEGIN");
    program.ask("UPDATE t SET b = randomblob(100000)");
    program.kill();
    // The end of a journal that takes part in a transaction over several files: see "the rollback journal", super-journal
    // record: page number of the lock byte page, name, length, checksum, magic.
    let victim = ground.folder.path().join("victim-mj123456989");
    fs::write(&victim, format!("{}\0", ground.at("-journal").display())).unwrap();
    let name = victim.to_str().unwrap().as_bytes();
    let mut record = (0x4000_0000_u32 / 4096 + 1).to_be_bytes().to_vec();
    record.extend_from_slice(name);
    record.extend_from_slice(&u32::try_from(name.len()).unwrap().to_be_bytes());
    record.extend_from_slice(&name.iter().map(|&byte| u32::from(byte)).sum::<u32>().to_be_bytes());
    record.extend_from_slice(&[0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]);
    let mut journal = fs::read(ground.at("-journal")).unwrap();
    journal.extend_from_slice(&record);
    fs::write(ground.at("-journal"), &journal).unwrap();
    ground.dump();
    assert!(victim.exists());
    assert_eq!(ground.rows(), 2);
    // SQLite by itself does delete it: the test would see a difference.
    fs::write(ground.at("-journal"), &journal).unwrap();
    ground.rows();
    assert!(!victim.exists());
}

#[test]
fn a_read_only_file_system_is_read_with_log_and_journal_and_refused_before_a_restore() {
    let ground = Ground::new();
    let mut program = log_of_2000(&ground);
    program.kill();
    let folder = ground.at("").parent().unwrap().to_owned();
    let mount = |arguments: &[&str]| Command::new("mount").args(arguments).arg(&folder).status().unwrap().success();
    let itself = folder.to_str().unwrap();
    assert!(mount(&["--bind", itself]) && mount(&["-o", "remount,bind,ro"]));
    let saved = ground.try_dump();
    let same = saved.as_ref().ok().and_then(|saved| ground.is_as_saved(saved));
    let restored = saved.as_ref().map(|saved| ground.restore(saved).map_err(|error| error.to_string()));
    let restored = restored.map_err(ToString::to_string);
    assert!(Command::new("umount").arg(&folder).status().unwrap().success());
    assert_eq!(count_of_dump(&ground), 2000);
    assert_eq!(same, Some(true));
    assert!(restored.unwrap().unwrap_err().contains("read-only"));
}

#[test]
fn a_full_disk_leaves_the_live_database_as_it_was() {
    let ground = Ground::new();
    let folder = ground.at("").parent().unwrap().to_owned();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3M", "none"]).arg(&folder).status().unwrap();
    assert!(mounted.success());
    ground.sql("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, zeroblob(1500000))");
    let saved = ground.dump();
    ground.sql("DELETE FROM t; VACUUM; INSERT INTO t VALUES (1, 2), (3, 4)");
    fs::write(folder.join("filler"), vec![1; 2_500_000]).unwrap();
    let failed = ground.restore(&saved).map_err(|error| error.to_string());
    let rows = ground.rows();
    fs::remove_file(folder.join("filler")).unwrap();
    let finished = ground.restore(&saved).map_err(|error| error.to_string());
    let after = ground.rows();
    assert!(Command::new("umount").arg(&folder).status().unwrap().success());
    assert!(failed.unwrap_err().contains("full"));
    assert_eq!((rows, finished, after), (2, Ok(()), 1));
}
