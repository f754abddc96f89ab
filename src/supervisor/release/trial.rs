//! A module tried before it is released: by its own tests, and by a check below an empty root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use updates_protocol::ModuleName;

use super::error::ReleaseError;
use crate::config::Layout;
use crate::fs::IoContext;
use crate::record::{ExitStatus, RunRecord};
use crate::supervisor::{Event, Observer, OneModule, OneOptions, Supervisor};

/// Lines of a failed test that are shown.
const SHOWN: usize = 40;

/// Runs what there is, and says what that was.
pub(super) fn run(
    supervisor: &Supervisor,
    module: &ModuleName,
    code: &Path,
    scratch: &Path,
    step: &mut dyn FnMut(&str),
) -> Result<Vec<String>, ReleaseError> {
    let mut tried = Vec::new();
    let program = code.join("tests/run");
    if is_executable(&program) {
        step("running tests/run");
        succeed(module, "tests/run", Command::new(&program).current_dir(code))?;
        tried.push("tests/run".to_owned());
    } else if has_python_tests(&code.join("tests")) {
        step("running its unit tests");
        let python = &supervisor.config.python;
        let mut command = Command::new(python);
        command.args(["-B", "-m", "unittest", "discover", "-s", "tests"]).current_dir(code);
        let path = std::env::join_paths([code, code.parent().unwrap_or(code), &supervisor.installation.sdk]);
        if let Ok(path) = path {
            command.env("PYTHONPATH", path);
        }
        succeed(module, "the unit tests", &mut command)?;
        tried.push("its unit tests".to_owned());
    } else {
        tried.push("no tests: it has neither tests/run nor tests/test*.py".to_owned());
    }
    if rustix::process::geteuid().is_root() {
        step("checking it below an empty root");
        check(supervisor, module, code, &scratch.join("root"))?;
        tried.push("a check below an empty root".to_owned());
    } else {
        tried.push("no check below an empty root: that needs root".to_owned());
    }
    Ok(tried)
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn has_python_tests(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| {
        let name = name.to_string_lossy();
        name.starts_with("test") && name.ends_with(".py")
    })
}

fn succeed(module: &ModuleName, what: &str, command: &mut Command) -> Result<(), ReleaseError> {
    let program = PathBuf::from(command.get_program());
    let output = command.stdin(Stdio::null()).output().map_err(|reason| ReleaseError::Program { program, reason })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.lines().collect();
    let output = match lines[lines.len().saturating_sub(SHOWN)..].join("\n") {
        nothing if nothing.is_empty() => output.status.to_string(),
        lines => lines,
    };
    Err(ReleaseError::Failed { module: module.clone(), what: what.to_owned(), output })
}

/// Nobody looks on: what counts is the record.
struct Unseen;

impl Observer for Unseen {
    fn observe(&mut self, _event: &Event) {}
}

fn check(supervisor: &Supervisor, module: &ModuleName, code: &Path, root: &Path) -> Result<(), ReleaseError> {
    for folder in ["etc", "srv", "var/lib"] {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).at("create", &folder)?;
    }
    let elsewhere = Supervisor {
        layout: Layout::new(root),
        config: supervisor.config.clone(),
        installation: supervisor.installation.clone(),
        cancel: supervisor.cancel.clone(),
    };
    let options = OneOptions {
        module: OneModule::Folder(code.to_owned()),
        arguments: Vec::new(),
        check: true,
        explain_denials: false,
        wait: Duration::ZERO,
    };
    let record: RunRecord = elsewhere.run_one(&options, &mut Unseen)?;
    if record.status == Some(ExitStatus::Success) {
        return Ok(());
    }
    let message = record.modules.iter().find_map(|module| module.message.clone());
    let message = message.unwrap_or_else(|| "it did not run".to_owned());
    let output = format!(
        "{message}\nwith --check a module has to succeed where nothing is configured yet; a user without root releases without it"
    );
    Err(ReleaseError::Failed { module: module.clone(), what: "the check below an empty root".to_owned(), output })
}
