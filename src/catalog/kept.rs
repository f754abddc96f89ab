//! Modules that a person keeps at their version: one durable list. Versions that failed are held elsewhere, see `held`.
//!
//! A checkout of an older version keeps the module there as well, for as long as that version is the installed one: taken
//! back, it must not keep the version that came in its stead. One whose time is over counts for nothing, and goes from the
//! list when that is written next.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use updates_protocol::{MAX_MANIFEST, ModuleName, SchemaVersion};

use super::Catalog;
use super::document::{DocumentError, format_like, read_bounded};
use super::installed::CatalogEntry;
use crate::fs::{create_directory, replace_file};

/// Why a module is kept at its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whose word it was.
    pub by: KeptBy,
    /// The version that was installed, or was checked out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<SchemaVersion>,
    /// The version that an earlier checkout keeps, and that a swap which does not come to pass, or is taken back, leaves
    /// in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former: Option<SchemaVersion>,
    /// Until when; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Why, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when, RFC 3339, UTC.
    pub since: String,
}

/// Whose word keeps a module at its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptBy {
    /// `updates hold`: whatever version is installed stays.
    Hold,
    /// `updates checkout`: the version that was checked out stays.
    Checkout,
}

type List = BTreeMap<ModuleName, Kept>;

impl Kept {
    /// Kept from now on.
    pub fn now(by: KeptBy, version: Option<SchemaVersion>, until: Option<Timestamp>, reason: Option<String>) -> Self {
        Self { by, version, former: None, until, reason, since: super::safe::now() }
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Timestamp::now())
    }

    fn applies_to(&self, installed: Option<&SchemaVersion>) -> bool {
        let named = || [&self.version, &self.former].into_iter().flatten().any(|version| Some(version) == installed);
        !self.is_over() && (self.by == KeptBy::Hold || named())
    }
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.by, &self.version) {
            (KeptBy::Checkout, Some(version)) => write!(f, "a person checked out {version}")?,
            (KeptBy::Checkout | KeptBy::Hold, _) => f.write_str("a person holds it")?,
        }
        if let Some(until) = self.until {
            let local = until.to_zoned(jiff::tz::TimeZone::system());
            write!(f, " until {}", local.strftime("%Y-%m-%d %H:%M"))?;
        }
        match &self.reason {
            Some(reason) => write!(f, " ({reason})"),
            None => Ok(()),
        }
    }
}

impl Catalog {
    fn kept_path(&self) -> PathBuf {
        self.layout.catalog().join("kept.json")
    }

    fn kept_list(&self) -> Result<List, DocumentError> {
        let path = self.kept_path();
        let Some(bytes) = read_bounded(&path, 16 * MAX_MANIFEST)? else { return Ok(List::new()) };
        serde_json::from_slice(&bytes).map_err(|error| {
            let way_out = "remove it, and hold anew what must stay";
            DocumentError::invalid(&path, format!("is no list of modules that are kept: {error}; {way_out}"))
        })
    }

    /// Why the module is kept at its version, if it is.
    pub fn kept(&self, name: &ModuleName) -> Result<Option<Kept>, DocumentError> {
        Ok(self.kept_list()?.remove(name).filter(|kept| kept.applies_to(self.version_of(name).as_ref())))
    }

    /// Every installed module that is kept at its version.
    pub fn all_kept(&self) -> Result<BTreeMap<ModuleName, Kept>, DocumentError> {
        let mut list = self.kept_list()?;
        list.retain(|name, kept| kept.applies_to(self.version_of(name).as_ref()));
        Ok(list)
    }

    /// Keeps the module, durably; what was said before of it gives way.
    pub fn keep(&self, name: &ModuleName, kept: Kept) -> Result<(), DocumentError> {
        let mut list = self.kept_list()?;
        list.insert(name.clone(), kept);
        self.write_kept(list)
    }

    /// Lets the module be updated again; returns what kept it.
    pub fn let_go(&self, name: &ModuleName) -> Result<Option<Kept>, DocumentError> {
        let mut list = self.kept_list()?;
        let Some(kept) = list.remove(name) else { return Ok(None) };
        let applied = kept.applies_to(self.version_of(name).as_ref());
        self.write_kept(list)?;
        Ok(applied.then_some(kept))
    }

    fn version_of(&self, name: &ModuleName) -> Option<SchemaVersion> {
        match self.module(name)? {
            CatalogEntry::Installed(module) => Some(module.manifest.schema_version),
            CatalogEntry::Broken(broken) => broken.version,
        }
    }

    fn write_kept(&self, mut list: List) -> Result<(), DocumentError> {
        list.retain(|_, kept| !kept.is_over());
        create_directory(&self.layout.catalog(), 0o700)?;
        Ok(replace_file(&self.kept_path(), &format_like("", &list), 0o600)?)
    }
}
