//! `updates sandbox`: what can be said.

use clap::{Args, Subcommand};
use updates_protocol::{ModuleName, SchemaVersion};

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
        /// What this version asks for, which `updates checkout` would install
        #[arg(id = "target", long = "for", value_name = "VERSION")]
        version: Option<SchemaVersion>,
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
