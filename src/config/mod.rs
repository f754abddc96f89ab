//! Settings and places: what the administrator wrote, checked once, and where everything lies below the root.

mod layout;

pub use layout::{Layout, Machine};
