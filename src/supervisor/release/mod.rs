//! `updates release`: a module of a working copy is looked at as an installation would take it, tried, and tagged.
//!
//! What is judged is not the working copy but what its HEAD holds, exported as a mirror's modules are. The tag is made by the
//! git program, so that hooks, identity and signing are the author's own. Nothing is pushed.

mod error;
mod lint;
mod trial;
mod working_copy;

use std::path::PathBuf;

use jiff::Zoned;
use updates_protocol::{Manifest, ModuleName};

pub use error::ReleaseError;

use self::working_copy::WorkingCopy;
use super::Supervisor;
use crate::fs::IoContext;
use crate::source::{Mirror, TagName};

/// What `updates release` was asked for.
#[derive(Debug, Clone)]
pub struct ReleaseOptions {
    /// A module's name, or the path to its folder.
    pub module: String,
    /// Where the person stands; an absolute path.
    pub from: PathBuf,
    /// Whether the tag is signed, by git's own settings.
    pub sign: bool,
}

/// A version that is tagged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// Which module.
    pub module: ModuleName,
    /// The tag.
    pub tag: String,
    /// The commit that it points to.
    pub commit: String,
    /// Odd things in the manifest.
    pub warnings: Vec<String>,
    /// What was tried, and what could not be.
    pub tried: Vec<String>,
    /// The command that makes the tag public.
    pub push: String,
}

impl Supervisor {
    /// Lints, tests and tags a module. `step` hears what is done next.
    pub fn release(&self, options: &ReleaseOptions, step: &mut dyn FnMut(&str)) -> Result<Released, ReleaseError> {
        let (copy, module) = WorkingCopy::find(&options.from, &options.module)?;
        step("looking at the working copy");
        copy.require_clean(&module)?;
        let commit = copy.head()?;
        let mirror = Mirror::existing(&copy.repository()?).ok_or_else(|| copy.unreadable())?;
        let content =
            mirror.revision(&commit).ok_or_else(|| copy.unreadable())?.module_named(&module).map_err(|problem| {
                ReleaseError::Content { module: module.clone(), problem: format!("HEAD {problem}") }
            })?;

        let temporary = std::env::temp_dir();
        let scratch = tempfile::Builder::new().prefix("updates-release-").tempdir_in(&temporary);
        let scratch = scratch.at("create a folder in", &temporary)?;
        let code = scratch.path().join("code").join(module.as_str());
        std::fs::create_dir_all(&code).at("create", &code)?;
        content.export(&code).map_err(|error| ReleaseError::content(&module, &error))?;

        step("checking manifest and code");
        let (manifest, warnings) = Manifest::parse(content.index(), &module)
            .map_err(|error| ReleaseError::content(&module, &format!("index.json: {error}")))?;
        lint::lint(self, &manifest, &code)?;
        let name =
            TagName { module: module.clone(), version: manifest.schema_version.clone(), date: Zoned::now().date() };
        let tag = name.tag();
        copy.require_new(&tag)?;
        let newest = mirror.tags_below("refs/tags/", &module)?.versions.into_iter().next();
        if let Some(newest) = newest.filter(|newest| newest.name.version >= manifest.schema_version) {
            return Err(ReleaseError::NotNewer { module, version: manifest.schema_version, newest: newest.tag });
        }

        let tried = trial::run(self, &module, &code, scratch.path(), step)?;
        step("making the tag");
        copy.tag(&tag, &commit, &format!("{module} {}", manifest.schema_version), options.sign)?;
        let push = format!("git push {} refs/tags/{tag}", copy.remote());
        let warnings = warnings.iter().map(ToString::to_string).collect();
        Ok(Released { module, tag, commit, warnings, tried, push })
    }
}
