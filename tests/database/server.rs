//! What servers of both kinds need: a folder that another user owns, a process that ends with the test program, the
//! folders of earlier test programs removed, and a database's way from declaration to slot and back.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use updates::database::{
    Access, DatabaseError, Passwords, SavedDatabase, dump, require, require_restore, restore, verify,
};
use updates_protocol::Database;

/// A new folder for a server of `kind`, owned by `user`. Those of test programs that are gone are removed.
pub fn folder(kind: &str, user: &str) -> PathBuf {
    let prefix = format!("updates-test-{kind}-");
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let Some(process) = name.strip_prefix(&prefix) else { continue };
        if !Path::new("/proc").join(process).exists() {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
    let folder = std::env::temp_dir().join(format!("{prefix}{}", std::process::id()));
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let user = nix::unistd::User::from_name(user).unwrap().unwrap_or_else(|| panic!("there is no user {user}"));
    std::os::unix::fs::chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    folder
}

/// A program that runs as another user.
pub fn as_user(user: &str, program: &Path) -> Command {
    let user = nix::unistd::User::from_name(user).unwrap().unwrap();
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", user.uid))
        .arg(format!("--regid={}", user.gid))
        .args(["--clear-groups", "--"])
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Starts a server that gets `signal` when this test program ends, however that comes about.
pub fn serve(mut server: Command, signal: &str) {
    // In the call of setpriv(1) that changes the user: the change takes an earlier request back.
    let mut command = Command::new(server.get_program());
    command.args(["--pdeathsig", signal]).args(server.get_args());
    command.env_clear().envs(server.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    server.stdin(Stdio::null());
    // The signal comes when the thread ends that started it, so this one never does.
    std::thread::spawn(move || {
        let mut child: Child = command.spawn().unwrap();
        panic!("the server ended: {}", child.wait().unwrap());
    });
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until `ready`, a minute at most.
pub fn until(what: &str, mut ready: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if ready() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited a minute until {what}");
}

/// One database as a module declares it, and a folder for its dump.
pub struct Declared {
    pub database: Database,
    slot: PathBuf,
    _folder: Option<tempfile::TempDir>,
    passwords: Passwords,
    pub root: PathBuf,
    pub timeout: Duration,
}

impl Declared {
    pub fn new(value: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let slot = folder.path().to_owned();
        Self { _folder: Some(folder), ..Self::at(value, slot) }
    }

    /// With a folder that is there.
    pub fn at(value: Value, slot: PathBuf) -> Self {
        let database = Database::parse(&value).unwrap();
        let mut passwords = Passwords::default();
        passwords.remember([&database]);
        Self { database, slot, _folder: None, passwords, root: "/".into(), timeout: Duration::from_secs(60) }
    }

    pub fn slot(&self) -> &Path {
        &self.slot
    }

    /// Why it can't be saved.
    #[track_caller]
    pub fn refused(&self) -> String {
        let problem = self.require().unwrap_err().to_string();
        // What is refused now is not dumped either.
        dump(&self.database, 9, self.slot(), &self.access()).unwrap_err();
        problem
    }

    pub fn access(&self) -> Access<'_> {
        Access {
            root: &self.root,
            passwords: &self.passwords,
            timeout: self.timeout,
            interrupt: None,
            by_content: false,
        }
    }

    pub fn require(&self) -> Result<(), DatabaseError> {
        require(&self.database, &self.access())
    }

    /// Saves it, and keeps what is known of it the way a slot does.
    pub fn save(&self) -> SavedDatabase {
        let saved = dump(&self.database, 0, self.slot(), &self.access()).unwrap();
        let text = serde_json::to_string(&saved).unwrap();
        let saved = serde_json::from_str(&text).unwrap();
        verify(&saved, self.slot()).unwrap();
        saved
    }

    pub fn restore(&self, saved: &SavedDatabase) -> Result<(), DatabaseError> {
        require_restore(saved, self.slot(), &self.access())?;
        restore(saved, self.slot(), &self.access())
    }
}

/// Fails with the first line that differs.
#[track_caller]
pub fn assert_same(now: &str, before: &str) {
    for (number, (now, before)) in now.lines().zip(before.lines()).enumerate() {
        assert_eq!(now, before, "line {number}");
    }
    assert_eq!(now.len(), before.len());
}

/// The same with another content of the dump, and its size and hash as if it had been so from the beginning.
pub fn truncated(saved: &SavedDatabase, slot: &Path, content: &[u8]) -> SavedDatabase {
    let mut saved = saved.clone();
    let dump = saved.dump.as_mut().unwrap();
    fs::write(slot.join(&dump.file), content).unwrap();
    (dump.size, dump.sha256) = (content.len() as u64, updates::fs::sha256(content));
    saved
}
