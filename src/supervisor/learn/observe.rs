//! From what was traced, what lies in the upper layers and what was asked for to what the module needs: pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use updates_protocol::TracedCall;

use super::fold::{Changed, is_shared, makes_entries};
use super::requests::{Asked, is_declarable};
use crate::supervisor::denials::{OnMachine, Rules, explain, is_cache_of_python, is_hidden, lacking, port};
use crate::supervisor::writable::{means_folder, own_place};

/// What became of a path on the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    File,
    Folder,
    Device,
    Removed,
}

/// What a run is judged by.
pub(super) struct Ground<'a> {
    pub(super) rules: Rules<'a>,
    /// The machine as it was before.
    pub(super) look: &'a dyn Fn(&Path) -> OnMachine,
    /// Whether only some users may read what is there.
    pub(super) is_private: &'a dyn Fn(&Path) -> bool,
    /// What the module has anyway: its state directory and its code.
    pub(super) own: Vec<PathBuf>,
}

/// What a module needs.
#[derive(Debug, Default)]
pub(super) struct Needs {
    pub(super) changed: BTreeSet<Changed>,
    /// Read where a profile would hide it.
    pub(super) read: BTreeSet<PathBuf>,
    /// Those of them that are folders.
    pub(super) listed: BTreeSet<PathBuf>,
    /// Addresses it used.
    pub(super) network: BTreeSet<String>,
    pub(super) capabilities: BTreeSet<String>,
    /// Whether it listened on or talked to a local socket.
    pub(super) unix_sockets: bool,
    /// A socket of the machine's that it looked for.
    pub(super) bus: Option<PathBuf>,
    /// Whether it read what is not for everybody.
    pub(super) private: bool,
    pub(super) services: BTreeSet<String>,
    pub(super) refused: BTreeSet<Refused>,
    pub(super) notes: BTreeSet<String>,
}

/// What no profile allows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Refused {
    /// The path or the address, or the call itself.
    pub what: String,
    /// The system call.
    pub call: String,
    /// Why nothing allows it.
    pub why: String,
}

/// Judges a run.
pub(super) fn observe(
    ground: &Ground<'_>,
    calls: &[TracedCall],
    left: &BTreeMap<PathBuf, Left>,
    asked: Asked,
) -> Needs {
    let mut needs = Needs { services: asked.services, notes: asked.notes, ..Needs::default() };
    for call in calls {
        let machine = call.path.as_deref().map(|path| (ground.look)(Path::new(path)));
        let hidden = machine.as_ref().is_some_and(|machine| is_hidden(ground.rules.plan, machine));
        match call.error.as_deref() {
            // A connection that is being made was not refused.
            None | Some("EINPROGRESS") if !hidden => needs.went_through(ground, call, left),
            _ => needs.was_refused(ground, call, machine),
        }
    }
    for (path, left) in left {
        if *left == Left::Device {
            needs.capabilities.insert("CAP_MKNOD".to_owned());
        }
        let before = (ground.look)(path);
        // A folder is copied up for the sake of what is in it.
        if !(*left == Left::Folder && before.exists) {
            let entry = *left == Left::Removed || !before.exists && by_name(path);
            needs.changes(ground, path, "overlay", entry, *left == Left::Folder);
        }
    }
    for path in asked.permissions.iter().chain(&asked.saved).filter(|path| is_declarable(path)) {
        let folder = (ground.look)(path).folder;
        needs.changes(ground, path, "request", false, folder);
    }
    needs
}

impl Needs {
    fn went_through(&mut self, ground: &Ground<'_>, call: &TracedCall, left: &BTreeMap<PathBuf, Left>) {
        if let Some(name) = by_right(call) {
            self.capabilities.insert(name.to_owned());
        }
        // The C library makes such sockets for services that are not there; only one that is used is needed.
        let local = call.path.is_some() || call.about.as_deref().is_some_and(|about| about.starts_with("unix"));
        self.unix_sockets |= local && ["bind", "connect"].contains(&call.call.as_str());
        let Some(path) = &call.path else {
            if let Some(address) = call.about.as_ref().filter(|about| is_outside(about)) {
                self.network.insert(address.clone());
            }
            return;
        };
        let machine = (ground.look)(Path::new(path));
        let path = if makes_entries(&call.call) { parent_resolved(ground, Path::new(path)) } else { machine.path };
        if !call.write {
            self.reads(ground, &path);
            return;
        }
        if !machine.exists && !left.contains_key(&path) {
            // Written, and then renamed or removed: its folder has to be writable, itself it is nothing to keep. Without
            // a folder it was reached through a link that the module made, and the layer tells where it really lies.
            let Some(parent) = path.parent() else { return };
            let lasts = left.get(parent).map_or_else(|| (ground.look)(parent).folder, |left| *left == Left::Folder);
            if is_shared(parent) || !lasts {
                return;
            }
        }
        let made = !machine.exists && by_name(&path);
        let folder = machine.folder || call.call.starts_with("mkdir");
        self.changes(ground, &path, &call.call, makes_entries(&call.call) || made, folder);
    }

    fn reads(&mut self, ground: &Ground<'_>, path: &Path) {
        if ["/root", "/home"].iter().any(|home| path.starts_with(home)) && is_kept(ground, path) {
            self.read.insert(path.to_owned());
            if (ground.look)(path).folder {
                self.listed.insert(path.to_owned());
            }
        }
        self.private |= is_kept(ground, path) && (ground.is_private)(path);
    }

    fn changes(&mut self, ground: &Ground<'_>, path: &Path, call: &str, entry: bool, folder: bool) {
        if !is_kept(ground, path) {
            return;
        }
        if let Some(own) = own_place(path).filter(|own| path.starts_with(own)) {
            let why = format!("{own} belongs to the supervisor");
            self.refused.insert(Refused { what: path.display().to_string(), call: call.to_owned(), why });
            return;
        }
        self.changed.insert(Changed { path: path.to_owned(), entry, folder });
    }

    fn was_refused(&mut self, ground: &Ground<'_>, call: &TracedCall, machine: Option<OnMachine>) {
        let Some(explanation) = explain(&ground.rules, call, machine.as_ref()) else { return };
        let lacks = lacking(&call.call, call.about.as_deref());
        let path = machine.map(|machine| machine.path);
        match (explanation.rule, explanation.allow, path) {
            ("kernel", _, _) => {}
            // Tools raise their limits and priorities where they can, and go on where they can't.
            ("capability_bounding_set", _, None) if matches!(lacks, Some("CAP_SYS_RESOURCE" | "CAP_SYS_NICE")) => {
                self.notes.insert(format!("it tried {}, which most tools can do without", call.call));
            }
            ("capability_bounding_set", Some(_), _) => self.capabilities.extend(lacks.map(str::to_owned)),
            ("private_network", _, _) => self.network.extend(call.about.clone()),
            ("/run", Some(Value::Object(allow)), path) if allow["sandbox"].get("profile").is_some() => self.bus = path,
            ("/run", _, Some(path)) if !call.write => drop(self.read.insert(path)),
            ("read_write_paths", Some(_), Some(path)) => {
                self.changes(ground, &path, &call.call, makes_entries(&call.call), call.call.starts_with("mkdir"));
            }
            (_, _, path) => {
                let what = path.map(|path| path.display().to_string()).or_else(|| call.about.clone());
                let what = what.unwrap_or_else(|| call.call.clone());
                self.refused.insert(Refused { what, call: call.call.clone(), why: explanation.why });
            }
        }
    }
}

// The capability that a call used which went through; a file's own owner needs none.
fn by_right(call: &TracedCall) -> Option<&'static str> {
    let name = call.call.as_str();
    let counts = name.contains("chown")
        || name.starts_with("set") && !name.contains("xattr")
        || name == "chroot"
        || name == "bind" && port(call.about.as_deref()).is_some_and(|port| port > 0);
    counts.then(|| lacking(name, call.about.as_deref())).flatten()
}

// Its own loopback is all that a private network has, and nobody else listens there.
fn is_outside(about: &str) -> bool {
    ["tcp ", "udp ", "raw ", "ip ", "unix @"].iter().any(|kind| about.starts_with(kind))
}

// A declared path that is not there yet is taken for a folder by its name.
fn by_name(path: &Path) -> bool {
    path.to_str()
        .and_then(|text| updates_protocol::DeclaredPath::new(text).ok())
        .is_some_and(|path| means_folder(&path))
}

// A rename is of the link, not of what it leads to.
fn parent_resolved(ground: &Ground<'_>, path: &Path) -> PathBuf {
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => (ground.look)(parent).path.join(name),
        _ => path.to_owned(),
    }
}

// Whether it is anything to declare: not the sandbox's own, not the module's own, no cache.
fn is_kept(ground: &Ground<'_>, path: &Path) -> bool {
    const OWN: [&str; 6] = ["/proc", "/sys", "/dev", "/tmp", "/var/tmp", "/run"];
    !OWN.iter().any(|own| path.starts_with(own))
        && !ground.own.iter().any(|own| path.starts_with(own))
        && !is_cache_of_python(path)
        && path != Path::new("/")
}
