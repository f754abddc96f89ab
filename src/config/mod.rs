//! Settings and places: what the administrator wrote, checked once, and where everything lies below the root.

mod layout;
mod load;
mod raw;
mod settings;
mod window;

pub use layout::{Layout, Machine};
pub use load::{ConfigError, Loaded, Origin, load};
pub use settings::{Config, DEFAULT_BRANCH, SelfUpdateSettings, SourceSettings, Verify};
pub use window::{MaintenanceWindow, Window, WindowError, WindowState};
