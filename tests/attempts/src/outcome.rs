//! What came of an attempt: a verdict, and what the kernel said. Knows how to read a kernel's answer, not what was tried.

use std::fmt;

use nix::errno::Errno;

use crate::raw::Answer;

/// How far an attempt came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Something stood in the way.
    Refused,
    /// It went through, or nothing but a harmless argument kept it from going through.
    Open,
    /// There is nothing to attack.
    Absent,
    /// It can't be tried here.
    NotApplicable,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Refused => "refused",
            Verdict::Open => "open",
            Verdict::Absent => "absent",
            Verdict::NotApplicable => "not_applicable",
        })
    }
}

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// How far it came.
    pub verdict: Verdict,
    /// The kernel's error, or what was found; one line.
    pub detail: String,
}

impl Outcome {
    /// Something stood in the way.
    pub fn refused(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused, detail: detail.into() }
    }

    /// It went through.
    pub fn open(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Open, detail: detail.into() }
    }

    /// There is nothing to attack.
    pub fn absent(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::Absent, detail: detail.into() }
    }

    /// It can't be tried here.
    pub fn not_applicable(detail: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotApplicable, detail: detail.into() }
    }

    /// Open when the call went through, or failed with one of `permitted`: errors that come only after the kernel has
    /// looked at permissions. Where nothing is there it is absent.
    pub fn of(answer: Answer, permitted: &[Errno]) -> Self {
        match answer {
            Ok(_) => Self::open("went through"),
            Err(error) if permitted.contains(&error) => Self::open(format!("permitted, then {error:?}")),
            Err(error @ (Errno::ENOENT | Errno::ENODEV | Errno::ENXIO | Errno::ESRCH)) => {
                Self::absent(format!("{error:?}"))
            }
            Err(error) => Self::refused(format!("{error:?}")),
        }
    }

    /// The worst of several ways to the same end: the first that is open, else refused, absent, not applicable. Each
    /// says which way it was.
    pub fn worst(ways: impl IntoIterator<Item = (String, Self)>) -> Self {
        let rank = |verdict| match verdict {
            Verdict::Open => 0,
            Verdict::Refused => 1,
            Verdict::Absent => 2,
            Verdict::NotApplicable => 3,
        };
        let worst = ways.into_iter().min_by_key(|(_, outcome)| rank(outcome.verdict));
        match worst {
            Some((way, outcome)) => Self { detail: format!("{way}: {}", outcome.detail), ..outcome },
            None => Self::absent("nothing of the kind"),
        }
    }
}

/// Shorthand of [`Outcome::worst`] for ways that have fixed names.
pub fn worst<const N: usize>(ways: [(&str, Outcome); N]) -> Outcome {
    Outcome::worst(ways.map(|(way, outcome)| (way.to_owned(), outcome)))
}
