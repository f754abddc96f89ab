//! Finding profiles: local ones before shipped ones, each by the name of its file.
//!
//! A file that can't be used is kept as its error, so that only the modules that ask for it are stopped, and so that a
//! broken local profile never lets the shipped one of the same name take its place.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use updates_protocol::{FieldError, Manifest, ProfileName};

use super::file::ProfileFile;
use super::{Profile, ProfileError, contradiction};

/// Every profile there is.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    files: BTreeMap<ProfileName, Result<ProfileFile, ProfileError>>,
    problems: Vec<ProfileError>,
}

impl Profiles {
    /// Reads both folders; either may be absent.
    pub fn load(local: &Path, shipped: &Path) -> Self {
        let mut profiles = Self::default();
        profiles.read_folder(shipped);
        profiles.read_folder(local);
        profiles
    }

    /// Folders and files that are passed over because not even a profile's name can be had from them.
    pub fn problems(&self) -> &[ProfileError] {
        &self.problems
    }

    /// The names there are.
    pub fn names(&self) -> impl Iterator<Item = &ProfileName> {
        self.files.keys()
    }

    /// The profile called `name`, with all that it extends.
    pub fn get(&self, name: &ProfileName) -> Result<Profile, ProfileError> {
        let mut chain: Vec<(&ProfileName, &ProfileFile)> = Vec::new();
        let mut next = Some(name);
        while let Some(name) = next {
            let repeated = chain.iter().any(|(earlier, _)| *earlier == name);
            if repeated {
                let names = chain.iter().map(|(name, _)| *name).chain([name]).map(ProfileName::to_string).collect();
                return Err(ProfileError::Circle { names });
            }
            let file = match self.files.get(name) {
                Some(Ok(file)) => file,
                Some(Err(error)) => return Err(error.clone()),
                None => {
                    let known = self.names().map(ProfileName::to_string).collect();
                    return Err(ProfileError::Unknown { name: name.clone(), known });
                }
            };
            chain.push((name, file));
            next = file.extends.as_ref();
        }
        let base = Profile::closed(name.clone());
        let mut laid_over = chain.iter().rev();
        let profile = laid_over.try_fold(base, |base, (name, file)| file.over(base, (*name).clone()))?;
        match (contradiction::useless_capabilities(&profile), chain.first()) {
            (Some(problem), Some((_, file))) => {
                let field = FieldError { field: "capability_bounding_set".to_owned(), problem };
                Err(ProfileError::Field { path: file.path.clone(), field })
            }
            _ => Ok(profile),
        }
    }

    /// The profiles of this project, the strictest first, as far as they can be used; a local one of the same name takes
    /// the place of a shipped one.
    pub fn shipped(&self) -> Vec<Profile> {
        const STRICTEST_FIRST: [&str; 5] = ["strict", "default", "network", "package-manager", "legacy"];
        let names = STRICTEST_FIRST.iter().filter_map(|name| name.parse().ok());
        names.filter_map(|name| self.get(&name).ok()).collect()
    }

    /// The profile of a module: the one that its manifest names, or `default`, adjusted by the manifest.
    pub fn resolve(&self, manifest: &Manifest) -> Result<Profile, ProfileError> {
        self.named(manifest)?.adjusted(manifest)
    }

    /// The profile that a module's manifest names, or `default`, as it is for every module.
    pub fn named(&self, manifest: &Manifest) -> Result<Profile, ProfileError> {
        let default;
        let name = match &manifest.sandbox.profile {
            Some(name) => name,
            None => {
                default = "default".parse::<ProfileName>().expect("the word is made of letters");
                &default
            }
        };
        self.get(name)
    }

    fn read_folder(&mut self, folder: &Path) {
        let read_error =
            |path: &Path, error: io::Error| ProfileError::Read { path: path.to_owned(), reason: error.to_string() };
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problems.push(read_error(folder, error)),
        };
        for entry in entries {
            let path = match entry {
                Ok(entry) => entry.path(),
                Err(error) => {
                    self.problems.push(read_error(folder, error));
                    continue;
                }
            };
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            match stem.parse::<ProfileName>() {
                Ok(name) => {
                    let file = fs::read(&path)
                        .map_err(|error| read_error(&path, error))
                        .and_then(|bytes| ProfileFile::parse(&bytes, &path));
                    self.files.insert(name, file);
                }
                Err(error) => self.problems.push(ProfileError::Name { path, reason: error.to_string() }),
            }
        }
    }
}
