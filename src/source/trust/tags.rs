//! The mirrored tags: their names, where they lead, and whether what leads there is signed under that very name.
//!
//! Nothing here knows what a tag's name means but for the pattern that one module's tags have.

use git2::{ObjectType, Oid, Repository, Tree};

use super::Distrust;
use super::rule::Signers;
use super::signature::{self, Bad};
use super::signed::{self, TagObject};

/// Tags that point to tags, up to this many in a row.
const LONGEST_CHAIN: usize = 10;

/// A mirrored tag: the name that the source has it under, without `refs/tags/`, and what it points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tag {
    pub name: Vec<u8>,
    pub target: Oid,
}

/// Every mirrored tag, of whatever source.
pub(super) fn all(repository: &Repository) -> Result<Vec<Tag>, git2::Error> {
    let mut tags = Vec::new();
    for reference in repository.references_glob("refs/sources/*")? {
        let reference = reference?;
        // refs/sources/SOURCE/tags/NAME
        let name = reference.name_bytes().splitn(5, |byte| *byte == b'/').skip(3).collect::<Vec<_>>();
        if let (&[b"tags", name], Some(target)) = (&name[..], reference.target()) {
            tags.push(Tag { name: name.to_vec(), target });
        }
    }
    Ok(tags)
}

/// The commit that an object leads to through tags of tags.
pub(super) fn commit_of(repository: &Repository, object: Oid) -> Option<Oid> {
    let mut at = object;
    for _ in 0..LONGEST_CHAIN {
        match signed::tag(repository, at) {
            Ok(Some(TagObject { target, kind: ObjectType::Commit, .. })) => return Some(target),
            Ok(Some(TagObject { target, kind: ObjectType::Tag, .. })) => at = target,
            Ok(Some(_)) | Err(_) => return None,
            // A tag without an object of its own.
            Ok(None) => return (at == object).then_some(at),
        }
    }
    None
}

/// Whether the tag object `tag` is signed by somebody trusted, under each name that the source has it under.
pub(super) fn verify(repository: &Repository, all: &[Tag], tag: Oid, signers: &Signers) -> Result<String, Distrust> {
    let unreadable = |reason| Distrust::Unreadable { what: format!("tag {tag}"), reason };
    let object = signed::tag(repository, tag).map_err(unreadable)?;
    let Some(object) = object else {
        return Err(Distrust::Unsigned { what: format!("the tag of {tag:.12}"), how: "git tag -s" });
    };
    let name = printable(&object.name);
    let what = format!("the tag {name:?}");
    // Whoever serves the source could show an old signed tag under the name of a newer one.
    if let Some(renamed) = all.iter().find(|known| known.target == tag && known.name != object.name) {
        return Err(Distrust::Renamed { reference: printable(&renamed.name), signed: name });
    }
    let Some(signed) = object.signed else { return Err(Distrust::Unsigned { what, how: "git tag -s" }) };
    match signature::verify(&signed, signers) {
        Ok(signer) => Ok(format!("{signer}, tag {name}")),
        Err(Bad::Rule(error)) => Err(error.into()),
        Err(Bad::Refused(why)) => Err(Distrust::Signature { what, why }),
    }
}

/// Whether `name` is `MODULE-vVERSION-YYYYMMDD`.
pub(super) fn is_of(name: &[u8], module: &str, version: &str) -> bool {
    let date = name.strip_prefix(module.as_bytes()).and_then(|rest| rest.strip_prefix(b"-v"));
    let date = date.and_then(|rest| rest.strip_prefix(version.as_bytes())).and_then(|rest| rest.strip_prefix(b"-"));
    date.is_some_and(|date| date.len() == 8 && date.iter().all(u8::is_ascii_digit))
}

/// Whether `name` is such a tag of a module that the commit has.
pub(super) fn is_of_one_module(repository: &Repository, commit: Oid, name: &[u8]) -> bool {
    let Some(modules) = modules_of(repository, commit) else { return false };
    let is_date = |date: &[u8]| date.len() == 8 && date.iter().all(u8::is_ascii_digit);
    let dated = name.rsplitn(2, |byte| *byte == b'-').next().is_some_and(is_date);
    dated
        && name
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| *pair == b"-v")
            .any(|(at, _)| modules.get_name_bytes(&name[..at]).is_some())
}

/// The folder `modules` of a commit.
pub(super) fn modules_of(repository: &Repository, commit: Oid) -> Option<Tree<'_>> {
    let tree = repository.find_commit(commit).ok()?.tree().ok()?;
    let entry = tree.get_name("modules").filter(|entry| entry.kind() == Some(ObjectType::Tree))?;
    repository.find_tree(entry.id()).ok()
}

pub(super) fn printable(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_s_tags_are_its_own_alone() {
        assert!(is_of(b"web-v1.2.0-20240101", "web", "1.2.0"));
        assert!(is_of(b"a-b-v1.0-rc-1-20240101", "a-b", "1.0-rc-1"));
        for other in
            ["web-v1.2.0", "web-v1.2.0-2024010", "web-v1.2.0-202401011", "web-v1.2.0-2024010x", "xweb-v1.2.0-20240101"]
        {
            assert!(!is_of(other.as_bytes(), "web", "1.2.0"), "{other}");
        }
        assert!(!is_of(b"web-v1.2.0-rc1-20240101", "web", "1.2.0"));
    }
}
