//! Turns the error of one system call into a [`SetupFailure`] that names the step and what it was about.

use std::fmt::Display;

use updates_protocol::SetupFailure;

/// Adds the step and the object to an error of the kernel.
pub trait OrFail<T> {
    /// `about` is evaluated only for a failure: usually a verb and a path.
    fn or_fail(self, step: &str, about: impl FnOnce() -> String) -> Result<T, SetupFailure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, step: &str, about: impl FnOnce() -> String) -> Result<T, SetupFailure> {
        self.map_err(|error| SetupFailure { step: step.to_owned(), reason: format!("{}: {error}", about()) })
    }
}

/// A failure that no system call reported.
pub fn refused<T>(step: &str, reason: impl Into<String>) -> Result<T, SetupFailure> {
    Err(SetupFailure { step: step.to_owned(), reason: reason.into() })
}
