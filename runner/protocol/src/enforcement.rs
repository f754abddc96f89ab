//! What the runner really applied: the report's answer to "was it enforced?".

use serde::{Deserialize, Serialize};

/// Every restriction of a sandbox, each with what enforces it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// In the order in which they were applied.
    pub restrictions: Vec<Restriction>,
}

/// One restriction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// What is restricted, for example `files` or `capabilities`.
    pub name: String,
    /// Whether it holds.
    pub enforced: bool,
    /// What enforces it, or why nothing does.
    pub by: String,
}

impl Enforcement {
    /// Notes a restriction that holds.
    pub fn enforced(&mut self, name: &str, by: impl Into<String>) {
        self.restrictions.push(Restriction { name: name.to_owned(), enforced: true, by: by.into() });
    }

    /// Notes a restriction that does not hold, and why.
    pub fn missing(&mut self, name: &str, why: impl Into<String>) {
        self.restrictions.push(Restriction { name: name.to_owned(), enforced: false, by: why.into() });
    }
}

/// A step of setting up the sandbox that failed; the module was not started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct SetupFailure {
    /// The step, for example `mounts`.
    pub step: String,
    /// What the kernel said, with the path it was about.
    pub reason: String,
}
