//! `versions`, `checkout`, `hold`, `unhold` and `release`: what they are asked, and what they print.

mod checkout;
mod hold;
mod list;
mod release;

pub use checkout::checkout;
pub use hold::{hold, unhold};
pub use list::versions;
pub use release::release;
