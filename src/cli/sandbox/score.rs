//! `updates sandbox score`: the exposure of each module, beside what systemd says of the same settings as a unit.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use updates::profile::{Exposure, Profile, assess, exposure, unit};
use updates::record::ExitStatus;
use updates::supervisor::{Holding, holding};
use updates_protocol::ModuleName;
use wait_timeout::ChildExt;

use super::{CliError, Session, installed, profiles};
use crate::cli::style::{Painter, Tone, printable};
use crate::cli::table::table;

/// systemd-analyze reads one file and answers; a machine on which that takes longer has other troubles.
const PATIENCE: Duration = Duration::from_secs(10);

struct Scored {
    module: ModuleName,
    profile: String,
    result: Result<(Exposure, Option<Exposure>), String>,
}

/// `updates sandbox score`
pub fn score(session: &Session<'_>, modules: &[ModuleName]) -> Result<ExitStatus, CliError> {
    let profiles = profiles(session)?;
    let scored: Vec<Scored> = installed(session, modules)?
        .into_iter()
        .map(|module| Scored {
            profile: module.manifest.sandbox.profile.as_ref().map_or("default", |name| name.as_str()).to_owned(),
            result: match holding(&session.layout, &profiles, &module) {
                Ok(Holding { profile, .. }) => Ok((exposure(&assess(&profile)), systemd(&profile))),
                Err(error) => Err(error.to_string()),
            },
            module: module.name,
        })
        .collect();
    let json = scored.iter().map(|each| match &each.result {
        Ok((ours, theirs)) => {
            json!({"module": each.module, "profile": each.profile, "exposure": ours, "systemd": theirs})
        }
        Err(problem) => json!({"module": each.module, "profile": each.profile, "problem": problem}),
    });
    session.print(&json.collect::<Vec<_>>(), || words(&scored, &session.painter()))?;
    let wrong = scored.iter().any(|each| each.result.is_err());
    Ok(if wrong { ExitStatus::Usage } else { ExitStatus::Success })
}

fn words(scored: &[Scored], painter: &Painter) -> String {
    if scored.is_empty() {
        return "No module is installed; `updates run` installs those of the source.\n".to_owned();
    }
    let mut rows = vec![["MODULE", "PROFILE", "EXPOSURE", "", "SYSTEMD"].map(str::to_owned).to_vec()];
    let mut problems = String::new();
    for each in scored {
        match &each.result {
            Ok((ours, theirs)) => rows.push(vec![
                each.module.to_string(),
                each.profile.clone(),
                painter.paint(tone(*ours), &ours.to_string()),
                ours.word().to_owned(),
                theirs.map_or("-".to_owned(), |theirs| theirs.to_string()),
            ]),
            Err(problem) => {
                let name = painter.paint(Tone::Bad, each.module.as_str());
                problems.push_str(&format!("{name}: {}\n", printable(problem)));
            }
        }
    }
    table(&rows) + &problems
}

pub(super) fn tone(exposure: Exposure) -> Tone {
    match exposure.tenths() {
        0..50 => Tone::Good,
        50..75 => Tone::Warn,
        _ => Tone::Bad,
    }
}

/// What the installed systemd says; nothing where there is none, or one that can't judge a file.
fn systemd(profile: &Profile) -> Option<Exposure> {
    let folder = tempfile::tempdir().ok()?;
    let file = folder.path().join("updates-module.service");
    fs::write(&file, unit(profile)).ok()?;
    let mut child = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(&file)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.path().join("answer")).ok()?)
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    if child.wait_timeout(PATIENCE).ok()?.is_none() {
        // It is gone afterwards, whatever either call says.
        child.kill().and_then(|()| child.wait()).ok()?;
        return None;
    }
    let answer = fs::read(folder.path().join("answer")).ok()?;
    let answer = String::from_utf8_lossy(&answer);
    let line = answer.lines().rev().find(|line| line.contains("exposure level"))?;
    line.rsplit(':').next()?.split_whitespace().find_map(Exposure::from_text)
}
