//! Which keys an ssh server is known by: the lines of known_hosts files that speak of it, as sshd(8) describes them.
//!
//! libgit2 by itself reads only `~/.ssh/known_hosts`, knows neither patterns nor revoked keys, and words nothing. It is
//! shown a file with just this server's keys, so that it asks the server for one of those; the decision is made here.

use std::fmt::Write;
use std::fs::File;
use std::path::{Path, PathBuf};

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;

use crate::fs::{IoContext, PathError};

/// The most that is read of one file, in bytes.
const LARGEST: u64 = 16 << 20;
const SYSTEM: &str = "/etc/ssh/ssh_known_hosts";

/// What the files say of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownHost {
    /// As ssh writes it: `host`, or `[host]:port` where the port is not 22.
    name: String,
    keys: Vec<Vec<u8>>,
    revoked: Vec<Vec<u8>>,
    /// Where it was looked for, for people.
    files: String,
}

impl KnownHost {
    /// Reads what `only`, or ssh's own files, say of the server. A missing file says nothing, but `only` has to be there.
    pub(super) fn read(host: &str, port: u16, only: Option<&Path>) -> Result<Self, PathError> {
        let files = match only {
            Some(file) => vec![file.to_owned()],
            None => own_files(),
        };
        let mut text = String::new();
        for file in &files {
            match File::open(file).and_then(|file| crate::fs::read_bounded(&file, LARGEST)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && only.is_none() => {}
                read => {
                    text.push_str(&String::from_utf8_lossy(&read.at("read", file)?));
                    text.push('\n');
                }
            }
        }
        let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        Ok(Self::parse(host, port, &text, names.join(" or ")))
    }

    fn parse(host: &str, port: u16, text: &str, files: String) -> Self {
        let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
        let mut found = Self { name: name.clone(), keys: Vec::new(), revoked: Vec::new(), files };
        let lines: Vec<Line<'_>> = text.lines().filter_map(Line::parse).collect();
        found.collect(&lines, &name);
        // Like ssh, which falls back to a key that is known for the host without a port.
        if found.keys.is_empty() && port != 22 {
            found.collect(&lines, host);
        }
        found
    }

    fn collect(&mut self, lines: &[Line<'_>], name: &str) {
        for line in lines.iter().filter(|line| line.speaks_of(name)) {
            match line.marker {
                None => self.keys.push(line.key.clone()),
                Some("@revoked") => self.revoked.push(line.key.clone()),
                // A certified host key is none that libssh2 could check.
                Some(_) => {}
            }
        }
    }

    /// The same as a file that libgit2 understands.
    pub(super) fn as_file(&self) -> String {
        self.keys.iter().fold(String::new(), |mut text, key| {
            let kind = kind(key);
            let encoded = openssl::base64::encode_block(key);
            // Writing to a String can't fail.
            writeln!(text, "{} {kind} {encoded}", self.name).ok();
            text
        })
    }

    /// Whether the server is the one that is known, by the key that it showed; else why not, for people.
    pub(super) fn check(&self, key: &[u8]) -> Result<(), String> {
        let shown = format!("{} key {}", kind(key), fingerprint(key));
        let Self { name, files, .. } = self;
        if self.revoked.iter().any(|revoked| revoked == key) {
            return Err(format!("{name} shows the {shown}, which is marked as revoked in {files}"));
        }
        if self.keys.iter().any(|known| known == key) {
            return Ok(());
        }
        if self.keys.is_empty() {
            return Err(format!(
                "the host {name} is unknown; it shows the {shown}; if that is its own, add it to {files}, for example \
                 with ssh-keyscan(1)"
            ));
        }
        let known: Vec<String> = self.keys.iter().map(|key| format!("{} {}", kind(key), fingerprint(key))).collect();
        Err(format!(
            "the host key of {name} has changed: it shows the {shown}, and {files} has {}; somebody may be in between, or \
             it was set up anew; if you know why, replace its lines there",
            known.join(", ")
        ))
    }
}

fn own_files() -> Vec<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from).or_else(|| {
        // systemd gives a system's service none.
        nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten().map(|user| user.dir)
    });
    let own = home.map(|home| home.join(".ssh/known_hosts"));
    own.into_iter().chain([PathBuf::from(SYSTEM)]).collect()
}

/// One line: an optional marker, patterns, and a key.
struct Line<'t> {
    marker: Option<&'t str>,
    hosts: &'t str,
    key: Vec<u8>,
}

impl<'t> Line<'t> {
    fn parse(line: &'t str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace().peekable();
        if words.peek()?.starts_with('#') {
            return None;
        }
        let marker = words.next_if(|word| word.starts_with('@'));
        let (hosts, named, key) = (words.next()?, words.next()?, words.next()?);
        let key = openssl::base64::decode_block(key).ok()?;
        (kind(&key) == named).then_some(Self { marker, hosts, key })
    }

    fn speaks_of(&self, name: &str) -> bool {
        if let Some(hashed) = self.hosts.strip_prefix("|1|") {
            return is_hash_of(hashed, name).unwrap_or(false);
        }
        let mut matched = false;
        for pattern in self.hosts.split(',') {
            match pattern.strip_prefix('!') {
                Some(pattern) if fits(&pattern.to_ascii_lowercase(), name) => return false,
                Some(_) => {}
                None => matched |= fits(&pattern.to_ascii_lowercase(), name),
            }
        }
        matched
    }
}

// `SALT|HASH`: the name is hidden behind an HMAC with SHA-1.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let (salt, hash) = (openssl::base64::decode_block(salt).ok()?, openssl::base64::decode_block(hash).ok()?);
    let key = PKey::hmac(&salt).ok()?;
    let computed = Signer::new(MessageDigest::sha1(), &key).ok()?.sign_oneshot_to_vec(name.as_bytes()).ok()?;
    Some(computed == hash)
}

// Patterns of `*` and `?`. What was tried is a pair of positions, so that no pattern takes long.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

// The key's kind, which its own bytes begin with (RFC 4253, 6.6).
fn kind(key: &[u8]) -> &str {
    let name = key.split_first_chunk::<4>().and_then(|(length, rest)| rest.get(..u32::from_be_bytes(*length) as usize));
    name.and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_graphic()))
        .unwrap_or("unknown")
}

fn fingerprint(key: &[u8]) -> String {
    let encoded = openssl::base64::encode_block(&openssl::sha::sha256(key));
    format!("SHA256:{}", encoded.trim_end_matches('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(fill: u8) -> Vec<u8> {
        [&[0, 0, 0, 11][..], b"ssh-ed25519", &[0, 0, 0, 32], &[fill; 32]].concat()
    }

    fn line(hosts: &str, fill: u8) -> String {
        format!("{hosts} ssh-ed25519 {}\n", openssl::base64::encode_block(&key(fill)))
    }

    fn known(text: &str, host: &str, port: u16) -> KnownHost {
        KnownHost::parse(host, port, text, "the file".to_owned())
    }

    #[test]
    fn hosts_are_found_by_name_pattern_port_and_hash() {
        let hash = |name: &str| {
            let key = PKey::hmac(b"salt").unwrap();
            let hash = Signer::new(MessageDigest::sha1(), &key).unwrap().sign_oneshot_to_vec(name.as_bytes()).unwrap();
            format!("|1|{}|{}", openssl::base64::encode_block(b"salt"), openssl::base64::encode_block(&hash))
        };
        for (hosts, host, port) in [
            ("example.org", "example.org", 22),
            ("other,Example.org", "example.org", 22),
            ("*.example.org", "git.example.org", 22),
            ("[example.org]:2222", "example.org", 2222),
            ("example.org", "example.org", 2222),
            (&hash("example.org"), "example.org", 22),
            (&hash("[example.org]:2222"), "example.org", 2222),
        ] {
            let known = known(&line(hosts, 1), host, port);
            assert_eq!(known.check(&key(1)), Ok(()), "{hosts}");
            assert!(known.check(&key(2)).unwrap_err().contains("has changed"), "{hosts}");
        }
        for (hosts, host, port) in [
            ("example.org", "example.com", 22),
            ("*.example.org,!git.example.org", "git.example.org", 22),
            ("[example.org]:2222", "example.org", 22),
            (&hash("example.com"), "example.org", 22),
            ("# example.org", "example.org", 22),
            ("|1|x", "example.org", 22),
        ] {
            assert!(known(&line(hosts, 1), host, port).check(&key(1)).unwrap_err().contains("is unknown"), "{hosts}");
        }
    }

    #[test]
    fn a_revoked_key_is_refused_even_where_it_is_listed_and_an_authority_is_no_key() {
        let text = line("example.org", 1) + "@revoked " + &line("*", 1) + "@cert-authority " + &line("*", 2);
        let known = known(&text, "example.org", 22);
        assert!(known.check(&key(1)).unwrap_err().contains("revoked"));
        assert!(known.check(&key(2)).is_err());
    }

    #[test]
    fn every_key_of_a_host_counts_and_its_fingerprint_is_that_of_ssh_keygen() {
        let known = known(&(line("a", 1) + &line("a", 2)), "a", 22);
        assert_eq!((known.check(&key(1)), known.check(&key(2))), (Ok(()), Ok(())));
        assert_eq!(known.as_file().lines().count(), 2);
        assert!(known.check(&key(3)).unwrap_err().contains("SHA256:"));
    }
}
