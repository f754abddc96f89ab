//! Asking the source what modules there are, and which of them are trusted. A source that can't be read or is refused is
//! said; the run goes on with what is installed.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use updates_protocol::ModuleName;

use super::Supervisor;
use super::dispatcher::Dispatcher;
use super::event::Event;
use crate::config::SourceSettings;
use crate::process::CancelToken;
use crate::record::SyncRecord;
use crate::source::{
    Access, Cover, FetchError, Fetched, Mirror, RejectedFolder, Revision, SourceConfig, SourceModule, SourceUrl, Trust,
};

/// How often it is looked whether the run is to end.
const LOOK: Duration = Duration::from_millis(50);
/// How long a fetch may take to notice that.
const NOTICE: Duration = Duration::from_secs(2);
/// How long a whole fetch may take: a server that sends a byte now and then is never silent, and installed modules wait.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// What a sync found, and what of it may be installed.
pub(super) struct Found {
    pub(super) revision: Revision,
    pub(super) modules: Vec<Result<SourceModule, RejectedFolder>>,
    pub(super) cover: Cover,
}

const DAY: i64 = 24 * 60 * 60;

/// Fetches into the mirror and reads the modules. `None` when there is no source or it can't be read.
pub(super) fn fetch(supervisor: &Supervisor, dispatcher: &mut Dispatcher<'_>) -> Option<Found> {
    let mirror = Mirror::open_or_create(&supervisor.layout.mirror());
    read(supervisor, mirror, dispatcher)
}

/// The same for a check: into a scratch repository below `scratch` that borrows the mirror's objects.
pub(super) fn look(
    supervisor: &Supervisor,
    scratch: &std::path::Path,
    dispatcher: &mut Dispatcher<'_>,
) -> Option<Found> {
    let mirror = Mirror::borrowing(&scratch.join("mirror.git"), &supervisor.layout.mirror());
    read(supervisor, mirror, dispatcher)
}

/// What the mirror holds of `module` since the last sync, without asking the source. `None` when it holds nothing.
pub(super) fn last_seen(supervisor: &Supervisor, module: &ModuleName) -> Option<SourceModule> {
    let place = supervisor.layout.mirror();
    if !place.is_dir() {
        return None;
    }
    let url = SourceUrl::new(supervisor.config.source.url.as_deref()?).ok()?;
    let revision = Mirror::open_or_create(&place).ok()?.head(&config(supervisor, url))?;
    revision.modules().ok()?.into_iter().flatten().find(|found| found.name() == module)
}

/// Fetches into the mirror and says nothing else. `None` when there is no source to ask.
pub(super) fn refresh(supervisor: &Supervisor) -> Option<Result<(), FetchError>> {
    let config = config_of(supervisor)?;
    let mirror = Mirror::open_or_create(&supervisor.layout.mirror());
    Some(mirror.and_then(|mirror| fetch_until_cancelled(mirror, config, &supervisor.cancel, LONGEST).0).map(drop))
}

/// How the source is asked; `None` without one, or where its address is wrong.
pub(super) fn config_of(supervisor: &Supervisor) -> Option<SourceConfig> {
    let url = SourceUrl::new(supervisor.config.source.url.as_deref()?).ok()?;
    Some(config(supervisor, url))
}

pub(super) fn config(supervisor: &Supervisor, url: SourceUrl) -> SourceConfig {
    let settings = &supervisor.config.source;
    SourceConfig {
        url,
        branch: settings.branch.clone(),
        ssh_key: settings.ssh_key.clone(),
        access: access(settings),
        timeout: Duration::from_secs(settings.timeout_sec),
        trust: trust(settings),
        allow_non_fast_forward: settings.allow_non_fast_forward,
    }
}

/// What is wrong with the files and programs that the settings name for the source.
pub fn source_problems(settings: &SourceSettings) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(trust(settings).check().err().map(|error| error.to_string()));
    problems.extend(access(settings).check(settings.ssh_key.as_deref()));
    problems
}

/// The rule that the settings make of who has to have signed what.
fn trust(settings: &SourceSettings) -> Trust {
    Trust {
        verify: settings.verify,
        allowed_signers: settings.allowed_signers.clone(),
        keyring: settings.keyring.clone(),
    }
}

/// How the settings say that servers are known, and who asks them.
fn access(settings: &SourceSettings) -> Access {
    Access {
        known_hosts: settings.known_hosts.clone(),
        credentials: settings.credentials.clone(),
        credential_helper: settings.credential_helper.clone(),
    }
}

fn read(supervisor: &Supervisor, mirror: Result<Mirror, FetchError>, dispatcher: &mut Dispatcher<'_>) -> Option<Found> {
    let settings = &supervisor.config.source;
    let url = settings.url.as_deref()?;
    let mut record = SyncRecord { source: url.to_owned(), branch: settings.branch.clone(), ..SyncRecord::default() };
    let url = match SourceUrl::new(url) {
        Ok(url) => url,
        Err(error) => {
            record.source = "source.url".to_owned();
            record.error = Some(error.to_string());
            dispatcher.event(Event::Synced(record));
            return None;
        }
    };
    record.source = url.to_string();
    dispatcher.event(Event::Syncing { source: record.source.clone() });
    let config = config(supervisor, url);
    let fetched = mirror.and_then(|mirror| {
        // Where the fetch fails, this is what the installed modules came from.
        record.revision = mirror.head(&config).map(|revision| revision.id());
        let (fetched, still) = fetch_until_cancelled(mirror, config, &supervisor.cancel, LONGEST);
        record.stale_days = still.and_then(|seconds| stale(settings.stale_after, seconds));
        fetched
    });
    let found = match fetched {
        Ok(fetched) => {
            if let Some(reason) = fetched.rebuilt {
                dispatcher.event(Event::Problem(reason));
            }
            record.revision = Some(fetched.revision.id());
            if let Cover::Whole(signer) = &fetched.cover {
                record.signer.clone_from(signer);
            }
            let (revision, cover) = (fetched.revision, fetched.cover);
            let modules = revision.modules().map_err(|error| error.to_string());
            modules.map(|modules| Found { revision, modules, cover })
        }
        Err(error) => {
            record.refused = error.refused().map(str::to_owned);
            Err(error.to_string())
        }
    };
    let (found, error) = match found {
        Ok(found) => (Some(found), None),
        Err(error) => (None, Some(error)),
    };
    record.error = error;
    dispatcher.event(Event::Synced(record));
    found
}

/// Fetches on a thread of its own, which is left behind when it does not notice that the run is to end, or that it took
/// `longest`: libgit2 hears of it between two packets only, and waits for a name server or a connection for as long as the
/// source's timeout. What the thread leaves of the mirror is what a power cut leaves. Beside it, for how many seconds the
/// source has not moved.
fn fetch_until_cancelled(
    mut mirror: Mirror,
    config: SourceConfig,
    cancel: &CancelToken,
    longest: Duration,
) -> (Result<Fetched, FetchError>, Option<i64>) {
    let url = config.url.to_string();
    let (answer, inbox) = channel();
    // What was given up moves nothing later on, while the run goes on without it.
    let given_up = Arc::new(AtomicBool::new(false));
    let (asked, late) = (cancel.clone(), Arc::clone(&given_up));
    let spawned = thread::Builder::new().name("fetch".to_owned()).spawn(move || {
        let mut progress = |_| match asked.reason() {
            None if !late.load(Ordering::Relaxed) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
        };
        let fetched = mirror.fetch(&config, &mut progress);
        let now = jiff::Timestamp::now().as_second();
        let still = mirror.last_moved(&config, now).map(|moved| now - moved);
        // Nobody listens any more when it was left behind.
        answer.send((fetched, still)).ok();
    });
    let ended = |url: String| match cancel.reason() {
        Some(_) => FetchError::Cancelled { url },
        None => FetchError::TooLong { url, seconds: longest.as_secs() },
    };
    let (started, mut patience) = (Instant::now(), NOTICE);
    loop {
        match inbox.recv_timeout(LOOK) {
            Ok((Err(FetchError::Cancelled { url }), still)) => return (Err(ended(url)), still),
            Ok(fetched) => return fetched,
            Err(RecvTimeoutError::Disconnected) => {
                let reason = spawned.err().map_or("it ended without a word".to_owned(), |error| error.to_string());
                return (Err(FetchError::Broken { url, reason }), None);
            }
            Err(RecvTimeoutError::Timeout) if cancel.reason().is_none() && started.elapsed() < longest => {}
            Err(RecvTimeoutError::Timeout) => {
                given_up.store(true, Ordering::Relaxed);
                match patience.checked_sub(LOOK) {
                    Some(left) => patience = left,
                    None => return (Err(ended(url)), None),
                }
            }
        }
    }
}

// The days that are worth telling, of so many seconds without a change.
fn stale(after: u64, seconds: i64) -> Option<u64> {
    u64::try_from(seconds / DAY).ok().filter(|days| after > 0 && *days >= after)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_source_that_is_never_silent_and_never_ends_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("git://{}/x", listener.local_addr().unwrap());
        thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            stream.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
            // The one line that is announced would take ten minutes.
            stream.write_all(b"fff0").unwrap();
            while stream.write_all(b"0").is_ok() {
                stream.read_exact(&mut [0; 1024]).ok();
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror::open_or_create(&folder.path().join("mirror.git")).unwrap();
        let settings = crate::config::Config::default().source;
        let config = SourceConfig {
            url: SourceUrl::new(&url).unwrap(),
            branch: settings.branch.clone(),
            ssh_key: None,
            access: access(&settings),
            timeout: Duration::from_secs(settings.timeout_sec),
            trust: trust(&settings),
            allow_non_fast_forward: false,
        };
        let cancel = CancelToken::new().unwrap();
        let (fetched, _) = fetch_until_cancelled(mirror, config, &cancel, Duration::from_millis(200));
        assert!(matches!(fetched, Err(FetchError::TooLong { .. })), "{fetched:?}");
    }
}
