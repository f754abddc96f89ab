//! Whether modules can run as their profiles say: a module that does nothing, under each shipped profile, in a check.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::Finding;
use crate::record::{Outcome, RunRecord};
use crate::supervisor::{Event, Observer, OneModule, OneOptions, Supervisor};

const CHECK: &str = "sandbox";
const PROFILES: [&str; 5] = ["strict", "default", "network", "package-manager", "legacy"];

/// Nobody watches.
struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _event: &Event) {}
}

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let scratch = match tempfile::Builder::new().prefix("updates-doctor-").tempdir() {
        Ok(scratch) => scratch,
        Err(error) => {
            let mend = "make room in the folder for temporary files, or name another in TMPDIR";
            return vec![Finding::problem(CHECK, format!("no temporary folder can be made: {error}"), mend)];
        }
    };
    let mut found: Vec<Finding> = PROFILES
        .into_iter()
        .map(|profile| tried(supervisor, scratch.path(), &format!("doctor-{profile}"), profile, None))
        .collect();
    let python = "def main(args=None):\n    return {\"success\": True}\n";
    found.push(tried(supervisor, scratch.path(), "doctor-python", "default", Some(python)));
    found
}

/// Runs it, as an executable or where there is `python` as a Python module.
fn tried(supervisor: &Supervisor, scratch: &Path, name: &str, profile: &str, python: Option<&str>) -> Finding {
    let folder = scratch.join(name);
    if let Err(error) = write(&folder, name, profile, python) {
        let text = format!("{} can't be written: {error}", folder.display());
        return Finding::problem(CHECK, text, "make room in the folder for temporary files");
    }
    let options = OneOptions {
        module: OneModule::Folder(folder),
        arguments: Vec::new(),
        check: true,
        explain_denials: false,
        wait: Duration::ZERO,
    };
    let check = if python.is_some() { "python" } else { CHECK };
    let what = match python {
        Some(_) => format!("{} with the SDK", supervisor.config.python.display()),
        None => format!("the profile {profile}"),
    };
    match supervisor.run_one(&options, &mut Silent) {
        Ok(record) => judge(check, &what, &record),
        Err(error) => Finding::problem(check, format!("{what}: {error}"), "mend what it names"),
    }
}

fn write(folder: &Path, name: &str, profile: &str, python: Option<&str>) -> io::Result<()> {
    fs::create_dir(folder)?;
    let manifest = serde_json::json!({
        "metadata": {"schema_version": "1", "name": name, "description": "What the doctor runs"},
        "sandbox": {"profile": profile, "runtime_max_sec": 15},
    });
    fs::write(folder.join("index.json"), manifest.to_string())?;
    match python {
        Some(code) => fs::write(folder.join("index.py"), code),
        None => {
            fs::write(folder.join("index"), "#!/bin/sh\nexit 0\n")?;
            fs::set_permissions(folder.join("index"), fs::Permissions::from_mode(0o755))
        }
    }
}

fn judge(check: &'static str, what: &str, record: &RunRecord) -> Finding {
    let Some(module) = record.modules.last() else {
        return Finding::problem(check, format!("{what} was not tried"), "`updates config check` may say why");
    };
    let Some(attempt) = module.attempts.last() else {
        let why = module.message.as_deref().unwrap_or("for no reason that is known");
        let mend = "what it names is missing on this machine; modules under this profile don't run before it is there";
        return Finding::problem(check, format!("{what} can't be had: {why}"), mend);
    };
    match &attempt.outcome {
        Outcome::Reported { .. } | Outcome::Exited { code: 0 } => {}
        other => {
            let why = module.message.clone().unwrap_or_else(|| format!("{other:?}"));
            let mend = match check {
                "python" => "install python3, or name another in run.python",
                _ => "the kernel, or the container around, refuses what it names; modules under this profile don't run",
            };
            return Finding::problem(check, format!("{what} does not work: {why}"), mend);
        }
    }
    let missing: Vec<String> = attempt
        .enforcement
        .restrictions
        .iter()
        .filter(|restriction| !restriction.enforced)
        .map(|restriction| format!("{} ({})", restriction.name, restriction.by))
        .collect();
    if missing.is_empty() {
        return Finding::ok(check, format!("{what} works, all of it enforced"));
    }
    let text = format!("{what} works without {}", missing.join(", "));
    Finding::warning(check, text, "a newer kernel, or more rights for the container around, would enforce it")
}
