//! Versions of modules: what can be said of listing, installing, holding and releasing them.

use clap::Args;
use updates_protocol::{ModuleName, SchemaVersion};

use super::WaitArgs;

/// `updates checkout`
#[derive(Debug, Args)]
pub struct CheckoutArgs {
    /// Which module
    pub module: ModuleName,
    /// Which version; without it, the last one that ran well
    #[arg(id = "target", value_name = "VERSION")]
    pub version: Option<SchemaVersion>,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `updates hold`
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Which module
    pub module: ModuleName,
    /// Until when, as 2026-12-24 or an RFC 3339 time; without it, until `unhold`
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Why, for whoever reads it later
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `updates unhold`
#[derive(Debug, Args)]
pub struct UnholdArgs {
    /// Which module
    pub module: ModuleName,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `updates release`
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// A module of the working copy: its name, or the path to its folder
    #[arg(value_name = "MODULE")]
    pub module: String,
    /// Sign the tag, with git's own settings (user.signingKey, gpg.format)
    #[arg(long)]
    pub sign: bool,
}
