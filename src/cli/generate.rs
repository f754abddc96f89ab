//! `completions` and `man`: what is made from the command line's own description.

use std::path::Path;

use clap::CommandFactory;
use updates::record::ExitStatus;

use super::args::Cli;
use super::error::CliError;
use super::manual;

/// `updates completions`
pub fn completions(shell: clap_complete::Shell) -> Result<ExitStatus, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "updates", &mut script);
    std::io::Write::write_all(&mut std::io::stdout().lock(), &script)?;
    Ok(ExitStatus::Success)
}

/// `updates man`
pub fn man(folder: &Path) -> Result<ExitStatus, CliError> {
    manual::write(folder)?;
    Ok(ExitStatus::Success)
}
