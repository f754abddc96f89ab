//! The second wall: Landlock rules that follow from the mounts, so that a hole in one is not a hole in both.
//!
//! Reading is one rule for everything, because what must not be read is not mounted or masked. Writing is a rule for each
//! place that is mounted writable. Each rule costs the runner an open at each start, so that there is none to spare.

use std::path::{Path, PathBuf};

use updates_protocol::{Access, LandlockAccess, LandlockPath, LandlockRules, Mount};

use super::Profile;

/// Where processes write to what is there: descriptors of their own in `/proc/self/fd`, and devices.
const IN_PLACE: [&str; 2] = ["/proc", "/dev"];

/// The rules for a tree of `mounts`.
pub(super) fn rules(profile: &Profile, mounts: &[Mount]) -> LandlockRules {
    let mut paths = vec![rule(Path::new("/"), LandlockAccess::Read)];
    paths.extend(IN_PLACE.map(|place| rule(Path::new(place), LandlockAccess::WriteInPlace)));
    // Device nodes are made by whoever may make them, which the capability decides.
    let write = match profile.capability_bounding_set.iter().any(|held| held.as_str() == "CAP_MKNOD") {
        true => LandlockAccess::Full,
        false => LandlockAccess::Write,
    };
    let mut writable: Vec<&Path> = vec![Path::new("/dev/shm")];
    writable.extend(mounts.iter().filter_map(|mount| match mount {
        Mount::Bind { target, access: Access::ReadWrite, .. } | Mount::Overlay { target, work: Some(_), .. } => {
            Some(target.as_path())
        }
        // The others only hold mount points.
        Mount::Tmpfs { target, mode, .. } if *mode == 0o1777 || target == Path::new("/run") => Some(target.as_path()),
        _ => None,
    }));
    writable.sort();
    let mut kept: Vec<&Path> = Vec::new();
    for path in writable {
        if !kept.iter().any(|above| path.starts_with(above)) {
            kept.push(path);
        }
    }
    paths.extend(kept.into_iter().map(|path| rule(path, write)));
    LandlockRules {
        paths,
        bind_tcp: profile.bind_tcp_ports.clone(),
        connect_tcp: profile.connect_tcp_ports.clone(),
        scope_abstract_unix_socket: !reaches_sockets_of_the_machine(profile),
        scope_signal: true,
    }
}

fn rule(path: &Path, access: LandlockAccess) -> LandlockPath {
    LandlockPath { path: PathBuf::from(path), access }
}

/// Whether the profile shows the sockets of the machine's services on purpose. What talks to those in `/run/dbus` may
/// talk to abstract ones too, as to systemd's own.
fn reaches_sockets_of_the_machine(profile: &Profile) -> bool {
    let shown = profile.writable_paths().chain(&profile.read_only_paths);
    !profile.private_network && shown.into_iter().any(|path| Path::new("/run/dbus").starts_with(path.as_path()))
}
