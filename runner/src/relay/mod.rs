//! Between module and supervisor: the conversation, and the bounds on everything that a module says.

mod channel;
mod clip;
mod conversation;
mod journal;
mod lines;
mod module;
mod output;
mod progress;
mod replies;

pub use conversation::{Conversation, Ending, Hosted};
