//! Keys made for one test, and commits and tags signed with them by git itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::support::{Root, Source};

/// Runs a program in a clean environment, and returns what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str], home: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GNUPGHOME", home)
        .env("HOME", home)
        .current_dir(home)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} is not installed: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A folder of keys, SSH or OpenPGP.
pub struct Keys {
    folder: TempDir,
}

impl Keys {
    pub fn new() -> Self {
        // gpg-agent's socket needs a short path.
        let folder = tempfile::Builder::new().prefix("keys-").tempdir_in("/tmp").unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes an SSH key and returns the path of its private half.
    pub fn ssh(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path.to_str().unwrap()], self.path());
        path
    }

    /// `TYPE KEY` of an SSH key, as allowed-signers and known_hosts files have it.
    pub fn public(&self, name: &str) -> String {
        let text = fs::read_to_string(self.path().join(format!("{name}.pub"))).unwrap();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Makes an OpenPGP key, at a time like `20200101T000000` if one is given, and returns its fingerprint.
    pub fn openpgp(&self, user: &str, expires: &str, at: Option<&str>) -> String {
        let time = at.map(|at| ["--faked-system-time", at]);
        let make = ["--passphrase", "", "--quick-gen-key", user, "ed25519", "sign", expires];
        self.gpg(&[time.as_ref().map_or(&[][..], |time| &time[..]), &make].concat());
        let listed = self.gpg(&["--list-keys", "--with-colons", &format!("={user}")]);
        let listed = String::from_utf8(listed).unwrap();
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned()
    }

    pub fn gpg(&self, arguments: &[&str]) -> Vec<u8> {
        run("gpg", &[&["--batch", "--quiet", "--no-permission-warning"], arguments].concat(), self.path())
    }

    /// A program for `gpg.program` that signs at `at`.
    pub fn gpg_at(&self, at: &str) -> PathBuf {
        let script = format!(
            "#!/bin/sh\nexec gpg --homedir '{}' --no-permission-warning --faked-system-time '{at}!' \"$@\"\n",
            self.path().display()
        );
        self.program("gpg-at", &script)
    }

    /// The same, now.
    pub fn gpg_now(&self, options: &str) -> PathBuf {
        let home = self.path().display();
        self.program(
            "gpg-now",
            &format!("#!/bin/sh\nexec gpg --homedir '{home}' --no-permission-warning {options} \"$@\"\n"),
        )
    }

    fn program(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.path().join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        command.args(["--homedir", self.path().to_str().unwrap(), "--kill", "all"]).stdin(Stdio::null());
        // Only where gpg was used is there an agent to end.
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok();
    }
}

/// What git has to be told to sign with an SSH key.
pub fn with_ssh(key: &Path) -> Vec<String> {
    vec!["gpg.format=ssh".to_owned(), format!("user.signingkey={}", key.display())]
}

/// What git has to be told to sign with an OpenPGP key.
pub fn with_gpg(program: &Path, key: &str) -> Vec<String> {
    vec![format!("gpg.program={}", program.display()), format!("user.signingkey={key}")]
}

fn git(source: &Source, settings: &[String], arguments: &[&str]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for setting in settings {
        words.extend(["-c", setting]);
    }
    words.extend(arguments);
    source.git(&words)
}

/// Commits all that is there, signed.
pub fn commit(source: &Source, settings: &[String]) -> String {
    source.git(&["add", "--all"]);
    git(source, settings, &["commit", "--quiet", "--allow-empty", "--gpg-sign", "--message", "Signed"]);
    source.git(&["rev-parse", "HEAD"])
}

/// Makes a signed tag of HEAD.
pub fn tag(source: &Source, settings: &[String], name: &str) {
    git(source, settings, &["tag", "--sign", "--message", "Signed", name]);
}

/// Writes the settings of `[source]`, and the file of signers that they name.
pub fn settings(root: &Root, source: &Source, verify: &str, signers: &str) {
    root.write("/etc/updates/signers", signers);
    let signers = root.at("/etc/updates/signers");
    let text = format!("[source]\nurl = {:?}\nverify = {verify:?}\nallowed_signers = {signers:?}\n", source.path());
    root.write("/etc/updates/config.toml", text);
}

/// The same with a keyring.
pub fn keyring(root: &Root, source: &Source, keyring: &[u8]) {
    root.write("/etc/updates/keyring", keyring);
    let keyring = root.at("/etc/updates/keyring");
    let text = format!("[source]\nurl = {:?}\nverify = \"commit\"\nkeyring = {keyring:?}\n", source.path());
    root.write("/etc/updates/config.toml", text);
}
