//! Asking the source what modules there are. A source that can't be read is said; the run goes on with what is installed.

use std::ops::ControlFlow;
use std::time::Duration;

use updates_protocol::ModuleName;

use super::Supervisor;
use super::dispatcher::Dispatcher;
use super::event::Event;
use crate::record::SyncRecord;
use crate::source::{Mirror, RejectedFolder, Revision, SourceConfig, SourceModule, SourceUrl, Trust};

/// What a branch's `modules/` holds.
pub(super) type Found = Vec<Result<SourceModule, RejectedFolder>>;

/// What a sync found: the revision, and the modules of it.
pub(super) struct Synced {
    pub(super) revision: Revision,
    pub(super) modules: Found,
}

/// Fetches into the mirror and reads the modules. `None` when there is no source or it can't be read.
pub(super) fn fetch(supervisor: &Supervisor, dispatcher: &mut Dispatcher<'_>) -> Option<Synced> {
    let mirror = Mirror::open_or_create(&supervisor.layout.mirror());
    read(supervisor, mirror, dispatcher)
}

/// The same for a check: into a scratch repository below `scratch` that borrows the mirror's objects.
pub(super) fn look(
    supervisor: &Supervisor,
    scratch: &std::path::Path,
    dispatcher: &mut Dispatcher<'_>,
) -> Option<Synced> {
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

fn config(supervisor: &Supervisor, url: SourceUrl) -> SourceConfig {
    let settings = &supervisor.config.source;
    SourceConfig {
        url,
        branch: settings.branch.clone(),
        ssh_key: settings.ssh_key.clone(),
        timeout: Duration::from_secs(settings.timeout_sec),
        trust: Trust {
            verify: settings.verify,
            allowed_signers: settings.allowed_signers.clone(),
            keyring: settings.keyring.clone(),
        },
    }
}

fn read(
    supervisor: &Supervisor,
    mirror: Result<Mirror, crate::source::FetchError>,
    dispatcher: &mut Dispatcher<'_>,
) -> Option<Synced> {
    let settings = &supervisor.config.source;
    let url = settings.url.as_deref()?;
    let mut record =
        SyncRecord { source: url.to_owned(), branch: settings.branch.clone(), revision: None, error: None };
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
    let mut progress = |_| match supervisor.cancel.reason() {
        None => ControlFlow::Continue(()),
        Some(_) => ControlFlow::Break(()),
    };
    let fetched = mirror.and_then(|mut mirror| {
        // Where the fetch fails, this is what the installed modules came from.
        record.revision = mirror.head(&config).map(|revision| revision.id());
        mirror.fetch(&config, &mut progress)
    });
    let synced = match fetched {
        Ok(fetched) => {
            if let Some(reason) = fetched.rebuilt {
                dispatcher.event(Event::Problem(format!("the mirror was damaged and was made anew: {reason}")));
            }
            record.revision = Some(fetched.revision.id());
            let revision = fetched.revision;
            let modules = revision.modules().map_err(|error| error.to_string());
            modules.map(|modules| Synced { revision, modules })
        }
        Err(error) => Err(error.to_string()),
    };
    let (synced, error) = match synced {
        Ok(synced) => (Some(synced), None),
        Err(error) => (None, Some(error)),
    };
    record.error = error;
    dispatcher.event(Event::Synced(record));
    synced
}
