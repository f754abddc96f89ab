//! `updates backup …` and `updates rollback`: what is asked, shown and printed. What is done lies in the supervisor.

mod ask;
mod bar;
mod changes;
mod create;
mod list;
mod remove;
mod restore;
mod show;
mod verify;
mod words;

use std::path::Path;

use updates::process::CancelToken;
use updates::record::ExitStatus;
use updates::supervisor::Goal;
use updates_protocol::ModuleName;

use super::Session;
use super::args::{BackupCommand, RestoreArgs, SlotArgs};
use super::error::CliError;
use super::run::supervisor;

/// `updates backup`
pub fn backup(session: &Session<'_>, cancel: CancelToken, command: &BackupCommand) -> Result<ExitStatus, CliError> {
    require_root(session)?;
    match command {
        BackupCommand::Create { module, description, wait } => {
            let supervisor = supervisor(session, cancel, None, None)?;
            create::create(session, &supervisor, module, description.as_deref(), wait)
        }
        BackupCommand::List => list::list(session),
        BackupCommand::Show { slot: SlotArgs { module, slot }, diff } => {
            let supervisor = supervisor(session, cancel, None, None)?;
            show::show(session, &supervisor, module, slot.as_deref(), *diff)
        }
        BackupCommand::Verify { modules } => verify::verify(session, &cancel, modules),
        BackupCommand::Restore { slot: SlotArgs { module, slot }, restore } => {
            let supervisor = supervisor(session, cancel, None, None)?;
            restore::restore(session, &supervisor, Goal::Restore, module, slot.as_deref(), restore)
        }
        BackupCommand::Remove { slot: SlotArgs { module, slot }, yes, wait } => {
            let supervisor = supervisor(session, cancel, None, None)?;
            remove::remove(session, &supervisor, module, slot.as_deref(), *yes, wait)
        }
    }
}

/// `updates rollback`
pub fn rollback(
    session: &Session<'_>,
    cancel: CancelToken,
    module: &ModuleName,
    arguments: &RestoreArgs,
) -> Result<ExitStatus, CliError> {
    let supervisor = supervisor(session, cancel, None, None)?;
    restore::restore(session, &supervisor, Goal::Rollback, module, None, arguments)
}

// Slots hold other people's secrets, so that only root may look; said before the first refused system call.
fn require_root(session: &Session<'_>) -> Result<(), CliError> {
    if !rustix::process::geteuid().is_root() && session.layout.root() == Path::new("/") {
        return Err(CliError::NotRoot(
            "the backups of this machine are root's; start it with sudo, or act on a tree of your own with --root DIR"
                .to_owned(),
        ));
    }
    Ok(())
}
