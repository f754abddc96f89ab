//! Versions of modules: which there are, which is installed in whose name, and which stays.
//!
//! A version comes from the mirror's object store: by a tag, from the branch's head, or by the content that it had when it
//! ran well here. All ways go through one swap, see `install`; what a person asks for lies in `checkout` and `keep`, what a
//! module asks for itself in `own`.

mod checkout;
mod error;
mod install;
mod keep;
mod known;
mod list;
mod own;

pub use checkout::{CheckedOut, CheckoutOptions};
pub use error::VersionError;
pub use keep::{LetGo, Until, UntilError};
pub use list::{ListedVersion, Versions};

pub(super) use install::{confirm, put_back_safe};
pub(super) use known::Known;
pub(super) use own::{Wanted, grant, settle_wanted, take_back};
