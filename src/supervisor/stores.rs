//! The stores of slots directly below /var/backups. Other programs keep folders there too, and those are none of ours: they
//! are neither listed nor settled.

use std::fs;
use std::path::PathBuf;

use updates_protocol::ModuleName;

use crate::config::Layout;
use crate::fs::{IoContext, PathError, is_absence};
use crate::state::Store;

/// The stores below /var/backups, by name. Links are none: a slot is trusted because only the supervisor can have made it.
pub(super) fn stores(layout: &Layout) -> Result<Vec<PathBuf>, PathError> {
    let usual = layout.backups();
    let Some(above) = usual.parent() else { return Ok(Vec::new()) };
    let entries = match fs::read_dir(above) {
        Err(error) if is_absence(&error) => return Ok(Vec::new()),
        other => other.at("list", above)?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.at("list", above)?;
        let path = entry.path();
        let plain = entry.file_name().to_str().is_some_and(|name| name.parse::<ModuleName>().is_ok());
        if plain && entry.file_type().at("look at", &path)?.is_dir() && (path == usual || Store::is_at(&path)?) {
            found.push(path);
        }
    }
    found.sort_unstable();
    Ok(found)
}
