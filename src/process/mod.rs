//! One runner process: spawn, converse, deadline, outcome; and the cgroup that bounds it.

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
pub use runner::RunnerCommand;
