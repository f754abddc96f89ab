//! `updates backup` and `updates rollback`: what can be said.

use clap::{Args, Subcommand};
use updates_protocol::ModuleName;

use super::WaitArgs;

/// `updates backup`
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Save what an installed module declares: files, services and databases
    Create {
        /// Which module
        module: ModuleName,
        /// What it is for
        #[arg(long, value_name = "TEXT")]
        description: Option<String>,
        #[command(flatten)]
        wait: WaitArgs,
    },
    /// List every backup, and the checkpoints that the supervisor keeps
    List,
    /// Show what a backup holds
    Show {
        #[command(flatten)]
        slot: SlotArgs,
        /// Show what differs now from it
        #[arg(long)]
        diff: bool,
    },
    /// Read backups and checkpoints again, every byte, and say which are damaged
    Verify {
        /// Only those of these modules
        #[arg(value_name = "MODULE")]
        modules: Vec<ModuleName>,
    },
    /// Put back what a backup holds: shows what that changes, and asks
    Restore {
        #[command(flatten)]
        slot: SlotArgs,
        #[command(flatten)]
        restore: RestoreArgs,
    },
    /// Remove a backup
    Remove {
        #[command(flatten)]
        slot: SlotArgs,
        /// Remove it without being asked
        #[arg(short, long)]
        yes: bool,
        #[command(flatten)]
        wait: WaitArgs,
    },
}

/// Which backup.
#[derive(Debug, Args)]
pub struct SlotArgs {
    /// Whose backup
    pub module: ModuleName,
    /// Another one than the usual: NAME or STORE/NAME, as `updates backup list` prints it
    pub slot: Option<String>,
}

/// How something is put back.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// Put it back without being asked
    #[arg(short, long)]
    pub yes: bool,
    /// Start its services afterwards, whether they ran when it was saved or not
    #[arg(long)]
    pub force_start: bool,
    #[command(flatten)]
    pub wait: WaitArgs,
}
