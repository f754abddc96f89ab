//! Versions of modules as the source's tags name them: `<module>-v<version>-<YYYYMMDD>`.
//!
//! A tag is only words; what counts is the commit that it points to. A name that can be read in two ways is settled by
//! that commit: the module is there, and its `index.json` says the version. Whatever does not hold together is refused
//! with a reason. Whether a tag is trusted is not asked here; see [`Trust`](super::Trust).

use std::str::FromStr;

use git2::{ObjectType, Oid, Repository};
use jiff::civil::Date;
use serde::Deserialize;
use updates_protocol::{ModuleName, SchemaVersion};

use super::mirror::References;
use super::revision;
use super::{Mirror, SourceConfig, SourceError, SourceModule};

/// One way to read the name of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagName {
    /// The module.
    pub module: ModuleName,
    /// Its version.
    pub version: SchemaVersion,
    /// The day that the name tells.
    pub date: Date,
}

/// A tag that holds a version of a module.
#[derive(Debug, Clone)]
pub struct VersionTag {
    /// What its name says, which its content agrees with.
    pub name: TagName,
    /// The tag's name, without `refs/tags/`.
    pub tag: String,
    /// The commit that it points to.
    pub commit: Oid,
    /// The tag object, when it is annotated.
    pub object: Option<Oid>,
    /// The module as that commit has it.
    pub content: SourceModule,
}

/// A tag that looks like a version of the module and is none, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tag {tag} {problem}")]
pub struct RejectedTag {
    /// Its name, with what is not UTF-8 replaced and cut to 200 characters.
    pub tag: String,
    /// What is wrong; begins with a verb.
    pub problem: String,
}

/// The tags of one module.
#[derive(Debug, Clone, Default)]
pub struct VersionTags {
    /// Those that can be used, the newest version first; of the same version the latest date first.
    pub versions: Vec<VersionTag>,
    /// Those that can't.
    pub rejected: Vec<RejectedTag>,
}

impl TagName {
    /// Every way to read `tag`, the one with the longest module name first: `a-v1-v2-20240101` is version `2` of `a-v1`, or
    /// the pre-release `1-v2` of `a`. Nothing where it is no such name at all.
    pub fn readings(tag: &str) -> Vec<Self> {
        let Some((rest, date)) = tag.rsplit_once('-') else { return Vec::new() };
        let Some(date) = parse_date(date) else { return Vec::new() };
        let mut readings: Vec<Self> = rest
            .match_indices("-v")
            .filter_map(|(at, mark)| {
                let module = ModuleName::from_str(&rest[..at]).ok()?;
                let version = SchemaVersion::from_str(&rest[at + mark.len()..]).ok()?;
                Some(Self { module, version, date })
            })
            .collect();
        readings.reverse();
        readings
    }

    /// The tag's name.
    pub fn tag(&self) -> String {
        format!("{}-v{}-{}", self.module, self.version, self.timestamp())
    }

    /// The day as the name tells it, `YYYYMMDD`.
    pub fn timestamp(&self) -> String {
        self.date.strftime("%Y%m%d").to_string()
    }
}

fn parse_date(text: &str) -> Option<Date> {
    if text.len() != 8 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |range: std::ops::Range<usize>| text[range].parse::<i16>().ok();
    Date::new(number(0..4)?, i8::try_from(number(4..6)?).ok()?, i8::try_from(number(6..8)?).ok()?).ok()
}

/// Whether a tag that can't be read was meant for `module`, as far as its beginning tells.
fn is_meant_for(tag: &[u8], module: &ModuleName) -> bool {
    let rest = tag.strip_prefix(module.as_str().as_bytes()).and_then(|rest| rest.strip_prefix(b"-v"));
    rest.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

/// What is at the end of a reference to a tag.
struct Target {
    commit: Oid,
    object: Option<Oid>,
}

#[derive(Deserialize)]
struct Index {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    schema_version: SchemaVersion,
}

impl Mirror {
    /// The tags of `module` that the mirror holds for this source.
    ///
    /// Only objects that have to do with the module are looked at; a tag that is damaged is rejected like any other.
    pub fn tags_of(&self, config: &SourceConfig, module: &ModuleName) -> Result<VersionTags, SourceError> {
        self.tags_below(&References::of(config).tags, module)
    }

    /// The tags of `module` whose references lie below `folder`, which ends in a slash: `refs/tags/` in a repository that is
    /// no mirror.
    pub fn tags_below(&self, folder: &str, module: &ModuleName) -> Result<VersionTags, SourceError> {
        let damaged = |error: git2::Error| revision::damaged(&self.path, &error);
        let mut found = VersionTags::default();
        let prefix = module.as_str().as_bytes();
        for reference in self.repository.references_glob(&format!("{folder}*")).map_err(damaged)? {
            let reference = match reference {
                Ok(reference) => reference,
                // One that can't be read may be anybody's.
                Err(error) => {
                    tracing::debug!("a tag of the mirror can't be read: {}", error.message());
                    continue;
                }
            };
            let Some(name) = reference.name_bytes().strip_prefix(folder.as_bytes()) else { continue };
            if !name.starts_with(prefix) {
                continue;
            }
            match self.tag(name, reference.target(), module) {
                Some(Ok(tag)) => found.versions.push(tag),
                Some(Err(problem)) => {
                    let tag = String::from_utf8_lossy(name).chars().take(200).collect();
                    found.rejected.push(RejectedTag { tag, problem });
                }
                None => {}
            }
        }
        found.versions.sort_by(|left, right| {
            let (left, right) = (&left.name, &right.name);
            right.version.cmp(&left.version).then_with(|| (right.date, right.tag()).cmp(&(left.date, left.tag())))
        });
        found.rejected.sort_by(|left, right| left.tag.cmp(&right.tag));
        Ok(found)
    }

    // `None` when the tag is another module's, or nobody's.
    fn tag(&self, name: &[u8], target: Option<Oid>, module: &ModuleName) -> Option<Result<VersionTag, String>> {
        let Ok(text) = std::str::from_utf8(name) else {
            return is_meant_for(name, module).then(|| Err("has a name that is not UTF-8".to_owned()));
        };
        let readings = TagName::readings(text);
        if readings.is_empty() {
            let problem = "is not named like MODULE-vVERSION-YYYYMMDD";
            return is_meant_for(name, module).then(|| Err(problem.to_owned()));
        }
        if !readings.iter().any(|reading| reading.module == *module) {
            return None;
        }
        let target = match target.map(|target| peel(&self.repository, target, text)) {
            None => return Some(Err("is a reference to another one".to_owned())),
            Some(Err(problem)) => return Some(Err(problem)),
            Some(Ok(target)) => target,
        };
        let mut own = None;
        // The longest name that holds is the one that is meant.
        for reading in readings {
            match (self.content(&reading, target.commit), reading.module == *module) {
                (Ok(_), false) => return None,
                (Ok(content), true) => {
                    let Target { commit, object } = target;
                    return Some(Ok(VersionTag { name: reading, tag: text.to_owned(), commit, object, content }));
                }
                (Err(problem), true) => own = Some(problem),
                (Err(_), false) => {}
            }
        }
        own.map(Err)
    }

    fn content(&self, reading: &TagName, commit: Oid) -> Result<SourceModule, String> {
        let content = revision::module_of_commit(&self.path, &self.repository, commit, &reading.module)?;
        let index = content.index();
        let index: Index = serde_json::from_slice(index.strip_prefix(b"\xef\xbb\xbf").unwrap_or(index))
            .map_err(|error| format!("points to an index.json without a version: {error}"))?;
        let says = index.metadata.schema_version;
        // As it is written: 1.0.0+a and 1.0.0+b are two versions, of which neither is the newer one.
        if says != reading.version || says.build() != reading.version.build() {
            return Err(format!("points to an index.json of version {says}"));
        }
        Ok(content)
    }

    /// The module whose folder had this content, where the mirror still holds it: `tree` as [`SourceModule::tree`] says it.
    pub fn module_of_tree(&self, module: &ModuleName, tree: &str) -> Option<SourceModule> {
        let tree = Oid::from_str(tree).ok()?;
        revision::module_of_tree(&self.path, &self.repository, tree, module).ok()
    }
}

// The object that a tag leads to. A tag of a tag is refused: which of the two signatures would count?
fn peel(repository: &Repository, id: Oid, name: &str) -> Result<Target, String> {
    let missing = |error: git2::Error| format!("points to an object that can't be read: {}", error.message());
    let object = repository.find_object(id, None).map_err(missing)?;
    match object.kind() {
        Some(ObjectType::Commit) => Ok(Target { commit: id, object: None }),
        Some(ObjectType::Tag) => {
            let tag = repository.find_tag(id).map_err(missing)?;
            if tag.name_bytes() != name.as_bytes() {
                let other: String = String::from_utf8_lossy(tag.name_bytes()).chars().take(200).collect();
                return Err(format!("is the tag {other:?} under another name"));
            }
            match tag.target_type() {
                Some(ObjectType::Commit) => Ok(Target { commit: tag.target_id(), object: Some(id) }),
                Some(ObjectType::Tag) => Err("points to another tag, and not to a commit".to_owned()),
                _ => Err("points to no commit".to_owned()),
            }
        }
        _ => Err("points to no commit".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(tag: &str) -> Vec<String> {
        TagName::readings(tag).iter().map(|reading| format!("{} {}", reading.module, reading.version)).collect()
    }

    #[test]
    fn a_tag_name_is_read_in_every_way_that_it_can_be_meant() {
        for (tag, meant) in [
            ("adblock-v1.0.0-20240610", &["adblock 1.0.0"][..]),
            ("gogs-v2-20241208", &["gogs 2"]),
            ("my-module-v1.2-20240101", &["my-module 1.2"]),
            ("a-v1.0.0-rc.1-20240101", &["a 1.0.0-rc.1"]),
            ("a-vault-v1-20240101", &["a-vault 1"]),
            ("a-v1-v2.0-20240101", &["a-v1 2.0", "a 1-v2.0"]),
            ("a-v1-v2-v3-20240101", &["a-v1-v2 3", "a-v1 2-v3", "a 1-v2-v3"]),
            ("a-v1.0.0-20230101-20240101", &["a 1.0.0-20230101"]),
            ("a-v1.0.0+b.7-20240101", &["a 1.0.0+b.7"]),
        ] {
            assert_eq!(readings(tag), meant, "{tag}");
        }
    }

    #[test]
    fn what_is_no_such_name_has_no_reading() {
        for tag in [
            "",
            "-",
            "v1.0.0",
            "a-v1.0.0",
            "a-v1.0.0-2024",
            "a-v1.0.0-20241301",
            "a-v1.0.0-20230229",
            "a-v1.0.0-2024010",
            "a-v1.0.0-+2024010",
            "a-v-20240101",
            "-v1-20240101",
            "a-vx-20240101",
            "../a-v1-20240101",
            "a-v1.0.0-20240101 ",
            "a-v1.2.3.4-20240101",
            "a1.0.0-20240101",
            "a-v1.0.0-２０２４0101",
        ] {
            assert_eq!(readings(tag), Vec::<String>::new(), "{tag:?}");
        }
        assert_eq!(TagName::readings("a-v1.0.0-20240229")[0].tag(), "a-v1.0.0-20240229");
    }
}
