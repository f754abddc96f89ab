//! The command line: what can be said, and what each word means.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use updates_protocol::ModuleName;

/// Keeps this server current, and takes back what an update broke.
#[derive(Debug, Parser)]
#[command(name = "updates", version, propagate_version = true, max_term_width = 100)]
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
    /// Show what modules may do and how exposed that leaves this machine, and decide it
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// Show or check the settings
    #[command(subcommand)]
    Config(ConfigCommand),
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
    /// Wait for another run to end, up to SECONDS when given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "86400")]
    pub wait: Option<u64>,
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
    /// Run what is installed, without asking the source
    #[arg(long)]
    pub no_sync: bool,
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
    /// Wait for another run to end, up to SECONDS when given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "86400")]
    pub wait: Option<u64>,
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

/// `updates sandbox learn`
#[derive(Debug, Args)]
pub struct LearnArgs {
    /// Name of an installed module, or path to a module's folder
    #[arg(value_name = "MODULE")]
    pub module: String,
    /// Give it no network but a loopback of its own; otherwise it has the machine's
    #[arg(long)]
    pub private_network: bool,
    /// Arguments for main(args)
    #[arg(last = true, value_name = "ARGS")]
    pub arguments: Vec<String>,
}

/// `updates config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings in force and where each came from
    Show,
    /// Check settings, profiles, modules and their local settings
    Check,
}

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

/// How long to wait for the lock.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Wait for another run to end, up to SECONDS when given
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "86400")]
    pub wait: Option<u64>,
}

/// `updates sandbox`
#[derive(Debug, Subcommand)]
pub enum SandboxCommand {
    /// Show what a module may read, write, call and reach, and where each rule came from
    Show {
        /// Which module
        module: ModuleName,
    },
    /// Rate how exposed each module leaves this machine, from 0.0 to 10.0
    Score {
        /// Only these modules
        #[arg(value_name = "MODULE")]
        modules: Vec<ModuleName>,
    },
    /// Run a module once on an overlay of the machine, keep nothing, and print what it has to declare
    Learn(LearnArgs),
    /// Show what a module asks for beyond what it was granted, and agree to it
    Grant {
        /// Which module
        module: ModuleName,
        /// Agree without being asked
        #[arg(short, long)]
        yes: bool,
        /// The git repository that the module waits in, where it is not the configured one
        #[arg(long, value_name = "URL|PATH")]
        source: Option<String>,
        /// The branch that it waits in
        #[arg(long, value_name = "NAME")]
        branch: Option<String>,
    },
}

/// `--wait` as a duration.
pub fn wait(seconds: Option<u64>) -> Duration {
    Duration::from_secs(seconds.unwrap_or(0))
}
