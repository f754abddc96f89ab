//! The step of a run between sync and modules: a newer version takes the run over, or is not installed and that is said.

use std::path::PathBuf;

use updates_protocol::SchemaVersion;

use super::hand_over::{handed_over_by, is_counted};
use super::install::install;
use super::offered::{Offered, offered};
use crate::fs::PathError;
use crate::program::{Artifact, Held, Note, Notes, Place, Trial, hold, program_version};
use crate::record::{Change, UpdateRecord};
use crate::supervisor::Supervisor;
use crate::supervisor::dispatcher::Dispatcher;
use crate::supervisor::event::Event;
use crate::supervisor::lock::RunLock;
use crate::supervisor::sync::Found;

/// How the run goes on.
#[derive(Debug)]
#[must_use]
pub(in crate::supervisor) enum Next {
    /// With this program.
    Modules,
    /// With this program, and without newer modules: they need a newer one.
    InstalledModules,
    /// With this version, which the link names now.
    Continue(SchemaVersion),
}

/// Says what [`step`] would do; whether newer modules would be installed.
pub(in crate::supervisor) fn look(supervisor: &Supervisor, found: &Found, dispatcher: &mut Dispatcher<'_>) -> bool {
    let offered = offered(&supervisor.layout, &supervisor.config, found);
    let updates = offered.wanted.is_some();
    tell(offered.record, offered.problem, dispatcher);
    match offered.too_old {
        Some(problem) if !updates => {
            dispatcher.event(Event::Problem(problem));
            false
        }
        _ => true,
    }
}

/// Installs what the source offers, when that is newer and nothing speaks against it.
pub(in crate::supervisor) fn step(
    supervisor: &Supervisor,
    _lock: &RunLock,
    found: &Found,
    config: Option<&PathBuf>,
    dispatcher: &mut Dispatcher<'_>,
) -> Next {
    let Offered { wanted, mut record, too_old, problem } = offered(&supervisor.layout, &supervisor.config, found);
    let mut next = Next::Modules;
    if let Some((version, artifact)) = wanted {
        match take(supervisor, found, &version, &artifact, config) {
            Ok(()) => next = Next::Continue(version),
            Err(reason) => {
                if let Some(record) = &mut record {
                    record.change = Change::Failed;
                    record.notes.push(reason);
                }
            }
        }
    }
    tell(record, problem, dispatcher);
    match (too_old, next) {
        (Some(problem), Next::Modules) => {
            dispatcher.event(Event::Problem(problem));
            Next::InstalledModules
        }
        (_, next) => next,
    }
}

/// How a run goes on whose newer version could not be executed: with this one, and without modules that need a newer one.
pub(in crate::supervisor) fn stay(supervisor: &Supervisor, found: &Found, dispatcher: &mut Dispatcher<'_>) -> Next {
    match offered(&supervisor.layout, &supervisor.config, found).too_old {
        Some(problem) => {
            dispatcher.event(Event::Problem(problem));
            Next::InstalledModules
        }
        None => Next::Modules,
    }
}

fn tell(record: Option<UpdateRecord>, problem: Option<String>, dispatcher: &mut Dispatcher<'_>) {
    if let Some(record) = record {
        dispatcher.event(Event::Program(record));
    }
    if let Some(problem) = problem {
        dispatcher.event(Event::Problem(problem));
    }
}

fn take(
    supervisor: &Supervisor,
    found: &Found,
    version: &SchemaVersion,
    artifact: &Artifact,
    config: Option<&PathBuf>,
) -> Result<(), String> {
    let layout = &supervisor.layout;
    if let Err(error) = install(supervisor, &found.revision, version, artifact, config) {
        let mut reason = error.to_string();
        if error.is_of_the_artifact() {
            let (version, sha256) = (version.to_string(), artifact.sha256.clone());
            match hold(layout, Held { version, sha256, reason: reason.clone() }) {
                Ok(()) => reason.push_str("; it is held until the source carries another one"),
                Err(error) => reason = format!("{reason}; {error}"),
            }
        }
        return Err(reason);
    }
    if supervisor.cancel.reason().is_some() {
        return Err("the run was asked to end before it was put in use".to_owned());
    }
    flip(supervisor, version, artifact).map_err(|error| error.to_string())
}

/// The order is what makes it harmless: the trial is durable before the link names the version, and a trial of a version
/// that the link does not name means nothing. A start is durable before anything of the version is executed for good.
fn flip(supervisor: &Supervisor, version: &SchemaVersion, artifact: &Artifact) -> Result<(), PathError> {
    let layout = &supervisor.layout;
    let before = Trial::read(layout)?.filter(|trial| trial.version == *version && trial.sha256 == artifact.sha256);
    let place = Place::new(layout);
    let own = program_version();
    // Its folder has the name that the source wrote, 2.0, and the program calls itself 2.0.0.
    let own = place.current().ok().flatten().filter(|current| *current == own).unwrap_or(own);
    let trial = Trial {
        version: version.clone(),
        previous: handed_over_by().map(|_| own),
        sha256: artifact.sha256.clone(),
        tries: supervisor.config.self_update.tries,
        // The same one once more, made anew because it could not be executed: it does not get more tries for that.
        starts: before.map_or(0, |trial| trial.starts),
    };
    trial.begin(layout)?;
    place.point(Some(version))
}

impl Supervisor {
    /// Takes the link back to what it named before a flip, because the version can't be executed after all.
    pub(in crate::supervisor) fn unflip(&self, version: &SchemaVersion, reason: &str) -> Result<(), PathError> {
        let trial = Trial::read(&self.layout)?.filter(|trial| trial.version == *version);
        let previous = trial.and_then(|trial| trial.previous);
        Place::new(&self.layout).point(previous.as_ref())?;
        Trial::end(&self.layout)?;
        tracing::error!("version {version} can't be executed: {reason}");
        Ok(())
    }

    /// The end of a run was reached: if this version was on trial, it no longer is, and what it replaced becomes the
    /// version to go back to. What nobody goes back to is removed.
    ///
    /// A run that did nothing because of the time has `proved` nothing: it is no end, and no try either.
    ///
    /// To be called as the very last thing: what fails before it counts against the version. Where another run holds the
    /// lock by now, that one does it.
    pub fn confirm_program(&self, proved: bool) -> Result<(), PathError> {
        let Ok(_lock) = RunLock::take(&self.layout.lock(), std::time::Duration::ZERO, || false) else { return Ok(()) };
        let (layout, notes) = (&self.layout, Notes(&self.layout));
        let own = program_version();
        let place = Place::new(layout);
        let current = place.current().unwrap_or_default();
        if let Some(trial) = Trial::read(layout)? {
            if is_counted(layout) && !proved {
                Trial::void(layout)?;
            } else if trial.version == own && handed_over_by().is_some() {
                notes.set(Note::Previous, trial.previous.map(|version| version.to_string()).as_deref())?;
                Trial::end(layout)?;
            } else if current.as_ref() != Some(&trial.version) || trial.version <= own {
                // Of a version that is not in use, or of one that a package has overtaken.
                Trial::end(layout)?;
            }
        }
        if Trial::is_damaged(layout) {
            Trial::end(layout)?;
        }
        notes.set(Note::Tell, None)?;
        if layout.versions().is_dir() && Trial::read(layout)?.is_none() {
            place.sweep(&notes.version(Note::Previous)?.into_iter().collect::<Vec<_>>())?;
        }
        Ok(())
    }
}
