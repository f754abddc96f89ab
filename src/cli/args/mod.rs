//! The command line: what can be said, and what each word means.

mod backup;
mod program;
mod sandbox;
mod versions;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use updates_protocol::ModuleName;

pub use backup::{BackupCommand, RestoreArgs, SlotArgs};
pub use program::SelfCommand;
pub use sandbox::{LearnArgs, SandboxCommand};
pub use versions::{CheckoutArgs, HoldArgs, ReleaseArgs, UnholdArgs, VersionsArgs};

/// Keeps this server current, and takes back what an update broke.
#[derive(Debug, Parser)]
#[command(name = "updates", version = updates::program::version(), propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What `recover` takes.
#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Put nothing back, but take this module as it is now: it runs again from the next run on
    #[arg(long, value_name = "MODULE")]
    pub accept: Option<ModuleName>,
    /// Leave to a person what could not be put back in five tries, as at the start of the machine
    #[arg(long, conflicts_with = "accept")]
    pub unattended: bool,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Act on the tree below DIR instead of on this machine
    #[arg(long, value_name = "DIR", global = true, default_value = "/", help_heading = "Global options")]
    pub root: PathBuf,
    /// Read only FILE instead of /etc/updates/config.toml and config.d
    #[arg(long, value_name = "FILE", global = true, help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// Show problems only; a run in which all is well prints nothing
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Global options")]
    pub quiet: bool,
    /// Show every log line and the supervisor's own diagnostics; twice for more of those
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Global options")]
    pub verbose: u8,
    /// When to use colour
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, help_heading = "Global options")]
    pub color: Color,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sync the source, update modules and run the enabled ones
    Run(RunArgs),
    /// Show what a run would change, and change nothing
    Check(CheckArgs),
    /// Run one module alone: an installed one by name, or any by the path to its folder
    Runner(RunnerArgs),
    /// Put back what an interrupted run left, also where that was given up
    Recover(RecoverArgs),
    /// List the installed modules
    List,
    /// Tell how the last run went and what needs a person
    Status,
    /// Show a module, or a run: its id, or `last`
    Show {
        /// Module name, run id or `last`
        #[arg(value_name = "MODULE|RUN")]
        subject: String,
    },
    /// List the runs that are remembered
    History {
        /// Only what became of this module
        module: Option<ModuleName>,
        /// At most N runs
        #[arg(short = 'n', long, value_name = "N", default_value_t = 20)]
        limit: u32,
    },
    /// Print the log of a run
    Logs {
        /// Run id, or `last`
        #[arg(default_value = "last")]
        run: String,
        /// Only this module's lines
        module: Option<ModuleName>,
    },
    /// Enable a module, or a component of it, in its local settings
    Enable(SwitchArgs),
    /// Disable a module, or a component of it, in its local settings
    Disable(SwitchArgs),
    /// Make backups of what modules declare; list, verify, put back and remove them
    #[command(subcommand)]
    Backup(BackupCommand),
    /// Take a module's files, services and databases back to before its last successful run
    Rollback {
        /// Which module
        module: ModuleName,
        #[command(flatten)]
        restore: RestoreArgs,
    },
    /// List the versions of a module: which is installed, which ran well last, which are held
    Versions(VersionsArgs),
    /// Install a version of a module: the one named, or the last that ran well
    Checkout(CheckoutArgs),
    /// Keep a module at its version until told otherwise
    Hold(HoldArgs),
    /// Let a module be updated again, also to a version that failed
    Unhold(UnholdArgs),
    /// Check a module of this working copy, run its tests, and tag its version
    Release(ReleaseArgs),
    /// Show what modules may do and how exposed that leaves this machine, and decide it
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at timer, lock, disk, git, sandbox, databases and this program, and say how to mend what is wrong
    Doctor,
    /// Show, pin and take back versions of this program
    #[command(subcommand, name = "self")]
    Program(SelfCommand),
    /// Try whether this program works here: settings, a copy of the database, a module in a sandbox
    #[command(hide = true)]
    SelfTest,
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man {
        /// Which folder
        folder: PathBuf,
    },
}

/// `updates run`
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Run these modules only
    #[arg(value_name = "MODULE")]
    pub modules: Vec<ModuleName>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Run up to N modules side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// Run also outside of run.window
    #[arg(long)]
    pub ignore_window: bool,
}

/// Where modules come from.
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// Take modules from this git repository instead of the configured one
    #[arg(long, value_name = "URL|PATH", conflicts_with = "no_sync")]
    pub source: Option<String>,
    /// Follow this branch
    #[arg(long, value_name = "NAME", conflicts_with = "no_sync")]
    pub branch: Option<String>,
    /// Go by what is here, without asking the source
    #[arg(long)]
    pub no_sync: bool,
    /// Accept, this once, a branch that does not continue what was accepted before
    #[arg(long, conflicts_with = "no_sync")]
    pub allow_non_fast_forward: bool,
}

/// `updates check`
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Check these modules only
    #[arg(value_name = "MODULE")]
    pub modules: Vec<ModuleName>,
    #[command(flatten)]
    pub source: SourceArgs,
    /// Exit with 10 when something would change
    #[arg(long)]
    pub exit_code: bool,
    /// Check up to N modules side by side
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: Option<u16>,
}

/// `updates runner`
#[derive(Debug, Args)]
pub struct RunnerArgs {
    /// Name of an installed module, or path to a module's folder
    #[arg(value_name = "MODULE")]
    pub module: String,
    /// Change nothing: the module sees `--check` and a read-only machine
    #[arg(long)]
    pub check: bool,
    /// Trace the module and explain what the sandbox refused it; it runs slower
    #[arg(long)]
    pub explain_denials: bool,
    #[command(flatten)]
    pub wait: WaitArgs,
    /// Arguments for main(args)
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

/// `updates enable` and `updates disable`
#[derive(Debug, Args)]
pub struct SwitchArgs {
    /// Which module
    pub module: ModuleName,
    /// Only this component of it
    pub component: Option<String>,
}

/// `updates config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in force and where each came from
    Show,
    /// Check settings, profiles, modules and their local settings
    Check,
}

/// How long to wait for the lock.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait for another run to end, up to SECONDS when given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "86400")]
    pub wait: Option<u64>,
}

impl WaitArgs {
    /// How long to wait; not at all when nothing was said.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.wait.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_command_and_argument_can_be_told_from_the_others() {
        super::Cli::command().debug_assert();
    }
}
