//! The command line: arguments in, words and exit codes out. What is done lies in the supervisor.

mod args;
mod backup;
mod config;
mod denied;
mod doctor;
mod ending;
mod error;
mod generate;
mod hand_over;
mod inspect;
mod installation;
mod observe;
mod program;
mod run;
mod sandbox;
mod style;
mod summary;
mod switch;
mod table;
mod versions;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use updates::config::Layout;
use updates::record::ExitStatus;
use updates::supervisor::cancel_on_signals;

use args::{Cli, Command, Global};
use error::CliError;
use style::{Painter, Tone};

/// Parses the command line, does what it says, and reports; or lets the version of this program that is in use do so.
pub fn main() -> ExitCode {
    let words = hand_over::words();
    words.hand_over();
    let code = begin();
    words.settle(code);
    ExitCode::from(code)
}

fn begin() -> u8 {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nobody to tell when the terminal is gone.
            error.print().ok();
            return if usage { ExitStatus::Usage.code() } else { 0 };
        }
    };
    diagnostics(cli.global.verbose);
    match dispatch(&cli) {
        Ok(status) => status.code(),
        Err(error) if error.is_closed_pipe() => 0,
        Err(error) => {
            let painter = Painter::new(cli.global.color, &std::io::stderr());
            let line = format!("{} {error}\n", painter.paint(Tone::Bad, "error:"));
            std::io::stderr().lock().write_all(line.as_bytes()).ok();
            error.status().code()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<ExitStatus, CliError> {
    let layout = Layout::new(&root(&cli.global)?);
    // Before anything that starts a thread: the threads inherit which signals are blocked.
    let cancel = cancel_on_signals().map_err(CliError::Signals)?;
    let session = Session { global: &cli.global, layout };
    match &cli.command {
        Command::Run(arguments) => run::run(&session, cancel, arguments),
        Command::Check(arguments) => run::check(&session, cancel, arguments),
        Command::Runner(arguments) => run::runner(&session, cancel, arguments),
        Command::Recover(arguments) => run::recover(&session, cancel, arguments),
        Command::List => inspect::list(&session),
        Command::Status => inspect::status(&session),
        Command::Show { subject } => inspect::show(&session, subject),
        Command::History { module, limit } => inspect::history(&session, module.as_ref(), *limit),
        Command::Logs { run, module } => inspect::logs(&session, run, module.as_ref()),
        Command::Enable(arguments) => switch::switch(&session, arguments, true),
        Command::Disable(arguments) => switch::switch(&session, arguments, false),
        Command::Backup(command) => backup::backup(&session, cancel, command),
        Command::Rollback { module, restore } => backup::rollback(&session, cancel, module, restore),
        Command::Sandbox(command) => sandbox::sandbox(&session, cancel, command),
        Command::Versions { module } => versions::versions(&session, cancel, module),
        Command::Checkout(arguments) => versions::checkout(&session, cancel, arguments),
        Command::Hold(arguments) => versions::hold(&session, cancel, arguments),
        Command::Unhold(arguments) => versions::unhold(&session, cancel, arguments),
        Command::Release(arguments) => versions::release(&session, cancel, arguments),
        Command::Config(command) => config::config(&session, command),
        Command::Doctor => doctor::doctor(&session, cancel),
        Command::Program(command) => program::program(&session, cancel, command),
        Command::SelfTest => program::self_test(&session, cancel),
        Command::Completions { shell } => generate::completions(*shell),
        Command::Man { folder } => generate::man(folder),
    }
}

/// What every command has at hand.
struct Session<'a> {
    global: &'a Global,
    layout: Layout,
}

impl Session<'_> {
    fn painter(&self) -> Painter {
        Painter::new(self.global.color, &std::io::stdout())
    }

    /// Prints a result, as JSON or in words.
    fn print(&self, json: &impl serde::Serialize, words: impl FnOnce() -> String) -> Result<(), CliError> {
        let text = if self.global.json {
            let mut text = serde_json::to_string_pretty(json).map_err(std::io::Error::from)?;
            text.push('\n');
            text
        } else {
            words()
        };
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        Ok(stdout.flush()?)
    }
}

fn root(global: &Global) -> Result<std::path::PathBuf, CliError> {
    match global.root.canonicalize() {
        Ok(root) if root.to_str().is_none() => Err(CliError::Root { root, reason: "is not UTF-8".to_owned() }),
        Ok(root) if root.is_dir() => Ok(root),
        Ok(root) => Err(CliError::Root { root, reason: "is not a directory".to_owned() }),
        Err(error) => Err(CliError::Root { root: global.root.clone(), reason: error.to_string() }),
    }
}

fn diagnostics(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::ERROR,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}
