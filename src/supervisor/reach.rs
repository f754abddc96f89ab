//! How far a module's sandbox may reach: what its `index.json` asks for against what it was granted.
//!
//! A module is granted what it asks for when it is installed. From then on neither a newer version nor an edit of its
//! files gives it more than that, until a person agrees once. Settings that the profile lets every module adjust, and
//! what the administrator's own local settings say, need nobody's agreement.

use std::path::Path;

use serde_json::{Map, Value};
use updates_protocol::{DeclaredPath, Manifest, ModuleName, UnitName};

use crate::catalog::{Catalog, CatalogEntry, DocumentError, Grant, GrantedBy, Installed};
use crate::profile::{Excess, Profile, ProfileError, Profiles};

/// A manifest with the profile that it resolves to.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    pub(super) manifest: Manifest,
    pub(super) profile: Profile,
    /// What goes further than the profile lets every module go.
    excess: Vec<Excess>,
}

/// Why it can't be said how far a module may reach.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The profile can't be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A file of the catalog can't be used.
    #[error(transparent)]
    Document(#[from] DocumentError),
}

/// What holds for an installed module.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) reach: Reach,
    /// What it asks for beyond what it was granted; where there is anything, what was granted holds instead.
    pub(super) ungranted: Vec<String>,
}

/// Reads and judges grants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Granter<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) profiles: &'a Profiles,
    /// Whether nothing may be written.
    pub(super) check: bool,
}

impl Granter<'_> {
    /// What holds for an installed module in this run.
    pub(super) fn hold(&self, module: &Installed) -> Result<Held, ReachError> {
        let asked = Reach::of(module.manifest.clone(), self.profiles)?;
        let grants = self.grants_of(module)?;
        let Some(more) = self.beyond_all(&asked, &module.document, &module.name, &grants)? else {
            return Ok(Held { reach: asked, ungranted: Vec::new() });
        };
        let latest = grants.last().map(|grant| grant.imposed_on(&module.document)).unwrap_or_default();
        let granted = self.catalog.effective(&module.name, &latest)?;
        Ok(Held { reach: Reach::of(granted, self.profiles)?, ungranted: more })
    }

    /// What a version in the source asks for beyond what was granted; nothing for a module that is not installed.
    pub(super) fn newly_asked(
        &self,
        installed: Option<&CatalogEntry>,
        source: &Manifest,
    ) -> Result<Vec<String>, ReachError> {
        let grants = match installed {
            None => return Ok(Vec::new()),
            Some(CatalogEntry::Installed(module)) => self.grants_of(module)?,
            Some(CatalogEntry::Broken(_)) => self.catalog.grants(&source.name)?,
        };
        if grants.is_empty() {
            return Ok(Vec::new()); // a broken module that never ran
        }
        let asked = Reach::of(self.catalog.effective(&source.name, &source.raw)?, self.profiles)?;
        Ok(self.beyond_all(&asked, &source.raw, &source.name, &grants)?.unwrap_or_default())
    }

    /// Notes what a module that is about to be installed for the first time asks for.
    pub(super) fn welcome(&self, source: &Manifest) -> Result<(), DocumentError> {
        self.catalog.grant_afresh(&source.name, self.first_grant(&source.name, &source.raw))
    }

    /// What an installed module asks for beyond what was granted.
    pub(super) fn asked_by(&self, module: &Installed) -> Result<Vec<String>, ReachError> {
        let asked = Reach::of(module.manifest.clone(), self.profiles)?;
        let grants = self.grants_of(module)?;
        Ok(self.beyond_all(&asked, &module.document, &module.name, &grants)?.unwrap_or_default())
    }

    // A module from before there were grants, or one that a person put there, was granted what it was shipped with.
    fn grants_of(&self, module: &Installed) -> Result<Vec<Grant>, DocumentError> {
        let mut grants = self.catalog.grants(&module.name)?;
        let known = grants.len();
        if grants.is_empty() {
            grants.push(self.first_grant(&module.name, module.shipped.as_ref().unwrap_or(&module.document)));
        }
        // Where no grant opens the module's own folder, what stands there was written by a person or shipped. It is
        // noted before the module runs: the edit itself may be what opens the folder.
        if !grants.iter().any(|grant| grant.opens_folder_of(&module.name)) {
            let stands = self.first_grant(&module.name, &module.document);
            let is_new = !grants.iter().any(|grant| grant.says_the_same(&stands));
            if is_new && self.is_shipped_within(module, &grants) {
                grants.push(stands);
            }
        }
        if !self.check {
            for grant in &grants[known..] {
                self.catalog.grant(&module.name, grant.clone())?;
            }
        }
        Ok(grants)
    }

    // Whether the shipped version asks for no more than was granted when local settings are left aside: they may cover an
    // ask, and one that nobody saw is no grant when they go. An edit on top of such a version is not told apart from it.
    fn is_shipped_within(&self, module: &Installed, grants: &[Grant]) -> bool {
        let Some(shipped) = &module.shipped else { return true };
        let reach = |grant: &Grant| {
            let (manifest, _) = Manifest::from_object(grant.imposed_on(shipped), &module.name).ok()?;
            Reach::of(manifest, self.profiles).ok()
        };
        let Some(asked) = reach(&self.first_grant(&module.name, shipped)) else { return false };
        grants.iter().filter_map(reach).any(|granted| asked.beyond(&granted).is_empty())
    }

    // Paths, units and the profile itself are what an installation decides. A setting that goes further than the profile
    // lets every module go is none of that, and left out.
    fn first_grant(&self, name: &ModuleName, document: &Map<String, Value>) -> Grant {
        let mut grant = Grant::of(document, GrantedBy::Installation);
        let manifest = Manifest::from_object(document.clone(), name).ok().map(|(manifest, _)| manifest);
        let beyond = manifest.and_then(|manifest| self.profiles.named(&manifest).ok()?.beyond(&manifest).ok());
        let Some(beyond) = beyond else {
            grant.sandbox.clear(); // what can't be judged is not granted
            return grant;
        };
        for excess in beyond.iter().filter(|excess| !decided_by_installation(&excess.key)) {
            grant.sandbox.shift_remove(&excess.key);
        }
        grant
    }

    // `None` when one of the grants covers all that is asked for; else what the latest lacks.
    fn beyond_all(
        &self,
        asked: &Reach,
        document: &Map<String, Value>,
        name: &ModuleName,
        grants: &[Grant],
    ) -> Result<Option<Vec<String>>, ReachError> {
        let mut lacking = None;
        for grant in grants.iter().rev() {
            let granted = self.catalog.effective(name, &grant.imposed_on(document))?;
            let beyond = match Reach::of(granted, self.profiles) {
                Ok(granted) => asked.beyond(&granted),
                // Its profile is gone or broken since; what it meant can't be known.
                Err(error) => vec![format!("what it was granted can't be used any more ({error})")],
            };
            if beyond.is_empty() {
                return Ok(None);
            }
            lacking.get_or_insert(beyond);
        }
        Ok(lacking)
    }
}

impl Reach {
    fn of(manifest: Manifest, profiles: &Profiles) -> Result<Self, ProfileError> {
        let excess = profiles.named(&manifest)?.beyond(&manifest)?;
        Ok(Self { profile: profiles.resolve(&manifest)?, manifest, excess })
    }

    /// In words, what this reaches that `granted` does not. What comes with another profile goes by its name alone.
    fn beyond(&self, granted: &Reach) -> Vec<String> {
        let (ours, theirs) = (&self.profile, &granted.profile);
        let request = &self.manifest.sandbox;
        let loosened = ours.loosened_against(theirs);
        let mut beyond = Vec::new();
        if ours.name != theirs.name && !loosened.is_empty() {
            beyond.push(format!("the profile {} instead of {}", ours.name, theirs.name));
        }
        // Whoever was granted a folder was not granted what the profile hides in it.
        let opens = |granted: &DeclaredPath, path: &DeclaredPath| {
            let between = |hidden: &DeclaredPath| hidden.is_within(granted) && path.is_within(hidden);
            granted.as_path() == path.as_path()
                || (path.is_within(granted) && !theirs.inaccessible_paths.iter().any(between))
        };
        let within = |path: &DeclaredPath, held: &[&[DeclaredPath]]| {
            held.iter().copied().flatten().any(|granted| opens(granted, path))
        };
        let exceeds = |key: &str, path: &DeclaredPath| {
            let path = path.to_string();
            let keys = [key, "inaccessible_paths"];
            self.excess.iter().any(|excess| keys.contains(&excess.key.as_str()) && excess.asked == path)
        };
        let writable: [&[DeclaredPath]; 2] = [&theirs.read_write_paths, &theirs.volatile_paths];
        for path in self.manifest.declared_paths().filter(|path| !within(path, &writable)) {
            if !exceeds("read_write_paths", path) {
                continue; // the profile allows it to every module
            }
            beyond.push(format!("to write {path}"));
        }
        for path in request.volatile_paths.iter().filter(|path| !within(path, &[&theirs.volatile_paths])) {
            if !exceeds("volatile_paths", path) {
                continue;
            }
            beyond.push(format!("to write {path} without a way back"));
        }
        let seen: [&[DeclaredPath]; 3] = [&theirs.read_only_paths, &theirs.read_write_paths, &theirs.volatile_paths];
        for path in request.read_only_paths.iter().filter(|path| is_hidden(theirs, path.as_path())) {
            if !within(path, &seen) && exceeds("read_only_paths", path) {
                beyond.push(format!("to read {path}"));
            }
        }
        let hidden = theirs.inaccessible_paths.iter().filter(|_| ours.name == theirs.name);
        for path in hidden.filter(|path| !ours.inaccessible_paths.contains(path)) {
            let told = self.manifest.declared_paths().chain(&request.volatile_paths);
            if !told.into_iter().any(|told| told.as_path() == path.as_path()) {
                beyond.push(format!("to see {path}")); // it hid this from itself before
            }
        }
        for unit in units(&self.manifest).filter(|unit| !units(&granted.manifest).any(|held| held == *unit)) {
            beyond.push(format!("to control {unit}"));
        }
        for database in &self.manifest.databases {
            if !granted.manifest.databases.contains(database) {
                beyond.push(format!("to put back the database {}", database));
            }
        }
        let raw = self.manifest.raw.get("sandbox");
        let told = |key: &str| key.ends_with("_paths");
        let allowed = |key: &str| !self.excess.iter().any(|excess| excess.key == key);
        for key in loosened.into_iter().filter(|key| !told(key) && !allowed(key)) {
            if let Some(value) = raw.and_then(|sandbox| sandbox.get(key)) {
                beyond.push(format!("sandbox.{key} {value}"));
            } else if ours.name == theirs.name {
                beyond.push(format!("a looser {key}")); // it tightened this itself before
            }
        }
        beyond
    }
}

fn decided_by_installation(key: &str) -> bool {
    key.ends_with("_paths") || key == "services"
}

fn units(manifest: &Manifest) -> impl Iterator<Item = &UnitName> {
    manifest.service_name.iter().chain(&manifest.services).chain(&manifest.sandbox.services)
}

// Most of the machine is readable anyway, so that naming it takes nothing; a path inside a writable one is only closed.
pub(super) fn is_hidden(granted: &Profile, path: &Path) -> bool {
    const OWN: [&str; 8] = ["/run", "/tmp", "/var/tmp", "/root", "/home", "/dev", "/proc", "/sys"];
    let inside = |place: &Path| path.starts_with(place) || place.starts_with(path);
    OWN.iter().any(|own| inside(Path::new(own)))
        || granted.inaccessible_paths.iter().any(|hidden| inside(hidden.as_path()))
}
