//! Over the network: servers that are known or not, and who asks them. Nothing secret is ever in what is said or kept.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::http;
use super::keys::Keys;
use super::refusal;
use super::server::{authority, sshd};
use super::support::{Module, Root, Source};

const SECRET: &str = "s3cret-of-the-source";

/// `updates --json run` with `[source]` set so, and this in its environment. The record, and all that was written.
#[track_caller]
fn run(root: &Root, settings: &str, environment: &[(&str, &Path)]) -> (Value, String) {
    root.write("/etc/updates/config.toml", format!("[source]\n{settings}"));
    let output = Command::new(env!("CARGO_BIN_EXE_updates"))
        .arg("--root")
        .arg(root.path())
        .args(["--json", "run"])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("TMPDIR", root.temporary())
        .env("HOME", root.temporary())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let record = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}{stderr}"));
    (record, stdout + &stderr)
}

fn private(path: PathBuf, content: &str) -> PathBuf {
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

#[test]
fn an_ssh_server_is_known_by_the_files_of_ssh_or_by_the_configured_one() {
    let (keys, source) = (Keys::new(), Source::of(&[&Module::idle("app", "1.0.0")]));
    for name in ["host", "other", "user"] {
        keys.ssh(name);
    }
    // A second kind of key, which libssh2 would prefer by itself.
    let rsa = keys.path().join("rsa");
    super::keys::run("ssh-keygen", &["-q", "-t", "ecdsa", "-N", "", "-f", rsa.to_str().unwrap()], keys.path());
    let server = sshd(&keys, &["host", "rsa"], "user", source.path());
    let ssh = format!("url = {:?}\nssh_key = {:?}\n", server.url(), keys.path().join("user"));
    let line = |name: &str| format!("[127.0.0.1]:{} {}\n", server.port(), keys.public(name));

    let root = Root::new();
    let (record, _) = run(&root, &ssh, &[]);
    let unknown = refusal(&record);
    assert!(unknown.contains("is unknown") && unknown.contains("SHA256:"), "{unknown}");
    root.folder("/home");
    let home = root.at("/home");
    fs::create_dir(home.join(".ssh")).unwrap();
    fs::write(home.join(".ssh/known_hosts"), line("other")).unwrap();
    let (record, _) = run(&root, &ssh, &[("HOME", &home)]);
    assert!(refusal(&record).contains("has changed"), "{}", refusal(&record));
    assert!(!root.exists("/usr/local/lib/updates/modules/app"));

    fs::write(home.join(".ssh/known_hosts"), line("host")).unwrap();
    super::keys::run("ssh-keygen", &["-q", "-H", "-f", home.join(".ssh/known_hosts").to_str().unwrap()], &home);
    let (record, _) = run(&root, &ssh, &[("HOME", &home)]);
    assert!(record["sync"]["error"].is_null(), "{}", refusal(&record));
    assert_eq!(root.installed_version("app"), "1.0.0");

    // The configured file is the only one that counts then.
    let file = root.at("/etc/updates/known_hosts");
    fs::write(&file, line("other")).unwrap();
    let configured = format!("{ssh}known_hosts = {file:?}\n");
    assert!(refusal(&run(&root, &configured, &[("HOME", &home)]).0).contains("has changed"));
    fs::write(&file, line("rsa") + "@revoked * " + &keys.public("other") + "\n").unwrap();
    assert!(run(&root, &configured, &[]).0["sync"]["error"].is_null());
    fs::write(&file, line("host") + "@revoked * " + &keys.public("host") + "\n").unwrap();
    assert!(refusal(&run(&root, &configured, &[]).0).contains("revoked"));
    fs::remove_file(&file).unwrap();
    assert!(refusal(&run(&root, &configured, &[]).0).contains("known_hosts"));
}

#[test]
fn a_key_that_ssh_would_not_take_or_the_server_does_not_is_said() {
    let (keys, source, root) = (Keys::new(), Source::of(&[&Module::idle("app", "1.0.0")]), Root::new());
    for name in ["host", "user", "stranger"] {
        keys.ssh(name);
    }
    let server = sshd(&keys, &["host"], "user", source.path());
    let file = root.at("/etc/known_hosts");
    fs::write(&file, format!("[127.0.0.1]:{} {}\n", server.port(), keys.public("host"))).unwrap();
    let with = |key: &str| {
        format!("url = {:?}\nssh_key = {:?}\nknown_hosts = {file:?}\n", server.url(), keys.path().join(key))
    };
    assert!(refusal(&run(&root, &with("stranger"), &[]).0).contains("was refused"));
    assert!(refusal(&run(&root, &with("missing"), &[]).0).contains("cannot read"));
    fs::set_permissions(keys.path().join("user"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&run(&root, &with("user"), &[]).0).contains("chmod 600"));
}

#[test]
fn https_needs_a_certificate_of_a_known_authority_and_takes_a_password_from_a_file_or_a_helper() {
    let (source, root) = (Source::of(&[&Module::idle("app", "1.0.0")]), Root::new());
    let ca = root.at("/etc/ca.pem");
    let repository = Path::new(source.path());
    let server = http::serve_tls(repository, Some(("me", SECRET)), authority(&ca));
    let url = server.url(repository.file_name().unwrap().to_str().unwrap());
    let base = format!("url = {url:?}\n");
    let trusted = [("SSL_CERT_FILE", ca.as_path())];
    assert!(refusal(&run(&root, &base, &[]).0).contains("not trusted"), "an unknown authority");
    assert!(refusal(&run(&root, &base, &trusted).0).contains("set source.credentials"));

    let host = url.strip_prefix("https://").unwrap().split('/').next().unwrap();
    let stored = |password: &str| private(root.at("/etc/credentials"), &format!("https://me:{password}@{host}\n"));
    let with_file = format!("{base}credentials = {:?}\n", stored("wrong-password"));
    let (record, said) = run(&root, &with_file, &trusted);
    assert!(refusal(&record).contains("were refused") && !said.contains("wrong-password"), "{said}");
    stored(SECRET);
    let (record, said) = run(&root, &with_file, &trusted);
    assert!(record["sync"]["error"].is_null(), "{}", refusal(&record));
    assert!(!said.contains(SECRET));
    assert_eq!(root.installed_version("app"), "1.0.0");

    let helper = root.at("/etc/helper");
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = get ] && grep -q '^host={host}$' && printf 'username=me\\npassword={SECRET}\\n'\n"
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    source.publish(&[&Module::idle("app", "2.0.0")]);
    let (record, said) = run(&root, &format!("{base}credential_helper = {helper:?}\n"), &trusted);
    assert!(record["sync"]["error"].is_null(), "{}", refusal(&record));
    assert!(!said.contains(SECRET));
    assert_eq!(root.installed_version("app"), "2.0.0");
    for kept in ["updates.db", "sources.json", "mirror.git/config"] {
        let bytes = fs::read(root.at("/var/lib/updates").join(kept)).unwrap();
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{kept} holds the password");
    }
    fs::write(&helper, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    let settings = format!("{base}credential_helper = {helper:?}\ntimeout_sec = 1\n");
    assert!(refusal(&run(&root, &settings, &trusted).0).contains("did not end within"));
}

#[test]
fn a_redirect_to_another_host_is_not_followed_with_a_password() {
    let root = Root::new();
    // Asks for a password, and sends whoever gives it elsewhere.
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let second = TcpListener::bind("127.0.0.1:0").unwrap();
    second.set_nonblocking(true).unwrap();
    let (host, elsewhere) = (first.local_addr().unwrap(), second.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        let mut redirected = false;
        while !redirected {
            let (mut stream, _) = first.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            redirected = String::from_utf8_lossy(&request).to_lowercase().contains("authorization: basic");
            let head = if redirected {
                format!("302 Found\r\nLocation: http://localhost:{elsewhere}/x/info/refs?service=git-upload-pack")
            } else {
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"".to_owned()
            };
            let answer = format!("HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    let file = private(root.at("/etc/credentials"), &format!("http://me:{SECRET}@{host}\n"));
    let (record, _) = run(&root, &format!("url = \"http://{host}/x\"\ncredentials = {file:?}\n"), &[]);
    server.join().unwrap();
    assert!(refusal(&record).contains("cannot redirect"), "{}", refusal(&record));
    assert_eq!(second.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the other host was asked");
}
