//! Who has to have signed what is installed: the rule, and its judgement of commits and tags.
//!
//! Signatures are verified by the programs that git itself calls for it, ssh-keygen(1) and gpgv(1). Whether a history
//! continues the one that was accepted before is no question of signatures; `memory.rs` beside this folder answers it.

mod armor;
mod cover;
mod distrust;
mod judge;
mod openpgp;
mod rule;
mod signature;
mod signed;
mod ssh;
mod tags;

pub use cover::Cover;
pub use distrust::{Distrust, RuleError};
pub use rule::Trust;

pub(super) use cover::cover;
