//! User and password for an http server: from a file, or by a helper program. Nobody is ever asked at a terminal.
//!
//! The file is that of git-credential-store(1), the helper speaks as git-credential(1) describes. No error holds a secret,
//! and neither does an argument of the helper.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::call::call;
use super::{Access, SourceUrl};

/// The most that is read of the file, in bytes.
const LARGEST: u64 = 1 << 20;

/// A user name and a password. Never printed: it has no `Debug`.
pub(super) struct Login {
    pub user: String,
    pub password: String,
}

/// What the settings have for `url`, in turn: the file, then the helper. `Ok(None)` where neither knows any.
pub(super) fn find(access: &Access, url: &SourceUrl, timeout: Duration) -> Result<Option<Login>, String> {
    let Some(wanted) = Place::parse(url.reveal()) else { return Ok(None) };
    if let Some(file) = &access.credentials
        && let Some(login) = stored(file, &wanted)?
    {
        return Ok(Some(login));
    }
    match &access.credential_helper {
        Some(helper) => ask(helper, &wanted, timeout).map(Some),
        None => Ok(None),
    }
}

impl Access {
    /// What is wrong with these files, and with the private key for ssh, as far as can be told without a server.
    pub fn check(&self, ssh_key: Option<&Path>) -> Vec<String> {
        let known_hosts = self.known_hosts.as_deref().map(|file| {
            let words = |error| format!("source.known_hosts: cannot read {}: {error}", file.display());
            File::open(file).map(drop).map_err(words)
        });
        let checks = [
            ssh_key.map(is_private),
            known_hosts,
            self.credentials.as_deref().map(|file| read(file).map(drop)),
            self.credential_helper.as_deref().map(may_run),
        ];
        checks.into_iter().flatten().filter_map(Result::err).collect()
    }
}

/// Whether nobody else can read the private key `key`, as ssh(1) asks for it.
pub(super) fn is_private(key: &Path) -> Result<(), String> {
    let shown = key.display();
    let metadata = std::fs::metadata(key).map_err(|error| format!("source.ssh_key: cannot read {shown}: {error}"))?;
    if metadata.mode() & 0o077 == 0 {
        Ok(())
    } else {
        Err(format!("source.ssh_key: {shown} can be read by others; chmod 600 it"))
    }
}

/// A URL taken apart as far as credentials go; what was percent-encoded is decoded.
#[derive(PartialEq, Eq)]
struct Place {
    protocol: String,
    host: String,
    path: String,
    user: Option<String>,
    password: Option<String>,
}

impl Place {
    fn parse(url: &str) -> Option<Self> {
        let (protocol, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((userinfo, host)) => (Some(userinfo), host),
            None => (None, authority),
        };
        let (user, password) = match userinfo.map(|info| info.split_once(':').ok_or(info)) {
            Some(Ok((user, password))) => (Some(decode(user)?), Some(decode(password)?)),
            Some(Err(user)) => (Some(decode(user)?), None),
            None => (None, None),
        };
        let default = match protocol {
            "https" => ":443",
            "http" => ":80",
            _ => "",
        };
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(default).filter(|_| !default.is_empty()).unwrap_or(&host).to_owned();
        Some(Self { protocol: protocol.to_owned(), host, path: path.trim_end_matches('/').to_owned(), user, password })
    }

    /// Whether this entry of the file is for `wanted`: an entry without a path is for all of its host.
    fn is_for(&self, wanted: &Self) -> bool {
        let user = wanted.user.is_none() || wanted.user == self.user;
        let path = self.path.is_empty() || self.path == wanted.path;
        self.protocol == wanted.protocol && self.host == wanted.host && user && path
    }
}

fn stored(file: &Path, wanted: &Place) -> Result<Option<Login>, String> {
    let text = read(file)?;
    let entries = text.lines().filter_map(Place::parse).filter(|entry| entry.is_for(wanted));
    Ok(entries
        .max_by_key(|entry| !entry.path.is_empty())
        .and_then(|entry| Some(Login { user: entry.user?, password: entry.password? })))
}

fn read(file: &Path) -> Result<String, String> {
    let shown = file.display();
    let metadata =
        std::fs::metadata(file).map_err(|error| format!("source.credentials: cannot read {shown}: {error}"))?;
    let owner = metadata.uid();
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(format!("source.credentials: {shown} belongs to user {owner}; chown root it"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(format!("source.credentials: {shown} can be read by others; chmod 600 it"));
    }
    let content = File::open(file).and_then(|file| crate::fs::read_bounded(&file, LARGEST));
    let content = content.map_err(|error| format!("source.credentials: cannot read {shown}: {error}"))?;
    String::from_utf8(content).map_err(|_| format!("source.credentials: {shown} is not UTF-8"))
}

fn may_run(helper: &Path) -> Result<(), String> {
    let shown = helper.display();
    let metadata =
        std::fs::metadata(helper).map_err(|error| format!("source.credential_helper: cannot run {shown}: {error}"))?;
    if !metadata.is_file() || metadata.mode() & 0o111 == 0 {
        return Err(format!("source.credential_helper: {shown} is no program"));
    }
    if metadata.mode() & 0o002 != 0 {
        return Err(format!("source.credential_helper: {shown} can be written by anybody; chmod go-w it"));
    }
    Ok(())
}

fn ask(helper: &Path, wanted: &Place, timeout: Duration) -> Result<Login, String> {
    may_run(helper)?;
    let mut question = format!("protocol={}\nhost={}\n", wanted.protocol, wanted.host);
    let path = Some(&wanted.path).filter(|path| !path.is_empty());
    for (key, value) in [("path", path), ("username", wanted.user.as_ref())] {
        // A line break would be a second answer to a question that nobody asked.
        if let Some(value) = value.filter(|value| !value.contains(char::is_control)) {
            question.push_str(&format!("{key}={value}\n"));
        }
    }
    question.push('\n');
    let failed = |words: String| format!("source.credential_helper: {words}");
    let answer = call(helper, &["get".as_ref()], question.as_bytes(), Path::new("/"), timeout)
        .map_err(|error| failed(error.to_string()))?;
    let shown = helper.display();
    if !answer.success {
        return Err(failed(format!("{shown} ended with an error")));
    }
    let text = String::from_utf8(answer.stdout).map_err(|_| failed(format!("{shown} answered no text")))?;
    let (mut user, mut password) = (wanted.user.clone(), None);
    for line in text.lines() {
        match line.split_once('=') {
            Some(("username", value)) => user = Some(value.to_owned()),
            Some(("password", value)) => password = Some(value.to_owned()),
            _ => {}
        }
    }
    match (user, password) {
        (Some(user), Some(password)) => Ok(Login { user, password }),
        _ => Err(failed(format!("{shown} knows no user and password for {}://{}", wanted.protocol, wanted.host))),
    }
}

// RFC 3986, 2.1.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(['\0', '\n', '\r']))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(text: &str, mode: u32) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
        file
    }

    fn lookup(text: &str, url: &str) -> Option<(String, String)> {
        let file = file(text, 0o600);
        let access = Access { credentials: Some(file.path().to_owned()), ..Access::default() };
        let found = find(&access, &SourceUrl::new(url).unwrap(), Duration::from_secs(60)).unwrap();
        found.map(|login| (login.user, login.password))
    }

    #[test]
    fn an_entry_is_for_its_protocol_host_port_and_user() {
        let text = "https://a:p%40ss@example.org\nhttps://b:two@example.org:8443\nhttps://c:three@example.org/x.git\n";
        let login = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(lookup(text, "https://example.org/y.git"), login("a", "p@ss"));
        assert_eq!(lookup(text, "https://example.org:443/y.git"), login("a", "p@ss"));
        assert_eq!(lookup(text, "https://example.org/x.git"), login("c", "three"));
        assert_eq!(lookup(text, "https://example.org:8443/y.git"), login("b", "two"));
        assert_eq!(lookup(text, "https://c@example.org/x.git"), login("c", "three"));
        for other in ["http://example.org/y.git", "https://d@example.org/y.git", "https://example.com/y.git"] {
            assert_eq!(lookup(text, other), None, "{other}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let file = file("https://a:secret@example.org\n", 0o640);
        let access = Access { credentials: Some(file.path().to_owned()), ..Access::default() };
        let refused = access.check(None).concat();
        assert!(refused.contains("chmod 600") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_helper_is_asked_on_its_standard_input() {
        let folder = tempfile::tempdir().unwrap();
        let helper = folder.path().join("helper");
        let script = "#!/bin/sh\n[ \"$*\" = get ] || exit 1\nhost=$(sed -n s/^host=//p)\n\
                      [ \"$host\" = broken ] && echo password=secret >&2 && exit 1\nprintf 'username=u\\npassword=%s\\n' \"$host\"\n";
        fs::write(&helper, script).unwrap();
        fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
        let access = Access { credential_helper: Some(helper), ..Access::default() };
        let ask = |url: &str| find(&access, &SourceUrl::new(url).unwrap(), Duration::from_secs(60));
        assert_eq!(ask("https://example.org/x").unwrap().unwrap().password, "example.org");
        let refused = ask("https://broken/x").err().unwrap();
        assert!(refused.contains("ended with an error") && !refused.contains("secret"), "{refused}");
    }
}
