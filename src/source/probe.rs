//! Asking a source for the head of its branch, and taking nothing: what tells whether the next fetch has a chance.

use git2::{Direction, Remote};

use super::fetch::{find_branch, look_locally, proxy};
use super::heads::advertised;
use super::talk::{Failure, Talk};
use super::{FetchError, SourceConfig, options};

/// The commit at the head of the branch, as hexadecimal. With the credentials and the bounds of a fetch; needs no mirror.
pub fn probe(config: &SourceConfig) -> Result<String, FetchError> {
    options::start();
    look_locally(config)?;
    options::set_timeouts(config.timeout);
    if config.url.is_encrypted() {
        options::trust_certificates().map_err(|error| FetchError::from_remote(&config.url, &error))?;
    }
    let mut progress = |_| std::ops::ControlFlow::Continue(());
    let talk = Talk::new(config, &mut progress)?;
    let failed = |error: git2::Error| match talk.failure(std::path::Path::new(""), error) {
        Failure::Source(error) => error,
        Failure::Damage(error) => FetchError::from_remote(&config.url, &error),
    };
    let mut remote = Remote::create_detached(config.url.reveal()).map_err(&failed)?;
    let mut connection =
        remote.connect_auth(Direction::Fetch, Some(talk.callbacks()), Some(proxy())).map_err(&failed)?;
    let heads = advertised(connection.remote()).map_err(&failed)?;
    Ok(find_branch(&heads, config)?.id.to_string())
}
