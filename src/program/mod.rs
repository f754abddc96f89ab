//! Versions of this program: what the source offers, how it is taken, and where it lies.
//!
//! Everything here is a step by itself, and none of them decides: which version is wanted, and when one is gone back
//! from, is the supervisor's to say. Files below `self-update/` are plain lines, because the guard, a shell script that
//! shares no code with this, reads and writes them too.

mod download;
mod held;
mod notes;
mod offer;
mod place;
mod probe;
mod trial;
mod unpack;
mod version;

pub use download::{DownloadError, download};
pub use held::{Held, hold, holds, is_held, release_all};
pub use notes::{Note, Notes};
pub use offer::{Artifact, MAX_ARTIFACT, MAX_INDEX, Offer, OfferError, Origin, platform};
pub use place::{Mistrust, Place};
pub use probe::{ProbeError, Probed, probe, starts};
pub use trial::Trial;
pub use unpack::{UnpackError, unpack};
pub use version::{program_version, version};
