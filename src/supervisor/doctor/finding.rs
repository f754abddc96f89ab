//! One thing that the doctor looked at: how it stands, what was found, and how it is mended.

use serde::Serialize;

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Runs go on, but somebody should look.
    Warning,
    /// Runs do not happen, or can't do what they are for.
    Problem,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at, in a word: `timer`, `disk`.
    pub check: &'static str,
    /// How it stands.
    pub health: Health,
    /// What was found, in a sentence.
    pub found: String,
    /// How to mend it; absent where nothing is to be mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// Nothing to be mended.
    pub fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, health: Health::Ok, found: found.into(), mend: None }
    }

    /// Something to look at.
    pub fn warning(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, health: Health::Warning, found: found.into(), mend: Some(mend.into()) }
    }

    /// Something that keeps runs from doing what they are for.
    pub fn problem(check: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { health: Health::Problem, ..Self::warning(check, found, mend) }
    }
}
