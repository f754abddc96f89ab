//! From what a module needs to what it has to say in its `index.json`: pure.

use serde::Serialize;

use super::fold::{Changed, fold};
use super::observe::{Needs, Refused};
use crate::profile::{AddressFamily, Profile};

/// What `updates sandbox learn` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Learned {
    /// The module.
    pub module: String,
    /// Whether it ran well by its own word, so that it showed all that it needs.
    pub complete: bool,
    /// Whether a person ended it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// What went wrong, when something did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// For `index.json`.
    pub stanza: Stanza,
    /// What no profile allows, sorted.
    pub refused: Vec<Refused>,
    /// What a person should know beside, sorted.
    pub notes: Vec<String>,
}

/// The part of `index.json` that the module needs; ready to be pasted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Stanza {
    /// What a rollback takes back.
    pub configuration: Configuration,
    /// The sandbox.
    pub sandbox: SandboxStanza,
}

/// `configuration` of `index.json`, as far as learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// Sorted, none inside another.
    pub backup_paths: Vec<String>,
}

/// `sandbox` of `index.json`, as far as learnt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SandboxStanza {
    /// The strictest shipped profile that fits.
    pub profile: String,
    /// Hidden places that it reads.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_only_paths: Vec<String>,
    /// Units that it asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Families of sockets that the profile leaves out and allows to be asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub restrict_address_families: Vec<String>,
}

/// The database of installed packages: who writes it is a package manager.
const PACKAGES: [&str; 4] = ["/var/lib/dpkg", "/var/lib/apt", "/var/lib/rpm", "/var/lib/pacman"];

/// Chooses among `choices`, the strictest first.
pub(super) fn stanza(needs: Needs, choices: &[Profile]) -> (Stanza, Vec<Refused>, Vec<String>) {
    let mut notes = needs.notes.clone();
    let fitting = choices.iter().find(|profile| fits(profile, &needs));
    if fitting.is_none() {
        notes.insert("no shipped profile allows all of it; the loosest is named".to_owned());
    }
    if let Some(bus) = &needs.bus {
        notes.insert(format!(
            "it looked for {}: asking the supervisor for service control instead would let it run under a stricter profile",
            bus.display()
        ));
    }
    if !needs.network.is_empty() {
        let addresses: Vec<&str> = needs.network.iter().take(10).map(String::as_str).collect();
        notes.insert(format!("it used the network: {}", addresses.join(", ")));
    }
    let Some(profile) = fitting.or(choices.last()) else { return (Stanza::default(), Vec::new(), Vec::new()) };
    let kept = |path: &std::path::Path| !profile.volatile_paths.iter().any(|open| path.starts_with(open.as_path()));
    let declared = fold(needs.changed.iter().filter(|changed| kept(&changed.path)).cloned());
    for path in declared.iter().filter(|path| !path.is_folder()) {
        if needs.changed.iter().any(|changed| changed.entry && !changed.folder && changed.path == path.as_path()) {
            notes.insert(format!(
                "{path} is made, replaced or removed in a folder that others share: declared by itself, it can only be \
                 written in place, and has to be there before"
            ));
        }
    }
    let read = needs.read.iter().filter(|path| !declared.iter().any(|open| path.starts_with(open.as_path())));
    // A folder that was listed is needed as a whole; for files the same rule holds as for changes.
    let read = read.filter(|path| !path.ancestors().skip(1).any(|above| needs.listed.contains(above)));
    let read = fold(read.map(|path| Changed { path: path.clone(), entry: false, folder: false }));
    let stanza = Stanza {
        configuration: Configuration { backup_paths: declared.iter().map(ToString::to_string).collect() },
        sandbox: SandboxStanza {
            profile: profile.name.to_string(),
            read_only_paths: read.iter().map(ToString::to_string).collect(),
            services: needs.services.into_iter().collect(),
            restrict_address_families: match needs.unix_sockets && !makes(profile, UNIX) {
                true => vec![UNIX.to_owned()],
                false => Vec::new(),
            },
        },
    };
    (stanza, needs.refused.into_iter().collect(), notes.into_iter().collect())
}

const UNIX: &str = "AF_UNIX";

fn makes(profile: &Profile, family: &str) -> bool {
    profile.restrict_address_families.iter().any(|known| known.as_str() == family)
}

fn fits(profile: &Profile, needs: &Needs) -> bool {
    let open = |path: &std::path::Path| {
        let shown = profile.read_only_paths.iter().chain(&profile.volatile_paths);
        shown.into_iter().any(|open| path.starts_with(open.as_path()))
    };
    let holds = |name: &String| profile.capability_bounding_set.iter().any(|held| held.as_str() == name);
    let packages = needs.changed.iter().any(|changed| PACKAGES.iter().any(|place| changed.path.starts_with(place)));
    let volatile = profile.volatile_paths.iter().any(|open| open.as_path() == std::path::Path::new("/usr"));
    // Without any capability a module has its own state, and what is everybody's to read.
    let alone = profile.capability_bounding_set.is_empty();
    (needs.network.is_empty() || !profile.private_network)
        && needs.capabilities.iter().all(holds)
        && needs.bus.as_deref().is_none_or(open)
        && (!packages || volatile)
        && (!needs.unix_sockets
            || makes(profile, UNIX)
            || AddressFamily::parse(UNIX).is_ok_and(|family| profile.allow.opens(&family)))
        && !(alone && (needs.private || !needs.changed.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::profile::Profiles;

    fn learned(needs: Needs) -> (Stanza, Vec<String>) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox-profiles");
        let choices = Profiles::load(Path::new("/nonexistent"), &folder).shipped();
        let (stanza, _, notes) = stanza(needs, &choices);
        (stanza, notes)
    }

    fn changed(path: &str, entry: bool) -> Changed {
        Changed { path: path.into(), entry, folder: false }
    }

    #[test]
    fn the_strictest_profile_that_fits_is_chosen() {
        let network = || ["tcp 192.0.2.1:443".to_owned()].into();
        let table = [
            (Needs::default(), "strict"),
            (Needs { private: true, ..Needs::default() }, "default"),
            (Needs { changed: [changed("/etc/a.conf", false)].into(), ..Needs::default() }, "default"),
            (Needs { network: network(), ..Needs::default() }, "network"),
            (Needs { unix_sockets: true, ..Needs::default() }, "default"),
            (Needs { capabilities: ["CAP_CHOWN".to_owned()].into(), ..Needs::default() }, "default"),
            (Needs { capabilities: ["CAP_SETUID".to_owned()].into(), ..Needs::default() }, "package-manager"),
            (Needs { capabilities: ["CAP_NET_ADMIN".to_owned()].into(), ..Needs::default() }, "legacy"),
            (Needs { changed: [changed("/var/lib/dpkg/status", true)].into(), ..Needs::default() }, "package-manager"),
        ];
        for (needs, profile) in table {
            let text = format!("{needs:?}");
            assert_eq!(learned(needs).0.sandbox.profile, profile, "{text}");
        }
    }

    #[test]
    fn what_a_profile_opens_for_good_is_not_declared_again() {
        let needs = Needs {
            changed: [
                changed("/var/lib/dpkg/status", true),
                changed("/usr/bin/x", true),
                changed("/root/x.txt", false),
            ]
            .into(),
            ..Needs::default()
        };
        assert_eq!(learned(needs).0.configuration.backup_paths, ["/root/x.txt"]);
    }

    #[test]
    fn a_listed_home_stands_for_what_was_read_in_it() {
        let needs = Needs {
            read: ["/root", "/root/.bashrc", "/home/a/x"].map(Into::into).into(),
            listed: ["/root".into()].into(),
            ..Needs::default()
        };
        assert_eq!(learned(needs).0.sandbox.read_only_paths, ["/home/a/x", "/root"]);
    }

    #[test]
    fn what_a_single_declared_file_can_not_do_is_said() {
        let (stanza, notes) = learned(Needs { changed: [changed("/etc/motd", true)].into(), ..Needs::default() });
        assert_eq!(stanza.configuration.backup_paths, ["/etc/motd"]);
        assert!(notes[0].starts_with("/etc/motd is made, replaced or removed"), "{notes:?}");
    }
}
