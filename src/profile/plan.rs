//! From profile and facts to the plan of a sandbox: pure, so that it can be printed, compared and tested without root.
//!
//! The order is: the machine read-only; what the profile and the manifest open, hide or close, deeper paths after the
//! ones above them, so that the nearest rule holds; and last the supervisor's own rules, which nothing above can undo.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use updates_protocol::{Access, Limit, Mount, Resource, SandboxPlan};

use super::system_calls::{allowed, filter};
use super::tree::Tree;
use super::{LaidOver, Place, PlanInput, Profile, TopLevel, TopLevelKind, landlock};
use crate::config::Machine;

/// Where a module finds the SDK.
pub const SDK: &str = "/run/updates/sdk";
/// What the sandbox has of its own, or has no use for.
const OWN: [&str; 5] = ["proc", "dev", "tmp", "run", "lost+found"];
const HOMES: [&str; 2] = ["/root", "/home"];
/// Windows into the kernel that user 0 may read without any capability: what it traces, what its drivers see, and what it
/// kept of a crash. They are mounts, and a machine has only some of them.
const KERNEL: [&str; 3] = ["/sys/fs/pstore", "/sys/kernel/debug", "/sys/kernel/tracing"];
/// systemd's own socket. The peer of whoever connects from another pid namespace has no number there, and systemctl gives
/// up on that (ENODATA, "No data available"); where it can't connect at all it goes by D-Bus, which asks for no number.
const PRIVATE_BUS: &str = "/run/systemd/private";
/// Where systemd does what user 0 asks: in a check nobody is to ask.
const BUSES: [&str; 2] = ["/run/dbus", "/run/systemd/io.systemd.Manager"];
/// Size of `/run`, in bytes.
const RUN_SIZE: u64 = 16 << 20;

/// Computes what the runner will do.
pub fn plan(profile: &Profile, input: &PlanInput) -> SandboxPlan {
    let mut tree = Tree::default();
    let top = top_level(input);
    machine(&mut tree, &top, profile, input);
    requested(&mut tree, &top, profile, input);
    imposed(&mut tree, input);
    let mounts = tree.into_mounts();
    SandboxPlan {
        identity: input.identity.clone(),
        landlock: Some(landlock::rules(profile, &mounts)),
        mounts,
        private_network: profile.private_network,
        network_namespace: None,
        hostname: input.hostname.chars().take(64).collect(),
        capability_bounding_set: profile.capability_bounding_set.iter().map(ToString::to_string).collect(),
        system_call_filter: Some(filter(&allowed(&profile.system_call_filter), &profile.restrictions())),
        limits: limits(profile),
        cgroup_procs: input.cgroup_procs.clone(),
        umask: profile.umask,
        working_directory: input.module_directory.target.clone(),
        best_effort: profile.best_effort.iter().map(|setting| setting.as_str().to_owned()).collect(),
        trace: false,
    }
}

/// Each name in either root, with what it is on this machine and in the directory laid over it.
type Top<'a> = BTreeMap<&'a OsStr, (Option<&'a TopLevelKind>, Option<&'a TopLevelKind>)>;

fn top_level(input: &PlanInput) -> Top<'_> {
    let mut top = Top::new();
    for TopLevel { name, kind } in &input.host_top {
        top.entry(name).or_default().0 = Some(kind);
    }
    if let Machine::Root(_) = input.machine {
        for TopLevel { name, kind } in &input.machine_top {
            top.entry(name).or_default().1 = Some(kind);
        }
    }
    for LaidOver { target, .. } in &input.laid_over {
        // It may have been made since the root was read.
        if let Some(name) = target.file_name() {
            top.entry(name).or_default().1 = Some(&TopLevelKind::Directory);
        }
    }
    top.retain(|name, _| !OWN.iter().any(|own| *name == *own));
    top
}

fn machine(tree: &mut Tree, top: &Top<'_>, profile: &Profile, input: &PlanInput) {
    use TopLevelKind::{Directory, Symlink};
    let root = match &input.machine {
        Machine::Host => Path::new("/"),
        Machine::Root(root) => root,
    };
    for (name, kinds) in top {
        let (target, ours) = (Path::new("/").join(name), root.join(name));
        match kinds {
            // An empty directory, in which a path that is declared below it still finds its place.
            _ if profile.protect_home && HOMES.iter().any(|home| target == Path::new(home)) => {
                tree.push(Mount::Directory { target });
            }
            (_, Some(Symlink(content))) | (Some(Symlink(content)), None) => {
                tree.push(Mount::Symlink { content: content.clone(), target });
            }
            (Some(Directory), Some(Directory)) => {
                tree.push(Mount::Overlay { layers: vec![ours, target.clone()], work: work(input, &target), target });
            }
            // The directory of an older system's tree, laid over what its link leads to here.
            (Some(Symlink(content)), Some(Directory)) => {
                let linked = Path::new("/").join(content);
                tree.push(Mount::Overlay { layers: vec![ours, linked], work: work(input, &target), target });
            }
            (_, Some(Directory)) => tree.bind(&ours, &target, Access::ReadOnly),
            (Some(Directory), _) => tree.bind(&target, &target, Access::ReadOnly),
            _ => {}
        }
    }
    // The machine's own /run holds the sockets of everything that runs; what a profile wants of it, it names.
    tree.tmpfs(Path::new("/run"), RUN_SIZE, 0o755);
    tree.push(Mount::Proc { protect: profile.protect_proc });
    tree.push(Mount::Dev);
}

fn work(input: &PlanInput, target: &Path) -> Option<PathBuf> {
    input.laid_over.iter().find(|each| each.target == target).map(|each| each.work.clone())
}

/// A rule of the profile or the manifest about one path. Of rules for the same path the last in this order holds.
#[derive(Debug, PartialEq, Eq)]
enum Rule<'a> {
    PrivateTmp,
    Show(Access, &'a Path),
    Hide,
}

fn requested(tree: &mut Tree, top: &Top<'_>, profile: &Profile, input: &PlanInput) {
    let mut rules: Vec<(&Path, Rule<'_>)> =
        ["/tmp", "/var/tmp"].iter().map(|tmp| (Path::new(*tmp), Rule::PrivateTmp)).collect();
    let writable = if input.check { Access::ReadOnly } else { Access::ReadWrite };
    let shown = input
        .writable
        .iter()
        .map(|place| (place, writable))
        .chain(input.read_only.iter().map(|place| (place, Access::ReadOnly)));
    for (Place { source, target }, access) in shown {
        let imposed = input.hidden.iter().any(|hidden| target.starts_with(hidden));
        // What a top-level link leads to is opened under its own name, or not at all.
        if !imposed && !is_link(top, target) {
            rules.push((target, Rule::Show(access, source)));
        }
    }
    rules.extend(profile.inaccessible_paths.iter().map(|path| (path.as_path(), Rule::Hide)));
    // Above before below; for the same path, what closes after what opens.
    rules.sort_by(|(left, left_rule), (right, right_rule)| {
        let depth = |path: &Path| path.components().count();
        let order = |rule: &Rule<'_>| match rule {
            Rule::PrivateTmp => 0,
            Rule::Show(Access::ReadWrite, _) => 1,
            Rule::Show(Access::ReadOnly, _) => 2,
            Rule::Hide => 3,
        };
        (depth(left), left, order(left_rule)).cmp(&(depth(right), right, order(right_rule)))
    });
    rules.dedup();
    let shown: Vec<PathBuf> = rules
        .iter()
        .filter(|(_, rule)| matches!(rule, Rule::Show(..)))
        .map(|(target, _)| (*target).to_owned())
        .chain(last_targets(input))
        .collect();
    for (target, rule) in rules {
        match rule {
            Rule::PrivateTmp => tree.tmpfs(target, profile.tmp_size, 0o1777),
            Rule::Show(access, source) => tree.bind(source, target, access),
            Rule::Hide => tree.hide(target, &shown),
        }
    }
}

fn is_link(top: &Top<'_>, target: &Path) -> bool {
    let name = target.strip_prefix("/").unwrap_or(target);
    let kind = top.get(name.as_os_str()).and_then(|(host, laid_over)| laid_over.or(*host));
    matches!(kind, Some(TopLevelKind::Symlink(_)))
}

fn last_targets(input: &PlanInput) -> [PathBuf; 3] {
    [input.module_directory.target.clone(), input.state_directory.target.clone(), PathBuf::from(SDK)]
}

fn imposed(tree: &mut Tree, input: &PlanInput) {
    for Place { source, target } in &input.protected {
        tree.bind(source, target, Access::ReadOnly);
    }
    let last = last_targets(input);
    for window in KERNEL {
        tree.hide(Path::new(window), &last);
    }
    // The machine lies at `/`; its directory must not be seen a second time under its own name, unprotected.
    if let Machine::Root(root) = &input.machine {
        tree.hide(root, &last);
    }
    for hidden in &input.hidden {
        tree.hide(hidden, &last);
    }
    let buses = BUSES.iter().filter(|_| input.check);
    for socket in buses.chain([&PRIVATE_BUS]).map(Path::new) {
        tree.hide_if_seen(socket);
    }
    tree.own(Path::new("/run/updates"));
    let Place { source, target } = &input.module_directory;
    tree.bind(source, target, Access::ReadOnly);
    // Its own folder, or a part of it, is a module's to declare like any other; it was saved with the rest.
    let access = if input.check { Access::ReadOnly } else { Access::ReadWrite };
    for declared in input.writable.iter().filter(|declared| declared.target.starts_with(target)) {
        tree.bind(&declared.source, &declared.target, access);
    }
    if let Some(content) = &input.effective_index {
        tree.push(Mount::File { target: target.join("index.json"), content: content.clone() });
    }
    let Place { source, target } = &input.state_directory;
    tree.bind(source, target, access);
    tree.bind(&input.sdk, Path::new(SDK), Access::ReadOnly);
}

fn limits(profile: &Profile) -> Vec<Limit> {
    [
        (Resource::Nofile, Some(profile.limit_nofile)),
        (Resource::Fsize, profile.limit_fsize),
        (Resource::Core, Some(profile.limit_core)),
        (Resource::As, profile.limit_as),
        (Resource::Stack, Some(profile.limit_stack)),
        (Resource::Memlock, Some(profile.limit_memlock)),
        (Resource::Msgqueue, Some(profile.limit_msgqueue)),
        (Resource::Nice, Some(profile.limit_nice)),
        (Resource::Rtprio, Some(profile.limit_rtprio)),
    ]
    .into_iter()
    .filter_map(|(resource, value)| value.map(|value| Limit { resource, value }))
    .collect()
}
