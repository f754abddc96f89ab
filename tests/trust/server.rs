//! Real servers on this machine for one test: sshd, started for each connection, and an authority for TLS.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509NameBuilder};

use super::keys::Keys;

/// An sshd that gives out one repository, whatever is asked for, to whoever has one key.
pub struct Sshd {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Sshd {
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("ssh://root@127.0.0.1:{}/modules.git", self.port())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Serves `repository` with the host keys `hosts` to the key `user`, all of `keys`.
pub fn sshd(keys: &Keys, hosts: &[&str], user: &str, repository: &str) -> Sshd {
    fs::create_dir_all("/run/sshd").unwrap();
    let authorized = keys.path().join("authorized_keys");
    fs::write(&authorized, keys.public(user) + "\n").unwrap();
    let git = which("git");
    let settings = format!(
        "{}AuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         LogLevel QUIET\nForceCommand exec {} -c safe.directory=* upload-pack {repository}\n",
        hosts.iter().map(|host| format!("HostKey {}\n", keys.path().join(host).display())).collect::<String>(),
        authorized.display(),
        git.display(),
    );
    let config = keys.path().join(format!("sshd-{}", hosts.join("-")));
    fs::write(&config, settings).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            if flag.load(Ordering::SeqCst) {
                return;
            }
            let stream = stream.unwrap();
            let output = OwnedFd::from(stream.try_clone().unwrap());
            let mut server = Command::new("/usr/sbin/sshd")
                .args(["-i", "-f"])
                .arg(&config)
                .stdin(OwnedFd::from(stream))
                .stdout(output)
                .stderr(Stdio::null())
                .spawn()
                .expect("sshd is installed");
            server.wait().unwrap();
        }
    });
    Sshd { address, ended, thread: Some(thread) }
}

fn which(program: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file()).unwrap()
}

/// An authority of its own, written to `file`, and a server for 127.0.0.1 that it vouches for.
pub fn authority(file: &Path) -> SslAcceptor {
    let (ca_key, key) = (key(), key());
    let ca = certificate("Test authority", &ca_key, None);
    let server = certificate("127.0.0.1", &key, Some((&ca, &ca_key)));
    fs::write(file, ca.to_pem().unwrap()).unwrap();
    let mut acceptor = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).unwrap();
    acceptor.set_private_key(&key).unwrap();
    acceptor.set_certificate(&server).unwrap();
    acceptor.build()
}

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn certificate(name: &str, key: &PKey<Private>, by: Option<(&X509, &PKey<Private>)>) -> X509 {
    let mut subject = X509NameBuilder::new().unwrap();
    subject.append_entry_by_text("CN", name).unwrap();
    let subject = subject.build();
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let serial = BigNum::from_u32(if by.is_some() { 2 } else { 1 }).unwrap().to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(by.map_or(&*subject, |(ca, _)| ca.subject_name())).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::days_from_now(0).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::days_from_now(10).unwrap()).unwrap();
    if let Some((ca, _)) = by {
        let names =
            SubjectAlternativeName::new().ip("127.0.0.1").build(&builder.x509v3_context(Some(ca), None)).unwrap();
        builder.append_extension(names).unwrap();
    } else {
        builder.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
    }
    builder.sign(by.map_or(key, |(_, ca_key)| ca_key), MessageDigest::sha256()).unwrap();
    builder.build()
}
