//! What is to be done about the version that the source offers. Pure but for reading.

use updates_protocol::SchemaVersion;

use crate::config::{Config, Layout};
use crate::program::{Artifact, MAX_INDEX, Note, Notes, Offer, Trial, is_held, platform, program_version};
use crate::record::{Change, UpdateRecord};
use crate::source::{Cover, SourceFile};
use crate::supervisor::sync::Found;

/// What follows from an offer.
#[derive(Debug, Default)]
pub(super) struct Offered {
    /// This version and its artifact are to be installed.
    pub wanted: Option<(SchemaVersion, Artifact)>,
    /// What a person should read about it.
    pub record: Option<UpdateRecord>,
    /// Why no newer modules of this source may be installed, whatever becomes of the program.
    pub too_old: Option<String>,
    /// What is wrong with the offer.
    pub problem: Option<String>,
}

/// Reads the offer of what was found and judges it.
pub(super) fn offered(layout: &Layout, config: &Config, found: &Found) -> Offered {
    match judge(layout, config, found) {
        Ok(offered) => offered,
        Err(problem) => Offered { problem: Some(problem), ..Offered::default() },
    }
}

fn judge(layout: &Layout, config: &Config, found: &Found) -> Result<Offered, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let SourceFile::Content(index) = found.revision.file("index.json", MAX_INDEX).map_err(|error| text(&error))? else {
        return Ok(Offered::default());
    };
    let platform = platform();
    let Some(offer) = Offer::parse(&index, &platform).map_err(|error| text(&error))? else {
        return Ok(Offered::default());
    };
    let own = program_version();
    let mut offered = Offered::default();
    // A module's own signed tag speaks for nothing but that module.
    let trusted = matches!(found.cover, Cover::Whole(_));
    if let Some(minimum) = offer.minimum.filter(|minimum| trusted && *minimum > own) {
        offered.too_old = Some(format!(
            "the source asks for updates {minimum} or newer, and this is {own}: newer modules are not installed, the \
             installed ones run"
        ));
    }
    let Some(version) = offer.version.filter(|version| *version > own) else { return Ok(offered) };
    let mut record = UpdateRecord {
        module: "updates".to_owned(),
        change: Change::Updated,
        from: Some(own.to_string()),
        to: Some(version.to_string()),
        by_person: false,
        notes: Vec::new(),
    };
    if !trusted {
        record.change = Change::Failed;
        record.notes.push(format!(
            "commit {} is covered by tags of single modules only; a signed tag on the branch's head is needed",
            found.revision.short()
        ));
        offered.record = Some(record);
        return Ok(offered);
    }
    let pinned = Notes(layout).version(Note::Pin).map_err(|error| text(&error))?;
    let trial = Trial::read(layout).map_err(|error| text(&error))?;
    match (offer.artifact, pinned) {
        (None, _) => {
            record.change = Change::Invalid;
            record.notes.push(format!("the source has version {version}, but nothing for {platform}"));
        }
        (Some(_), _) if !config.self_update.enabled => {
            record.change = Change::Disabled;
            record.notes.push("self_update.enabled is false".to_owned());
        }
        (Some(_), Some(pin)) if pin != version => {
            record.change = Change::Disabled;
            record.notes.push(format!("pinned to {pin}; `updates self unpin` follows the source again"));
        }
        // One after the other: what has not proved itself is nothing to go back to.
        (Some(_), _) if trial.as_ref().is_some_and(|trial| trial.version == own) => return Ok(offered),
        // Its tries are the trial's, whether the guard can say so or not: this program runs in its place until it can.
        (Some(artifact), _)
            if trial.as_ref().is_some_and(|trial| trial.sha256 == artifact.sha256 && trial.is_used_up()) =>
        {
            record.change = Change::Held;
            record.notes.push("it did not reach the end of a run, and the guard has not taken it back".to_owned());
        }
        (Some(artifact), _) => match is_held(layout, &artifact.sha256).map_err(|error| text(&error))? {
            Some(held) => {
                record.change = Change::Held;
                record.by_person = held.is_persons();
                record.notes.push(held.reason);
            }
            None => offered.wanted = Some((version, artifact)),
        },
    }
    offered.record = Some(record);
    Ok(offered)
}
