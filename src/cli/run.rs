//! `run`, `check`, `runner` and `recover`: what they are asked, and what they print.

use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use updates::config::{Loaded, load};
use updates::process::CancelToken;
use updates::record::{ExitStatus, ModuleStatus, Outcome, RunRecord};
use updates::supervisor::{CheckOptions, OneOptions, RunOptions, Supervisor};
use updates_protocol::ModuleName;

use super::args::{CheckArgs, RecoverArgs, RunArgs, RunnerArgs, SourceArgs};
use super::denied::denied;
use super::display::{Display, Entries, finish};
use super::error::CliError;
use super::journal::is_journal;
use super::observe::{Loudness, Screen};
use super::style::Painter;
use super::summary::summary;
use super::{Session, installation};

/// `updates run`
pub fn run(session: &Session<'_>, cancel: CancelToken, arguments: &RunArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, Some(&arguments.source), arguments.jobs)?;
    let options = RunOptions {
        modules: arguments.modules.iter().cloned().collect(),
        no_sync: arguments.source.no_sync,
        ignore_window: arguments.ignore_window,
        wait: arguments.wait.duration(),
        config_file: session.global.config.as_ref().and_then(|file| file.canonicalize().ok()),
        ..RunOptions::default()
    };
    let record = supervisor.run(&options, &mut screen(session))?;
    let status = report(session, &record, "last")?;
    // The end of a run, for a version on trial. An interrupted one has shown nothing: it may have hung.
    if status != ExitStatus::Interrupted
        && let Err(error) = supervisor.confirm_program(record.outside_window.is_none())
    {
        tracing::error!("{error}");
    }
    Ok(status)
}

/// `updates check`
pub fn check(session: &Session<'_>, cancel: CancelToken, arguments: &CheckArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, Some(&arguments.source), arguments.jobs)?;
    let options = CheckOptions {
        modules: arguments.modules.iter().cloned().collect(),
        no_sync: arguments.source.no_sync,
        exit_code: arguments.exit_code,
    };
    let record = supervisor.check(&options, &mut screen(session))?;
    report(session, &record, "")
}

/// `updates runner`
pub fn runner(session: &Session<'_>, cancel: CancelToken, arguments: &RunnerArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, None, None)?;
    let options = OneOptions {
        module: named(&arguments.module)?,
        arguments: arguments.arguments.clone(),
        check: arguments.check,
        explain_denials: arguments.explain_denials,
        wait: arguments.wait.duration(),
    };
    let record = supervisor.run_one(&options, &mut screen(session))?;
    finish(session.journal.as_ref(), &record);
    for denials in record.modules.iter().flat_map(|module| &module.attempts).filter_map(|each| each.denials.as_ref()) {
        std::io::stderr().lock().write_all(denied(denials).as_bytes())?;
    }
    if session.global.json {
        session.print(&record, String::new)?;
    } else {
        let mut text = serde_json::to_string_pretty(&result(&record)).map_err(std::io::Error::from)?;
        text.push('\n');
        session.print(&Value::Null, || text)?;
    }
    Ok(status(&record))
}

/// `updates recover`
pub fn recover(session: &Session<'_>, cancel: CancelToken, arguments: &RecoverArgs) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, None, None)?;
    if let Some(module) = &arguments.accept {
        let accepted = supervisor.accept(module)?;
        session.print(&json!({"module": module, "accepted": accepted}), || match accepted {
            true => format!("{module} is taken as it is, and runs again from the next run on.\n"),
            false => format!("Nothing of {module} is to be put back.\n"),
        })?;
        return Ok(ExitStatus::Success);
    }
    let Some(record) = supervisor.recover(!arguments.unattended, &mut screen(session))? else {
        session.print(&Value::Null, || "Nothing to recover: no run was interrupted.\n".to_owned())?;
        return Ok(ExitStatus::Success);
    };
    report(session, &record, "last")
}

pub(super) fn supervisor(
    session: &Session<'_>,
    cancel: CancelToken,
    source: Option<&SourceArgs>,
    jobs: Option<u16>,
) -> Result<Supervisor, CliError> {
    require_root(session)?;
    let Loaded { mut config, .. } = load(&session.layout, session.global.config.as_deref())?;
    if let Some(source) = source {
        if let Some(url) = &source.source {
            config.source.url = Some(absolute(url));
        }
        if let Some(branch) = &source.branch {
            config.source.branch.clone_from(branch);
        }
        config.source.allow_non_fast_forward |= source.allow_non_fast_forward;
    }
    if let Some(jobs) = jobs {
        config.jobs = usize::from(jobs);
    }
    Ok(Supervisor { layout: session.layout.clone(), config, installation: installation::find()?, cancel })
}

/// Refuses what only root can do on the machine itself.
pub(super) fn require_root(session: &Session<'_>) -> Result<(), CliError> {
    if rustix::process::geteuid().is_root() || session.layout.root() != Path::new("/") {
        return Ok(());
    }
    Err(CliError::NotRoot(
        "modules of this machine are run by root; start it with sudo, or act on a tree of your own with --root DIR"
            .to_owned(),
    ))
}

// A path on the command line is meant from where the person stands.
fn absolute(source: &str) -> String {
    let path = Path::new(source);
    match path.canonicalize() {
        Ok(path) if !source.contains("://") => path.to_string_lossy().into_owned(),
        _ => source.to_owned(),
    }
}

/// What `runner` was given: a text with a slash, or `.`, is a path, everything else a name.
pub(super) fn named(text: &str) -> Result<updates::supervisor::OneModule, CliError> {
    use updates::supervisor::OneModule;
    if text.contains('/') || text == "." || text == ".." {
        let path = PathBuf::from(text);
        let folder = path.canonicalize().map_err(|error| CliError::NotFound(format!("{text}: {error}")))?;
        return Ok(OneModule::Folder(folder));
    }
    text.parse::<ModuleName>().map(OneModule::Installed).map_err(|error| CliError::NotFound(error.to_string()))
}

pub(super) fn screen(session: &Session<'_>) -> Display {
    let loudness = match (session.global.quiet, session.global.verbose) {
        (true, _) => Loudness::Quiet,
        (false, 0) => Loudness::Normal,
        (false, _) => Loudness::Verbose,
    };
    match &session.journal {
        Some(journal) => Display::Journal(Entries::new(journal.clone(), loudness)),
        None => Display::Screen(Screen::new(Painter::new(session.global.color, &std::io::stderr()), loudness)),
    }
}

fn report(session: &Session<'_>, record: &RunRecord, shown: &str) -> Result<ExitStatus, CliError> {
    let well = matches!(status(record), ExitStatus::Success);
    finish(session.journal.as_ref(), record);
    // The journal has it all already.
    let told = session.journal.is_some() && is_journal(std::io::stdout());
    if session.global.json || !(told || session.global.quiet && well) {
        session.print(record, || summary(record, shown, &session.painter()))?;
    }
    Ok(status(record))
}

fn status(record: &RunRecord) -> ExitStatus {
    record.status.unwrap_or(ExitStatus::InternalError)
}

/// What `runner` prints: the value that the module returned, or what stands for it.
fn result(record: &RunRecord) -> Value {
    let Some(module) = record.modules.last() else { return Value::Null };
    if let Some(value) = &module.result {
        return value.clone();
    }
    let good = matches!(module.status, ModuleStatus::Succeeded | ModuleStatus::Updated);
    let mut result = json!({ "success": good });
    if let Some(message) = &module.message {
        result["error"] = message.clone().into();
    }
    if let Some(Outcome::Exited { code }) = module.attempts.last().map(|attempt| &attempt.outcome) {
        result["exit_code"] = (*code).into();
    }
    result
}
