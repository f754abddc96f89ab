//! A web server on the loopback address, which modules with the network of the machine reach.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Serves texts by path until the test process ends.
pub struct Web {
    address: String,
    pages: Arc<Mutex<HashMap<String, String>>>,
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

    /// Serves `text` at `path` from now on.
    pub fn put(&self, path: &str, text: &str) -> &Self {
        self.pages.lock().unwrap().insert(path.to_owned(), text.to_owned());
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
    pages: &Mutex<HashMap<String, String>>,
    asked: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut known = None;
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("if-none-match")
        {
            known = Some(value.trim().to_owned());
        }
    }
    let page = pages.lock().unwrap().get(&path).cloned();
    // A tag that follows the content: its length and sum are enough for texts of a test.
    let tag = page.as_ref().map(|text| format!("\"{}-{}\"", text.len(), text.bytes().map(u64::from).sum::<u64>()));
    let (status, body) = match &page {
        None => ("404 Not Found", ""),
        Some(_) if known.is_some() && known == tag => ("304 Not Modified", ""),
        Some(text) => ("200 OK", text.as_str()),
    };
    asked.lock().unwrap().push(format!("{path} {}", &status[..3]));
    let tag = tag.map(|tag| format!("ETag: {tag}\r\n")).unwrap_or_default();
    let length = if status.starts_with("304") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "HTTP/1.1 {status}\r\n{tag}{length}Connection: close\r\n\r\n{body}")
}
