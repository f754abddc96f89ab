//! The words that supervisor, runner and module share.
//!
//! Everything here is a plain value: names and paths that cannot hold something unsafe, the manifest of a module, the
//! plan of a sandbox, and the messages of protocol 1. Nothing here touches the machine; whoever reads bytes from
//! outside turns them into these types first.

mod database;
mod enforcement;
mod frame;
mod invocation;
mod manifest;
mod message;
mod name;
mod object;
mod path;
mod sandbox;
mod unit;
mod version;

pub use database::{Database, Secret, ServerDatabase};
pub use enforcement::{Enforcement, Restriction, SetupFailure};
pub use frame::{Frame, FrameReader, MAX_LINE, MAX_RESULT, MAX_START, write_frame};
pub use invocation::{Entry, Invocation, ModuleInvocation, PROTOCOL, Phase, Turn};
pub use manifest::{MAX_MANIFEST, Manifest, ManifestError, ManifestWarning, SandboxRequest, environment};
pub use message::{
    CancelReason, Exit, Level, LogSource, Message, Reply, RunnerMessage, SupervisorMessage, TracedCall, Usage,
    parse_module_line, parse_runner_line,
};
pub use name::{ModuleName, NameError, ProfileName, RunId, UnitName};
pub use object::{FieldError, Object, nearest};
pub use path::{DeclaredPath, PathProblem};
pub use sandbox::{
    Access, Identity, LandlockAccess, LandlockPath, LandlockRules, Limit, Mount, ProtectProc, Resource, SandboxPlan,
    SystemCallFilter,
};
pub use version::{SchemaVersion, VersionError};
