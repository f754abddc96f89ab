//! A web server on the loopback address, which modules with the network of the machine reach.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves what it is given until the test process ends.
pub struct Web {
    address: String,
    pages: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let web =
            Self { address: listener.local_addr().unwrap().to_string(), pages: Arc::default(), asked: Arc::default() };
        let (pages, asked) = (Arc::clone(&web.pages), Arc::clone(&web.asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A client that goes away in the middle is no concern of the others.
                drop(answer(stream, &pages, &asked));
            }
        });
        web
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Serves `content` at `path` from now on.
    pub fn put(&self, path: &str, content: impl Into<Vec<u8>>) -> &Self {
        self.pages.lock().unwrap().insert(path.to_owned(), content.into());
        self
    }

    /// Answers 404 at `path` from now on.
    pub fn remove(&self, path: &str) -> &Self {
        self.pages.lock().unwrap().remove(path);
        self
    }

    /// What was asked since the last call, with the status that was answered: `path 200`.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

fn answer(
    mut stream: TcpStream,
    pages: &Mutex<HashMap<String, Vec<u8>>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    // apt asks for `/./name` where a repository lies in one folder.
    let path = request.split(' ').nth(1).unwrap_or_default().replace("/./", "/");
    let mut known = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("if-none-match")
        {
            known = Some(value.trim().to_owned());
        }
    }
    let page = pages.lock().unwrap().get(&path).cloned();
    // A tag that follows the content: its length and sum are enough for what a test serves.
    let tag =
        page.as_ref().map(|text| format!("\"{}-{}\"", text.len(), text.iter().copied().map(u64::from).sum::<u64>()));
    let (status, body) = match &page {
        None => ("404 Not Found", &[][..]),
        Some(_) if known.is_some() && known == tag => ("304 Not Modified", &[][..]),
        Some(text) => ("200 OK", text.as_slice()),
    };
    asked.lock().unwrap().push(format!("{path} {}", &status[..3]));
    let tag = tag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    let length = if status.starts_with("304") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "HTTP/1.1 {status}\r\n{tag}{length}Connection: close\r\n\r\n")?;
    stream.write_all(body)
}
