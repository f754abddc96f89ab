//! The catalog: installed modules, their local settings, and the swap that replaces one with a newer version.
//!
//! It knows nothing of where new versions come from: whoever stages one hands over a function that writes its files.
//!
//! What stands where, for a module `x`:
//!
//! - `modules/x`: the module. Always there, always whole.
//! - `modules/.x.staged`: a new version while it is made; what the swap took out, until it is renamed.
//! - `modules/.x.previous`: the version that ran well last, until the new one has.
//! - `catalog/grants/x.json`: what it was granted; see `grant`.
//! - `catalog/safe/x.json`: the version that ran well last, and its content; see `safe`.
//! - `catalog/held.json`, `catalog/kept.json`: versions that failed, and modules that a person keeps at theirs.
//! - `catalog/modules/x.json`: the record, which says by inode what each of these folders is; see `record`.

mod decide;
mod document;
mod grant;
mod held;
mod index;
mod installed;
mod kept;
mod merge;
mod patch;
mod place;
mod record;
mod safe;
mod secrets;
mod settings;
mod stage;
mod swap;

use crate::config::Layout;

pub use decide::{Decision, compare};
pub use document::DocumentError;
pub use grant::{Grant, GrantedBy};
pub use held::Held;
pub use installed::{Broken, CatalogEntry, Installed};
pub use kept::{Kept, KeptBy};
pub use merge::{Merged, merge};
pub use patch::apply_patch;
pub use safe::Safe;
pub use secrets::without_passwords;
pub use settings::SettingsError;
pub use stage::{StageError, Staged};
pub use swap::{Recovery, Reverted, SwapError, Swapped, Unconfirmed};

/// The installed modules below one root.
#[derive(Debug, Clone)]
pub struct Catalog {
    layout: Layout,
}

impl Catalog {
    /// The catalog at its place in `layout`. Nothing is read or made before it is asked for.
    pub fn open(layout: &Layout) -> Self {
        Self { layout: layout.clone() }
    }
}
