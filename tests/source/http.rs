//! A web server for one folder of repositories: each request is handed to `git http-backend` as CGI.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use openssl::ssl::SslAcceptor;

pub struct Server {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    scheme: &'static str,
}

impl Server {
    pub fn url(&self, repository: &str) -> String {
        format!("{}://{}/{repository}", self.scheme, self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Serves the folder that `repository` lies in, to those who give the password, if there is one.
#[allow(dead_code, reason = "as below")]
pub fn serve(repository: &Path, password: Option<(&str, &str)>) -> Server {
    start(repository, password, None)
}

/// The same over TLS.
#[allow(dead_code, reason = "this file is part of two tests, and one of them needs it")]
pub fn serve_tls(repository: &Path, password: Option<(&str, &str)>, acceptor: SslAcceptor) -> Server {
    start(repository, password, Some(acceptor))
}

fn start(repository: &Path, password: Option<(&str, &str)>, acceptor: Option<SslAcceptor>) -> Server {
    let root = repository.parent().unwrap().to_owned();
    let expected =
        password.map(|(user, password)| format!("Basic {}", base64(format!("{user}:{password}").as_bytes())));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming() {
            if flag.load(Ordering::SeqCst) {
                return;
            }
            let stream = stream.unwrap();
            match acceptor.as_ref().map(|acceptor| acceptor.accept(stream.try_clone().unwrap())) {
                None => answer(stream, &root, expected.as_deref()),
                Some(Ok(stream)) => answer(stream, &root, expected.as_deref()),
                // A client that does not trust the certificate leaves here.
                Some(Err(_)) => {}
            }
        }
    });
    Server { address, ended, thread: Some(thread), scheme }
}

fn answer(stream: impl Read + Write, root: &Path, expected: Option<&str>) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
    let headers = headers(&mut reader);
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value.as_str());
    let body = if header("transfer-encoding") == "chunked" {
        chunked(&mut reader)
    } else {
        let mut body = vec![0; header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut body).unwrap();
        body
    };
    if expected.is_some_and(|expected| header("authorization") != expected) {
        return respond(reader.get_mut(), "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", b"");
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let output = backend(root, &method, path, query, header("content-type"), header("git-protocol"), &body);
    let end = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|l| l.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    let kept: String = head.lines().filter(|l| !l.starts_with("Status:")).map(|l| format!("{l}\r\n")).collect();
    respond(reader.get_mut(), &status, &kept, &output[end + 4..]);
}

fn respond(stream: &mut impl Write, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // A client that has heard enough may have left.
    if stream.write_all(head.as_bytes()).is_ok() {
        stream.write_all(body).unwrap_or_default();
    }
}

fn headers(reader: &mut impl BufRead) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
            None => return headers,
        }
    }
}

fn chunked(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let length = usize::from_str_radix(line.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).unwrap();
        body.extend_from_slice(&chunk[..length]);
        if length == 0 {
            return body;
        }
    }
}

fn backend(root: &Path, method: &str, path: &str, query: &str, kind: &str, protocol: &str, body: &[u8]) -> Vec<u8> {
    let nowhere = PathBuf::from("/dev/null");
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .envs([("GIT_CONFIG_GLOBAL", &nowhere), ("GIT_CONFIG_SYSTEM", &nowhere)])
        .envs([("GIT_PROJECT_ROOT", root)])
        .envs([("GIT_HTTP_EXPORT_ALL", "1"), ("REQUEST_METHOD", method), ("PATH_INFO", path), ("QUERY_STRING", query)])
        .envs([("CONTENT_TYPE", kind), ("GIT_PROTOCOL", protocol), ("CONTENT_LENGTH", &body.len().to_string())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    child.stdin.take().unwrap().write_all(body).unwrap_or_default();
    child.wait_with_output().unwrap().stdout
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let word = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for place in 0..4 {
            let letter = ALPHABET[(word >> (18 - 6 * place)) as usize & 63] as char;
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}
