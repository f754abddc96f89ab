//! The program itself: what can be said of its own versions.

use clap::Subcommand;
use updates_protocol::SchemaVersion;

/// `updates self`
#[derive(Debug, Subcommand)]
pub enum SelfCommand {
    /// Show which version is in use, which others are there, and why
    Show,
    /// Go back to the version before, and hold this one
    Rollback,
    /// Stay at a version until `unpin`; without one, at that in use
    Pin {
        /// Which version
        // Not called after its field: clap has a `--version` of its own.
        #[arg(id = "target", value_name = "VERSION")]
        version: Option<SchemaVersion>,
    },
    /// Follow the source again
    Unpin,
}
