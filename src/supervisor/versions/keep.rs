//! `updates hold` and `updates unhold`: a person's word on whether a module's code may be replaced.

use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use updates_protocol::ModuleName;

use super::error::VersionError;
use crate::catalog::{Catalog, CatalogEntry, Held, Kept, KeptBy};
use crate::supervisor::{RunError, Supervisor};

/// A moment in the future until which a module is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Until(Timestamp);

/// A text that is no such moment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UntilError {
    /// It can't be read.
    #[error("{0:?} is no date: write 2026-12-24, which means until that day begins here, or 2026-12-24T08:00:00Z")]
    Unreadable(String),
    /// It is over.
    #[error("{0:?} is over; a hold ends in the future")]
    Past(String),
}

impl FromStr for Until {
    type Err = UntilError;

    /// A date, which means the beginning of that day in local time, or an RFC 3339 time.
    fn from_str(text: &str) -> Result<Self, UntilError> {
        let shown = || text.chars().take(80).collect::<String>();
        let moment = match text.parse::<Timestamp>() {
            Ok(moment) => Some(moment),
            // A date alone; jiff would read one in front of a time as well.
            Err(_) if text.len() == 10 => text.parse::<Date>().ok().and_then(|date| {
                Some(date.to_datetime(Time::midnight()).to_zoned(TimeZone::system()).ok()?.timestamp())
            }),
            Err(_) => None,
        };
        match moment {
            None => Err(UntilError::Unreadable(shown())),
            Some(moment) if moment <= Timestamp::now() => Err(UntilError::Past(shown())),
            Some(moment) => Ok(Self(moment)),
        }
    }
}

/// What `updates unhold` let go.
#[derive(Debug, Clone, PartialEq)]
pub struct LetGo {
    /// What had kept the module.
    pub kept: Option<Kept>,
    /// Versions that had failed, and may be installed again.
    pub failed: Vec<Held>,
}

impl Supervisor {
    /// Keeps a module's code at the version that is installed, until a moment or for ever. Returns how it is kept now.
    pub fn hold_module(
        &self,
        module: &ModuleName,
        until: Option<Until>,
        reason: Option<&str>,
        wait: Duration,
    ) -> Result<Kept, VersionError> {
        let _lock = self.lock(wait)?;
        let catalog = Catalog::open(&self.layout);
        let version = match catalog.module(module) {
            None => return Err(RunError::UnknownModule { name: module.clone(), nearest: None }.into()),
            Some(CatalogEntry::Installed(entry)) => Some(entry.manifest.schema_version),
            Some(CatalogEntry::Broken(broken)) => broken.version,
        };
        let reason =
            reason.map(|text| text.chars().take(MAX_REASON).collect::<String>()).filter(|text| !text.is_empty());
        let kept = Kept::now(KeptBy::Hold, version, until.map(|until| until.0), reason);
        catalog.keep(module, kept.clone())?;
        Ok(kept)
    }

    /// Lets a module be updated again, also to versions that failed before.
    pub fn unhold_module(&self, module: &ModuleName, wait: Duration) -> Result<LetGo, VersionError> {
        let _lock = self.lock(wait)?;
        let catalog = Catalog::open(&self.layout);
        let let_go = LetGo { kept: catalog.let_go(module)?, failed: catalog.unhold(module)? };
        if let_go.kept.is_none() && let_go.failed.is_empty() && catalog.module(module).is_none() {
            return Err(RunError::UnknownModule { name: module.clone(), nearest: None }.into());
        }
        Ok(let_go)
    }
}

/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_or_a_time_in_the_future_is_taken_and_nothing_else() {
        for good in ["2999-12-24", "2999-12-24T08:00:00Z", "2999-12-24T08:00:00+02:00", "2999-12-24T08:00:00.5-01:30"] {
            assert!(good.parse::<Until>().is_ok(), "{good}");
        }
        for past in ["1970-01-01", "2020-02-29", "2020-02-29T00:00:00Z"] {
            assert!(matches!(past.parse::<Until>(), Err(UntilError::Past(_))), "{past}");
        }
        for bad in ["", "tomorrow", "2999-02-30", "2999-13-01", "29991224", "24.12.2999", "2999-12-24T08:00:00", "-1"] {
            assert!(matches!(bad.parse::<Until>(), Err(UntilError::Unreadable(_))), "{bad}");
        }
    }
}
