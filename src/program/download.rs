//! An artifact by URL: taken into a file, no byte more than was announced.

use std::fs::File;
use std::io::{self, Read, Write};
use std::time::Duration;

use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

/// How long a whole download may take.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// More are a loop.
const MAX_REDIRECTS: u32 = 5;

/// Why an artifact could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The server or the network.
    #[error("cannot fetch {url}: {reason}")]
    Unreachable {
        /// Where from, without password.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// Another number of bytes than announced.
    #[error("{url} has {found} bytes, and the source's index.json says {announced}")]
    Size {
        /// Where from, without password.
        url: String,
        /// How many there were; `more`, where counting ended.
        found: String,
        /// How many there should be.
        announced: u64,
    },
    /// The run was asked to end.
    #[error("the run was asked to end while {0} was fetched")]
    Stopped(String),
    /// What was taken could not be kept.
    #[error("cannot keep what was fetched from {url}: {source}")]
    Keep {
        /// Where from, without password.
        url: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Takes exactly `size` bytes from `url` into `file`. `silence` is how long the server may keep silent; `stop` is asked
/// while bytes arrive. Proxies are those of the environment, certificates those that the machine trusts; an https URL
/// never leads to one that is not.
pub fn download(
    url: &str,
    size: u64,
    silence: Duration,
    file: &mut File,
    stop: &dyn Fn() -> bool,
) -> Result<(), DownloadError> {
    let named = without_password(url);
    // The reason may name where a redirect leads, with a token of its own.
    let unreachable = |error: &dyn std::error::Error| {
        let reason = error.to_string();
        let words =
            reason.split(' ').map(|word| if word.contains("://") { without_password(word) } else { word.into() });
        DownloadError::Unreachable { url: named.clone(), reason: words.collect::<Vec<_>>().join(" ") }
    };
    let mut reader: Box<dyn Read> = match url.strip_prefix("file://") {
        Some(path) => Box::new(File::open(path).map_err(|error| unreachable(&error))?),
        None => {
            // With OpenSSL, which git's https brings along: one library of the machine, patched with it.
            let tls =
                TlsConfig::builder().provider(TlsProvider::NativeTls).root_certs(RootCerts::PlatformVerifier).build();
            let agent = ureq::Agent::config_builder()
                .tls_config(tls)
                .https_only(url.starts_with("https://"))
                .max_redirects(MAX_REDIRECTS)
                .timeout_connect(Some(silence))
                .timeout_recv_response(Some(silence))
                .timeout_per_read(Some(silence))
                .timeout_global(Some(LONGEST))
                .user_agent(format!("updates/{}", super::version()))
                .build()
                .new_agent();
            let response = agent.get(url).call().map_err(|error| unreachable(&error))?;
            Box::new(response.into_body().into_reader())
        }
    };
    let wrong_size = |found: String| DownloadError::Size { url: named.clone(), found, announced: size };
    let mut buffer = vec![0; 64 << 10];
    let mut taken = 0;
    loop {
        if stop() {
            return Err(DownloadError::Stopped(named));
        }
        let read = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreachable(&error)),
        };
        taken += read as u64;
        if taken > size {
            return Err(wrong_size("more".to_owned()));
        }
        file.write_all(&buffer[..read]).map_err(|source| DownloadError::Keep { url: named.clone(), source })?;
    }
    if taken == size { Ok(()) } else { Err(wrong_size(taken.to_string())) }
}

/// The URL without what stands before an `@` in its host, and without a query, where tokens are written.
fn without_password(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let host = rest.split('/').next().unwrap_or_default();
            match host.rfind('@') {
                Some(at) => format!("{scheme}://***@{}", &rest[at + 1..]),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_or_token_of_a_url_is_never_printed() {
        assert_eq!(without_password("https://me:secret@example.org/a?token=b"), "https://***@example.org/a");
        assert_eq!(without_password("https://example.org/a@b"), "https://example.org/a@b");
    }

    #[test]
    fn where_a_redirect_leads_is_told_without_its_token() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/a?token=first", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            assert!(stream.read(&mut [0; 4096]).unwrap() > 0, "nothing was asked for");
            stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: ftp://u:second@x.example/?t=third\r\n\r\n").unwrap();
        });
        let mut file = tempfile::tempfile().unwrap();
        let error = download(&url, 7, Duration::from_secs(9), &mut file, &|| false).unwrap_err().to_string();
        server.join().unwrap();
        assert!(["first", "second", "third"].iter().all(|secret| !error.contains(secret)), "{error}");
    }

    #[test]
    fn a_file_of_another_size_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "seven b").unwrap();
        let url = format!("file://{}", path.display());
        let take = |size| download(&url, size, Duration::from_secs(1), &mut tempfile::tempfile().unwrap(), &|| false);
        take(7).unwrap();
        for size in [6, 8] {
            assert!(matches!(take(size), Err(DownloadError::Size { .. })), "{size}");
        }
    }
}
