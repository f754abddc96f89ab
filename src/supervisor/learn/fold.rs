//! From the paths that a module changed to the shortest list of declarations that covers them: pure.
//!
//! A folder stands for its files when several of them changed, or when one was made, replaced or removed in it: a single
//! declared file is a mount, which can be written but neither replaced nor removed. A folder that others share, such as
//! `/etc` or `/usr/bin`, is never declared for the sake of its files, because the declaration is what a rollback takes
//! back, and would take back other people's work.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use updates_protocol::DeclaredPath;

/// A path that was changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed {
    /// Absolute and normalised.
    pub path: PathBuf,
    /// Whether its name was made, replaced or taken away, and not only its content.
    pub entry: bool,
    /// Whether it is a folder.
    pub folder: bool,
}

/// The declarations that cover every one of `changed`, sorted, none inside another. What can't be declared at all, such
/// as `/` or a name that is no UTF-8, is left out.
pub fn fold(changed: impl IntoIterator<Item = Changed>) -> Vec<DeclaredPath> {
    let mut folders: BTreeMap<PathBuf, Inside> = BTreeMap::new();
    for Changed { path, entry, folder } in changed {
        let Some(parent) = path.parent() else { continue };
        if folder && !is_shared(&path) {
            folders.entry(path.clone()).or_default().whole = true;
        }
        // That a folder was made inside a shared one is told by the folder itself.
        if !folder || (entry && !is_shared(parent)) {
            let inside = folders.entry(parent.to_owned()).or_default();
            inside.names.insert(path.clone());
            inside.whole |= entry;
        }
    }
    // Each with whether it is a folder.
    let mut found: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for (folder, inside) in folders {
        if !is_shared(&folder) && (inside.whole || inside.names.len() > 1) {
            found.insert(folder, true);
        } else {
            for name in inside.names {
                found.entry(name).or_insert(false);
            }
        }
    }
    while let Some(parent) = crowded(&found) {
        found.retain(|path, _| !path.starts_with(&parent));
        found.insert(parent, true);
    }
    let within = |path: &Path| path.ancestors().skip(1).any(|above| found.get(above) == Some(&true));
    let outermost = found.iter().filter(|(path, _)| !within(path));
    let texts =
        outermost.filter_map(|(path, folder)| Some(format!("{}{}", path.to_str()?, if *folder { "/" } else { "" })));
    texts.filter_map(|text| DeclaredPath::new(&text).ok()).collect()
}

#[derive(Debug, Default)]
struct Inside {
    names: BTreeSet<PathBuf>,
    whole: bool,
}

// A folder of the module's own of which several parts are declared.
fn crowded(found: &BTreeMap<PathBuf, bool>) -> Option<PathBuf> {
    let mut parts: BTreeMap<&Path, usize> = BTreeMap::new();
    for parent in found.keys().filter_map(|path| path.parent()).filter(|parent| !is_shared(parent)) {
        *parts.entry(parent).or_default() += 1;
    }
    parts.into_iter().find(|(_, count)| *count > 1).map(|(parent, _)| parent.to_owned())
}

/// Whether a call makes, replaces or takes away a name, rather than what is behind it.
pub fn makes_entries(call: &str) -> bool {
    ["mkdir", "rmdir", "unlink", "rename", "link", "symlink", "mknod"].iter().any(|prefix| call.starts_with(prefix))
}

/// Whether a folder belongs to the system as a whole: whatever holds things of several owners.
pub fn is_shared(folder: &Path) -> bool {
    const BELOW: [(&str, usize); 10] = [
        // The folder, and how many components below it are shared as well.
        ("/usr", 1),
        ("/usr/lib", 1),
        ("/usr/local", 1),
        ("/usr/share", 1),
        ("/var", 1),
        ("/var/lib/systemd", 1),
        ("/var/spool", 1),
        ("/home", 1),
        ("/etc/systemd", 1),
        ("/etc/apt", 1),
    ];
    const ALONE: [&str; 33] = [
        "/etc/alternatives",
        "/etc/apparmor.d",
        "/etc/ca-certificates",
        "/etc/cron.d",
        "/etc/cron.daily",
        "/etc/cron.hourly",
        "/etc/cron.monthly",
        "/etc/cron.weekly",
        "/etc/default",
        "/etc/dbus-1",
        "/etc/dbus-1/system.d",
        "/etc/init.d",
        "/etc/ld.so.conf.d",
        "/etc/logrotate.d",
        "/etc/modprobe.d",
        "/etc/modules-load.d",
        "/etc/network",
        "/etc/pam.d",
        "/etc/polkit-1",
        "/etc/profile.d",
        "/etc/rsyslog.d",
        "/etc/security",
        "/etc/skel",
        "/etc/ssh",
        "/etc/ssl",
        "/etc/ssl/certs",
        "/etc/ssl/private",
        "/etc/sudoers.d",
        "/etc/sysctl.d",
        "/etc/tmpfiles.d",
        "/etc/udev",
        "/etc/udev/rules.d",
        "/usr/local/lib/systemd/system",
    ];
    let depth = |path: &Path| path.components().count();
    depth(folder) <= 2
        || ALONE.iter().any(|shared| folder == Path::new(shared))
        || BELOW
            .iter()
            .any(|(shared, levels)| folder.starts_with(shared) && depth(folder) <= depth(Path::new(shared)) + levels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(changed: &[(&str, bool)]) -> Vec<String> {
        let changed = changed.iter().map(|(path, entry)| Changed {
            path: PathBuf::from(path.trim_end_matches('/')),
            entry: *entry,
            folder: path.ends_with('/'),
        });
        fold(changed).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_file_is_itself_and_several_of_a_folder_are_the_folder() {
        assert_eq!(folded(&[("/etc/x/a.conf", false)]), ["/etc/x/a.conf"]);
        assert_eq!(folded(&[("/etc/x/b.conf", false), ("/etc/x/a.conf", false)]), ["/etc/x/"]);
    }

    #[test]
    fn a_name_that_was_made_or_replaced_needs_its_folder() {
        assert_eq!(folded(&[("/etc/x/a.conf", true)]), ["/etc/x/"]);
        assert_eq!(folded(&[("/srv/app/data/", true)]), ["/srv/app/"]);
        assert_eq!(
            folded(&[("/var/lib/y/", true), ("/var/lib/y/sub/", true), ("/var/lib/y/sub/f", true)]),
            ["/var/lib/y/"]
        );
    }

    #[test]
    fn what_is_shared_is_never_declared_for_the_sake_of_its_files() {
        assert_eq!(folded(&[("/etc/b", true), ("/etc/a", false)]), ["/etc/a", "/etc/b"]);
        let many =
            folded(&[("/usr/bin/b", true), ("/usr/bin/a", true), ("/etc/cron.d/x", true), ("/root/.bashrc", true)]);
        assert_eq!(many, ["/etc/cron.d/x", "/root/.bashrc", "/usr/bin/a", "/usr/bin/b"]);
        assert_eq!(folded(&[("/etc/", false), ("/var/lib/", false)]), [""; 0]);
    }

    #[test]
    fn several_parts_of_one_folder_are_that_folder_and_nothing_is_told_twice() {
        assert_eq!(folded(&[("/opt/app/a/x", true), ("/opt/app/b/x", true)]), ["/opt/app/"]);
        assert_eq!(
            folded(&[("/opt/app/a/x", true), ("/opt/app/a/y/z", true), ("/opt/app/conf", false)]),
            ["/opt/app/"]
        );
        assert_eq!(folded(&[("/opt/a/x", true), ("/opt/b/x", true)]), ["/opt/a/", "/opt/b/"]);
        assert_eq!(folded(&[("/", false)]), [""; 0]);
    }
}
