//! One runner process: spawn, converse, deadline, outcome; the cgroup that bounds it, and the network it is lent.

mod cancel;
mod cgroup;
mod cgroup_limit;
mod conversation;
mod dialogue;
mod event;
mod facts;
mod hearing;
mod hierarchy;
mod log_budget;
mod namespace;
mod outbox;
mod runner;
mod stage;
#[cfg(test)]
mod tests;
mod unified;

pub use cancel::CancelToken;
pub use cgroup::CgroupScope;
pub use cgroup_limit::{CgroupLimits, LimitHit};
pub use conversation::{Conversation, Deadline, Requests, converse};
pub use event::{Event, LogEntry};
pub use hierarchy::CgroupHierarchy;
pub use namespace::{NetworkNamespace, NetworkNamespaces};
pub use runner::RunnerCommand;
