//! What a module asks of the supervisor, and what of it is granted: only what lies inside its own declared set. A refusal
//! names what to declare, and every request is logged, granted or not.

mod answer;
mod denial;
mod permissions;
mod service;
mod state;
mod trail;
mod version;

pub(super) use answer::{Grants, OPERATIONS};
use denial::{Denial, failed};
pub(super) use trail::Trail;
