//! A module that can be run: its effective manifest, its profile, its code and the file that is run.

use std::path::{Path, PathBuf};

use updates_protocol::{DeclaredPath, Entry, Manifest, ManifestWarning, Phase, UnitName};

use super::verdict::Host;
use crate::profile::{self, Profile};

/// The file that holds a module's maintenance class.
const MAINTENANCE: &str = "maintenance.py";

/// A module that can be run.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// With the local settings laid over it.
    pub(super) manifest: Manifest,
    pub(super) warnings: Vec<ManifestWarning>,
    pub(super) profile: Profile,
    /// The module's folder on this machine.
    pub(super) code: PathBuf,
    /// The module's folder inside the sandbox.
    pub(super) inside: PathBuf,
    /// What the module reads as its `index.json`, where local settings make it differ from the file.
    pub(super) effective_index: Option<String>,
    /// What it asks for beyond what it was granted, each in words; it runs without.
    pub(super) ungranted: Vec<String>,
    /// What it was installed from, as the source names content.
    pub(super) tree: Option<String>,
    /// Whether this version was swapped in and has not run well yet.
    pub(super) unconfirmed: bool,
    /// Whether it lies in the catalog, so that its code can be taken back.
    pub(super) installed: bool,
}

impl Target {
    /// Everything that it may write and that is saved before: declared paths and the profile's.
    pub(super) fn declared(&self) -> Vec<DeclaredPath> {
        self.manifest.backup_paths.iter().chain(&self.profile.read_write_paths).cloned().collect()
    }

    /// Every unit that it may have looked at or controlled.
    pub(super) fn units(&self) -> impl Iterator<Item = &UnitName> {
        let manifest = &self.manifest;
        manifest.services.iter().chain(&manifest.sandbox.services).chain(&manifest.service_name)
    }

    /// Which phases there are.
    pub(super) fn phases(&self) -> Vec<Phase> {
        let maintenance = self.code.join(MAINTENANCE).is_file().then_some(Phase::Maintenance);
        maintenance.into_iter().chain([Phase::Main]).collect()
    }

    /// The file that a phase runs.
    pub(super) fn entry(&self, phase: Phase, python: &Path) -> Result<Entry, String> {
        let file = match (phase, &self.manifest.entry) {
            (Phase::Maintenance, _) => MAINTENANCE,
            (Phase::Main, Some(entry)) => entry,
            (Phase::Main, None) if self.code.join("index.py").is_file() => "index.py",
            (Phase::Main, None) if self.code.join("index").is_file() => "index",
            (Phase::Main, None) => {
                return Err(format!(
                    "{} holds neither index.py nor index; metadata.entry can name another file",
                    self.code.display()
                ));
            }
        };
        if !self.code.join(file).is_file() {
            return Err(format!("metadata.entry: {file:?} is no file in {}", self.code.display()));
        }
        let inside = self.inside.join(file);
        Ok(if file.ends_with(".py") {
            Entry::Python { interpreter: python.to_owned(), sdk: PathBuf::from(profile::SDK), file: inside }
        } else {
            Entry::Executable { file: inside }
        })
    }
}

/// How an entry is hosted.
pub(super) fn host(entry: &Entry) -> Host {
    match entry {
        Entry::Python { .. } => Host::Python,
        Entry::Executable { .. } => Host::Executable,
    }
}
