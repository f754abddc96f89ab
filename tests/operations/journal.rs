//! What reaches the journal: whole entries with fields, once each, and never at the price of the run.
//!
//! A datagram socket of the test stands in for journald's, in a mount namespace in which it lies at journald's place.

use std::collections::BTreeMap;
use std::fs::read_to_string;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wait_timeout::ChildExt;

use super::support::{Module, Root};

type Entry = BTreeMap<String, String>;

/// A journald to be, and where it listens.
struct Journald {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
    reader: Option<JoinHandle<Vec<Entry>>>,
    ended: Arc<AtomicBool>,
}

/// What a run left.
struct Written {
    status: ExitStatus,
    stdout: String,
    stderr: String,
}

impl Journald {
    /// One that reads.
    fn new() -> Self {
        let mut journald = Self::stopped();
        let (socket, ended) = (journald.socket.try_clone().unwrap(), journald.ended.clone());
        journald.reader = Some(std::thread::spawn(move || {
            let (mut entries, mut datagram) = (Vec::new(), vec![0; 1 << 20]);
            socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
            loop {
                match socket.recv(&mut datagram) {
                    Ok(length) => entries.push(parse(&datagram[..length])),
                    // What has been sent is there to be read: nothing is, and nobody is left to send.
                    Err(_) if ended.load(Ordering::Acquire) => return entries,
                    Err(_) => {}
                }
            }
        }));
        journald
    }

    /// One that does not.
    fn stopped() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        Self { folder, socket, reader: None, ended: Arc::default() }
    }

    /// Runs the program with standard error, and standard output where `both`, as systemd connects them.
    #[track_caller]
    fn run(&self, root: &Root, both: bool, arguments: &[&str]) -> Written {
        let stderr = tempfile::NamedTempFile::new_in(root.temporary()).unwrap();
        let meta = stderr.as_file().metadata().unwrap();
        let stdout = if both { stderr.reopen().unwrap() } else { tempfile::tempfile().unwrap() };
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$1\" /run/systemd/journal && shift && exec \"$@\"";
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
            .arg(self.folder.path())
            .arg(env!("CARGO_BIN_EXE_updates"))
            .arg("--root")
            .arg(root.path())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TMPDIR", root.temporary())
            .env("TZ", "UTC")
            .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
            .stdin(Stdio::null())
            .stdout(stdout.try_clone().unwrap())
            .stderr(stderr.reopen().unwrap())
            .spawn()
            .unwrap();
        let status = child.wait_timeout(Duration::from_secs(100)).unwrap();
        let status = status.unwrap_or_else(|| {
            child.kill().unwrap();
            panic!("it hangs; standard error: {}", read_to_string(stderr.path()).unwrap())
        });
        let mut bytes = vec![0; stdout.metadata().unwrap().len().try_into().unwrap()];
        stdout.read_exact_at(&mut bytes, 0).unwrap();
        let stdout = String::from_utf8(bytes).unwrap();
        Written { status, stdout, stderr: read_to_string(stderr.path()).unwrap() }
    }

    /// Every entry that has come.
    fn entries(mut self) -> Vec<Entry> {
        // The first look may come between the last entry and this.
        self.ended.store(true, Ordering::Release);
        self.reader.take().unwrap().join().unwrap()
    }
}

/// As the protocol says: `NAME=value`, or a name alone, a length, and as many bytes.
fn parse(mut bytes: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !bytes.is_empty() {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap();
        let line = &bytes[..end];
        bytes = &bytes[end + 1..];
        let (name, value) = match line.iter().position(|byte| *byte == b'=') {
            Some(at) => (&line[..at], line[at + 1..].to_vec()),
            None => {
                let mut length = [0; 8];
                bytes.read_exact(&mut length).unwrap();
                let length = usize::try_from(u64::from_le_bytes(length)).unwrap();
                let value = bytes[..length].to_vec();
                assert_eq!(bytes[length], b'\n');
                bytes = &bytes[length + 1..];
                (line, value)
            }
        };
        let name = String::from_utf8(name.to_vec()).unwrap();
        let before = entry.insert(name.clone(), String::from_utf8(value).unwrap());
        assert_eq!(before, None, "{name} twice");
    }
    entry
}

fn messages<'e>(entries: &'e [Entry], wanted: impl Fn(&Entry) -> bool) -> Vec<&'e str> {
    entries.iter().filter(|entry| wanted(entry)).map(|entry| entry["MESSAGE"].as_str()).collect()
}

fn at_most(entry: &Entry, priority: u8) -> bool {
    entry["PRIORITY"].parse::<u8>().unwrap() <= priority
}

fn is(entry: &Entry, field: &str, value: &str) -> bool {
    entry.get(field).is_some_and(|found| found == value)
}

fn broken() -> Module {
    let code = "def main(args):\n    print('about to fail')\n    open('/srv/web/file', 'w').write('after')\n    \
                raise RuntimeError('no such site')\n";
    Module::python("web", "1.2", code).declares(&["/srv/web/"])
}

#[test]
fn the_fields_of_one_module_tell_its_story() {
    let root = Root::new();
    root.write("/srv/web/file", "before");
    root.install(&broken()).install(&Module::idle("app", "1"));
    let journald = Journald::new();
    let written = journald.run(&root, true, &["run", "--no-sync"]);
    assert_eq!(written.status.code(), Some(20), "{}", written.stderr);
    let entries = journald.entries();
    let run_id = entries[0]["UPDATES_RUN_ID"].clone();
    for entry in &entries {
        assert!(is(entry, "UPDATES_RUN_ID", &run_id) && is(entry, "SYSLOG_IDENTIFIER", "updates"), "{entry:?}");
    }
    let warnings = messages(&entries, |entry| is(entry, "UPDATES_MODULE", "web") && at_most(entry, 4));
    assert!(warnings[0].starts_with("web: ") && warnings[0].ends_with("putting back what it declared"), "{warnings:?}");
    assert!(warnings.last().unwrap().contains("web: failed and was rolled back"), "{warnings:?}");
    assert!(warnings.iter().any(|text| text.contains("no such site")), "{warnings:?}");
    let own = messages(&entries, |entry| is(entry, "UPDATES_MODULE", "web") && is(entry, "UPDATES_ATTEMPT", "1"));
    assert!(own.contains(&"web: about to fail"), "{own:?}");
    let last = entries.last().unwrap();
    assert!(last["MESSAGE"].contains("1 ran well, 1 failed (web); exit status 20"), "{last:?}");
    assert!(is(last, "UPDATES_EXIT_STATUS", "20") && is(last, "PRIORITY", "3"), "{last:?}");
    assert_eq!((written.stdout.as_str(), written.stderr.as_str()), ("", ""), "each thing is said once");
}

#[test]
fn a_result_that_a_program_asked_for_is_printed_all_the_same() {
    let root = Root::new();
    root.install(&Module::idle("app", "1"));
    let journald = Journald::new();
    let written = journald.run(&root, true, &["--json", "run", "--no-sync"]);
    assert!(written.stdout.starts_with('{'), "{}", written.stdout);
    let written = journald.run(&root, false, &["run", "--no-sync"]);
    assert!(written.stdout.contains("1 module ran well"), "its output goes elsewhere: {}", written.stdout);
    assert!(!journald.entries().is_empty());
}

#[test]
fn messages_of_many_lines_and_odd_bytes_arrive_whole() {
    let root = Root::new();
    let script = "#!/bin/sh\nprintf '%s\\n' '{\"type\": \"log\", \"level\": \"ERROR\", \"message\": \"first\\nPRIORITY=0\\nthird\"}'\n\
                  printf 'odd \\377\\033[2J bytes\\n'\n";
    root.install(&Module::executable("app", "1", script));
    let journald = Journald::new();
    let written = journald.run(&root, true, &["run", "--no-sync"]);
    assert_eq!(written.status.code(), Some(0), "{}", written.stderr);
    let entries = journald.entries();
    let of_app = messages(&entries, |entry| is(entry, "UPDATES_MODULE", "app"));
    assert!(of_app.contains(&"app: first\nPRIORITY=0\nthird"));
    assert!(of_app.contains(&"app: odd \u{fffd}\\u{1b}[2J bytes"));
}

#[test]
fn a_flood_leaves_room_for_what_became_of_its_module() {
    let root = Root::new();
    let code =
        "def main(args):\n    for n in range(5000):\n        print('line', n)\n    raise RuntimeError('enough')\n";
    root.install(&Module::python("app", "1", code));
    let journald = Journald::new();
    journald.run(&root, true, &["run", "--no-sync"]);
    let entries = journald.entries();
    let lines = messages(&entries, |entry| entry["MESSAGE"].starts_with("app: line "));
    assert_eq!(lines.len(), 1000);
    let warnings = messages(&entries, |entry| at_most(entry, 4));
    assert!(warnings.iter().any(|text| text.contains("more than the journal takes; `updates logs last app`")));
    assert!(warnings.iter().any(|text| text.contains("app: failed and was rolled back")), "{warnings:?}");
}

#[test]
fn without_a_journald_everything_goes_to_standard_error_with_its_priority() {
    let root = Root::new();
    root.folder("/srv/web").install(&broken());
    let journald = Journald::stopped();
    std::fs::remove_file(journald.folder.path().join("socket")).unwrap();
    let written = journald.run(&root, false, &["run", "--no-sync"]);
    assert_eq!(written.status.code(), Some(20), "{}", written.stderr);
    assert!(written.stderr.lines().all(|line| line.starts_with('<') && &line[2..3] == ">"), "{}", written.stderr);
    assert!(written.stderr.contains("<3>web: failed and was rolled back"), "{}", written.stderr);
    assert!(written.stderr.contains("<6>web: about to fail"), "{}", written.stderr);
    assert!(written.stderr.lines().last().unwrap().contains("exit status 20"), "{}", written.stderr);
}

#[test]
fn a_journald_that_does_not_read_keeps_no_run_waiting() {
    let root = Root::new();
    let code = "def main(args):\n    for n in range(2000):\n        print('line', n)\n    return {'success': True}\n";
    root.install(&Module::python("app", "1", code));
    let journald = Journald::stopped();
    let written = journald.run(&root, false, &["run", "--no-sync"]);
    assert_eq!(written.status.code(), Some(0), "{}", written.stderr);
    journald.socket.set_nonblocking(true).unwrap();
    let mut datagram = vec![0; 1 << 16];
    let taken = std::iter::from_fn(|| journald.socket.recv(&mut datagram).ok()).count();
    assert!(taken < 1000, "it was meant not to have room for everything, and took {taken}");
}

#[test]
fn an_error_before_any_run_is_an_entry_too() {
    let root = Root::new();
    root.write("/etc/updates/config.toml", "[run]\njobs = 0\n");
    let journald = Journald::new();
    let written = journald.run(&root, true, &["run"]);
    assert_eq!(written.status.code(), Some(2));
    let entries = journald.entries();
    assert!(entries[0]["MESSAGE"].contains("run.jobs: 0 is outside 1 to 64"), "{entries:?}");
    assert!(is(&entries[0], "PRIORITY", "3") && is(&entries[0], "UPDATES_EXIT_STATUS", "2"), "{entries:?}");
}

#[test]
fn a_variable_that_was_inherited_is_not_believed() {
    let root = Root::new();
    root.install(&Module::idle("app", "1"));
    let ran = Command::new(env!("CARGO_BIN_EXE_updates"))
        .arg("--root")
        .arg(root.path())
        .args(["run", "--no-sync"])
        .env("JOURNAL_STREAM", "8:12345")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = String::from_utf8(ran.stderr).unwrap();
    assert!(stderr.contains("[INFO] app: done"), "{stderr}");
    let stamp = stderr.lines().next().unwrap();
    assert!(stamp.starts_with("[20") && stamp.as_bytes()[20] == b']', "{stamp}");
}
