//! Settings that can't hold together, or that would let a module undo its own supervision; each with the way out.

use std::path::Path;

use serde_json::{Map, Value};
use updates_protocol::{DeclaredPath, FieldError};

use super::{Profile, RunAs};

// Their content is made by the kernel or by the sandbox itself, so a bind there would undo it.
const NOT_WRITABLE: [&str; 4] = ["/proc", "/sys", "/dev", "/run/updates"];
/// The supervisor's own places, as modules would see them.
const OWN: [&str; 5] =
    ["/etc/updates", "/run/updates", "/usr/local/lib/updates", "/var/backups/updates", "/var/lib/updates"];

/// Checks what one file says, its lists of paths as `alone`.
pub(super) fn in_one_file(map: &Map<String, Value>, alone: &Profile) -> Result<(), FieldError> {
    let wrong = |key: &str, problem: String| FieldError { field: key.to_owned(), problem };
    for (key, paths) in [("read_write_paths", &alone.read_write_paths), ("volatile_paths", &alone.volatile_paths)] {
        for (index, path) in paths.iter().enumerate() {
            let at = path.as_path();
            if let Some(problem) = not_writable(at) {
                return Err(wrong(&format!("{key}[{index}]"), format!("{path} {problem}")));
            }
            // A package manager writes /usr and /var as a whole; the supervisor's places there are closed again by mounts.
            let covered =
                |own: &&&str| at.starts_with(own) || (key == "read_write_paths" && Path::new(own).starts_with(at));
            if let Some(own) = OWN.iter().find(covered) {
                let problem =
                    format!("{path} covers {own}, which belongs to the supervisor; name the folders beside it instead");
                return Err(wrong(&format!("{key}[{index}]"), problem));
            }
        }
    }
    hidden_and_writable(&alone.inaccessible_paths, &alone.read_write_paths)
        .and_then(|()| hidden_and_writable(&alone.inaccessible_paths, &alone.volatile_paths))
        .map_err(|problem| wrong("inaccessible_paths", problem))?;
    let twice = alone.read_write_paths.iter().find(|path| same(path, &alone.volatile_paths));
    if let Some(path) = twice {
        let problem = format!("{path} is in read_write_paths too, and can't be both backed up and not; remove one");
        return Err(wrong("volatile_paths", problem));
    }
    // What is extended is not known here, only what this file says of both.
    let named = map.get("user").is_some_and(|user| !user.is_null()) || map.get("dynamic_user") == Some(&true.into());
    let held = map.contains_key("capability_bounding_set");
    match useless_capabilities(alone) {
        Some(problem) if named && held => Err(wrong("capability_bounding_set", problem)),
        _ => Ok(()),
    }
}

/// Why a path can't be made writable for anybody.
pub(super) fn not_writable(path: &Path) -> Option<&'static str> {
    if path == Path::new("/") {
        return Some("can't be made writable; name the folders that the module writes");
    }
    NOT_WRITABLE
        .iter()
        .any(|place| path.starts_with(place))
        .then_some("can't be made writable: the sandbox has its own; remove it")
}

pub(super) fn hidden_and_writable(hidden: &[DeclaredPath], writable: &[DeclaredPath]) -> Result<(), String> {
    match hidden.iter().find(|path| same(path, writable)) {
        Some(path) => Err(format!("{path} is writable too, and can't be both; remove it from one of the two lists")),
        None => Ok(()),
    }
}

/// Capabilities beside a user that can't use them: exec(2) leaves them to user 0 alone.
pub(super) fn useless_capabilities(profile: &Profile) -> Option<String> {
    if profile.user == RunAs::Root || profile.capability_bounding_set.is_empty() {
        return None;
    }
    let held: Vec<_> = profile.capability_bounding_set.iter().map(ToString::to_string).collect();
    Some(format!(
        "{} can't use {}; write an empty list, or {}",
        profile.user,
        held.join(", "),
        match profile.user {
            RunAs::Dynamic => "\"dynamic_user\": false",
            _ => "\"user\": \"root\"",
        }
    ))
}

fn same(path: &DeclaredPath, others: &[DeclaredPath]) -> bool {
    others.iter().any(|other| other.as_path() == path.as_path())
}
