//! Why a request was not answered with a value: it was not allowed, or it was and went wrong. A module reads the same
//! sentence either way; the log tells them apart.

use std::fmt;

/// A sentence for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::supervisor) enum Denial {
    /// The module may not ask for this.
    Refused(String),
    /// It may, and it was tried.
    Failed(String),
}

impl Denial {
    /// The word that the log has for it.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Denial::Refused(_) => "refused",
            Denial::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Denial::Refused(sentence) | Denial::Failed(sentence)) = self;
        f.write_str(sentence)
    }
}

impl From<String> for Denial {
    fn from(sentence: String) -> Self {
        Denial::Refused(sentence)
    }
}

impl From<&str> for Denial {
    fn from(sentence: &str) -> Self {
        Denial::Refused(sentence.to_owned())
    }
}

/// What was granted and went wrong.
pub(super) fn failed(error: impl fmt::Display) -> Denial {
    Denial::Failed(error.to_string())
}
