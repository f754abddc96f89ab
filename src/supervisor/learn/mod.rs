//! What a module needs of its sandbox, learnt from one run on an overlay of the machine.

mod fold;
mod mounted;
mod observe;
mod overlay;
mod placeholder;
mod requests;
mod run;
mod stanza;

pub use fold::{Changed, fold};
pub use observe::Refused;
pub use run::{LearnError, LearnOptions};
pub use stanza::{Configuration, Learned, SandboxStanza, Stanza};

pub(super) use fold::makes_entries;
