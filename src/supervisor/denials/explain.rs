//! One refused call to the rule behind it and what would allow it: pure. The rules are asked in the order in which the
//! kernel asks them, so that the first that explains a refusal is the one that caused it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use updates_protocol::{SandboxPlan, TracedCall};

use super::capability::{lacking, port};
use super::filter;
use super::noise::is_noise;
use super::seen::{Seen, seen};
use crate::profile::Profile;
use crate::supervisor::learn::{Changed, fold, makes_entries};
use crate::supervisor::writable::own_place;

/// What a refusal is explained from.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// The module's profile, adjusted by its manifest.
    pub profile: &'a Profile,
    /// What was enforced.
    pub plan: &'a SandboxPlan,
    /// The profiles that a module can name, the strictest first.
    pub choices: &'a [Profile],
}

/// What the machine says about a traced call's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnMachine {
    /// The path with its links followed.
    pub path: PathBuf,
    /// Whether there is something.
    pub exists: bool,
    /// Whether that is a folder.
    pub folder: bool,
    /// Whether there is the folder that it would be in.
    pub parent: bool,
}

/// The rule behind a refusal, and the way out.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// A key of profiles, or whose rule it is otherwise.
    pub rule: &'static str,
    /// In a sentence.
    pub why: String,
    /// The part of `index.json` that would allow it.
    pub allow: Option<Value>,
}

/// Explains a call that was refused; `None` for one that was not, or whose refusal means nothing. `machine` is needed for
/// a call that has a path. A hidden file opens as an empty one, where capabilities go before its mode: that is a refusal
/// without an error.
pub fn explain(rules: &Rules<'_>, call: &TracedCall, machine: Option<&OnMachine>) -> Option<Explanation> {
    let error = match (&call.error, machine) {
        (Some(error), _) => error,
        (None, Some(machine)) if is_hidden(rules.plan, machine) => HIDDEN,
        (None, _) => return None,
    };
    if is_noise(rules.plan, call, machine) {
        return None;
    }
    if let Some(refused) = filter::refuses(rules, call, error) {
        return Some(refused);
    }
    match (machine, &call.about) {
        (Some(machine), _) => path(rules, call, machine, error),
        (None, Some(about)) => network(rules, call, about, error),
        (None, None) => plain(rules, call, error),
    }
}

/// What stands for an error where a hidden file was seen as an empty one.
pub(in crate::supervisor) const HIDDEN: &str = "empty";

/// Whether something of the machine's is hidden there.
pub(in crate::supervisor) fn is_hidden(plan: &SandboxPlan, machine: &OnMachine) -> bool {
    machine.exists && matches!(seen(plan, &machine.path), Seen::Hidden(_))
}

fn path(rules: &Rules<'_>, call: &TracedCall, machine: &OnMachine, error: &str) -> Option<Explanation> {
    let Rules { profile, plan, .. } = rules;
    let path = machine.path.as_path();
    let supervisors = own_place(path).filter(|own| path.starts_with(own) && !own.starts_with("/run"));
    match (seen(plan, path), error) {
        (Seen::Hidden(hidden), _) => Some(hides(rules, call, machine, &hidden)),
        (Seen::Own(own), "ENOENT" | "EROFS" | "EACCES" | "EPERM")
            if ["/root", "/home"].iter().any(|home| own == Path::new(home)) =>
        {
            Some(Explanation {
                rule: "protect_home",
                why: format!("homes are hidden by the profile {}", profile.name),
                allow: Some(declare(call, machine)),
            })
        }
        (Seen::Own(own), "ENOENT" | "ECONNREFUSED") if own == Path::new("/run") && is_bus(path) => Some(Explanation {
            rule: "/run",
            why: "the sandbox has a /run of its own; ask the supervisor for service control through the SDK, or use a \
                  profile that shows the bus"
                .to_owned(),
            allow: choose(rules, |profile| {
                profile.read_only_paths.iter().any(|shown| path.starts_with(shown.as_path()))
            }),
        }),
        (Seen::Own(_), _) if supervisors.is_some() => Some(nothing(
            "supervisor",
            format!("{} is the supervisor's; no module sees it", supervisors.unwrap_or("it")),
        )),
        (Seen::Own(own), "ENOENT" | "EROFS") => Some(Explanation {
            rule: if own == Path::new("/run") { "/run" } else { "sandbox" },
            why: format!("the sandbox has {} of its own, and nothing of the machine's is in it", shown(&own)),
            allow: machine.exists.then(|| declare(call, machine)),
        }),
        // Tools look at devices and processes without needing them.
        (Seen::Kernel(_), _) if !call.write && looks(&call.call) => None,
        (Seen::Kernel(place), _) => {
            Some(nothing("sandbox", format!("{place} is the sandbox's own and closed to changes")))
        }
        // A declared file lies in a folder that is read-only, which the kernel says before it says that a mount is busy.
        (Seen::Writable(mount), "EROFS") if mount == path => Some(replaces(call, machine, &mount)),
        (_, "EROFS") => Some(undeclared(call, machine)),
        (Seen::Writable(mount), "EBUSY" | "EXDEV") => Some(replaces(call, machine, &mount)),
        (Seen::ReadOnly, "EXDEV") => Some(undeclared(call, machine)),
        (Seen::ReadOnly, "EACCES") if call.write && plan.landlock.is_some() && own_place(path).is_none() => {
            Some(undeclared(call, machine))
        }
        (_, "ENOENT") => None, // it came or went meanwhile
        _ => plain(rules, call, error),
    }
}

fn hides(rules: &Rules<'_>, call: &TracedCall, machine: &OnMachine, hidden: &Path) -> Explanation {
    if rules.profile.inaccessible_paths.iter().any(|path| path.as_path() == hidden) {
        // What a module declares by the very same path is open to it.
        let key = if call.write { "read_write_paths" } else { "read_only_paths" };
        let allow = json!({"sandbox": {key: [hidden.display().to_string()]}});
        let why = format!("{} is hidden by the profile {}", hidden.display(), rules.profile.name);
        let allow = own_place(&machine.path).is_none().then_some(allow);
        return Explanation { rule: "inaccessible_paths", why, allow };
    }
    let what = if call.write { "changes" } else { "sees" };
    nothing("supervisor", format!("{} belongs to the supervisor; no module {what} it", hidden.display()))
}

fn undeclared(call: &TracedCall, machine: &OnMachine) -> Explanation {
    if let Some(own) = own_place(&machine.path).filter(|own| machine.path.starts_with(own)) {
        return nothing("supervisor", format!("{own} belongs to the supervisor; no module changes it"));
    }
    let allow = declare(call, machine);
    if allow.is_null() {
        return nothing("read_write_paths", "this folder can't be declared: name the files in it".to_owned());
    }
    Explanation {
        rule: "read_write_paths",
        why: "read-only, because it is not declared".to_owned(),
        allow: Some(allow),
    }
}

fn replaces(call: &TracedCall, machine: &OnMachine, mount: &Path) -> Explanation {
    let folder = fold([Changed { path: machine.path.clone(), entry: true, folder: false }]);
    let why = format!(
        "{} is declared by itself: it can be written in place, but neither replaced, moved nor removed",
        mount.display()
    );
    let declared: Vec<String> = folder.iter().filter(|path| path.is_folder()).map(ToString::to_string).collect();
    match declared.is_empty() || !makes_entries(&call.call) {
        true => nothing("read_write_paths", why),
        false => Explanation {
            rule: "read_write_paths",
            why,
            allow: Some(json!({"sandbox": {"read_write_paths": declared}})),
        },
    }
}

fn network(rules: &Rules<'_>, call: &TracedCall, about: &str, error: &str) -> Option<Explanation> {
    // A connection that is being made to the own loopback, where nobody listens, fails where no call shows it.
    let unreachable =
        ["ENETUNREACH", "ECONNREFUSED", "EADDRNOTAVAIL", "EHOSTUNREACH", "ENETDOWN", "EINPROGRESS"].contains(&error);
    if unreachable && rules.plan.private_network {
        let why = format!("the profile {} has no network but a loopback of its own", rules.profile.name);
        return Some(Explanation {
            rule: "private_network",
            why,
            allow: choose(rules, |profile| !profile.private_network),
        });
    }
    if unreachable {
        return None; // the network's own answer
    }
    if call.call == "socket" && error == "EAFNOSUPPORT" {
        return None; // this kernel has no such family
    }
    let landlock = rules.plan.landlock.as_ref();
    let closed = match call.call.as_str() {
        "connect" => landlock.and_then(|rules| rules.connect_tcp.as_ref()),
        "bind" => landlock.and_then(|rules| rules.bind_tcp.as_ref()),
        _ => None,
    };
    if let (Some(ports), Some(port)) = (closed, port(Some(about)))
        && about.starts_with("tcp")
        && !ports.contains(&port)
    {
        return Some(nothing("landlock", format!("TCP port {port} is not among those that the profile opens")));
    }
    if about.starts_with("unix @") && landlock.is_some_and(|rules| rules.scope_abstract_unix_socket) {
        return Some(nothing("landlock", "abstract sockets of the machine are out of reach".to_owned()));
    }
    plain(rules, call, error)
}

fn plain(rules: &Rules<'_>, call: &TracedCall, error: &str) -> Option<Explanation> {
    // These need a capability as well, which alone would not help.
    if (call.call.starts_with("sched_") || call.call == "unshare")
        && let Some(restricted) = filter::restricts(rules, call, error)
    {
        return Some(restricted);
    }
    let holds =
        |profile: &Profile, name: &str| profile.capability_bounding_set.iter().any(|held| held.as_str() == name);
    let needed = lacking(&call.call, call.about.as_deref());
    if let Some(name) = needed.filter(|name| !rules.plan.capability_bounding_set.iter().any(|held| held == name)) {
        let allow = choose(rules, |profile| holds(profile, name));
        let why = match &allow {
            Some(_) => format!("it needs {name}, which the profile {} does not leave", rules.profile.name),
            None => format!("it needs {name}, which no profile leaves"),
        };
        return Some(Explanation { rule: "capability_bounding_set", why, allow });
    }
    if let Some(restricted) = filter::restricts(rules, call, error) {
        return Some(restricted);
    }
    if rules.plan.identity.is_some() {
        let why = format!("under the profile {} a module is not root", rules.profile.name);
        return Some(Explanation {
            rule: "user",
            why,
            allow: choose(rules, |profile| holds(profile, "CAP_DAC_OVERRIDE")),
        });
    }
    if rules.plan.landlock.is_some() && error == "EACCES" && call.path.is_some() {
        return Some(nothing("landlock", "the second wall opens no such access there".to_owned()));
    }
    if rules.plan.system_call_filter.is_some() && call.path.is_none() {
        return Some(nothing("system_call_filter", format!("the profile's filter refuses {}", call.call)));
    }
    Some(nothing("kernel", format!("not the sandbox's doing: the kernel says {error} to anybody")))
}

/// What declares the call's path for what the call does.
fn declare(call: &TracedCall, machine: &OnMachine) -> Value {
    if !call.write {
        return json!({"sandbox": {"read_only_paths": [machine.path.display().to_string()]}});
    }
    // What is not there was to be made.
    let entry = makes_entries(&call.call) || !machine.exists;
    let made = machine.folder || call.call.starts_with("mkdir");
    let paths = fold([Changed { path: machine.path.clone(), entry, folder: made }]);
    match paths.is_empty() {
        true => Value::Null,
        false => json!({"sandbox": {"read_write_paths": paths.iter().map(ToString::to_string).collect::<Vec<_>>()}}),
    }
}

// The strictest profile that allows it, other than the module's own.
pub(super) fn choose(rules: &Rules<'_>, allows: impl Fn(&Profile) -> bool) -> Option<Value> {
    let found = rules.choices.iter().find(|profile| allows(profile))?;
    Some(json!({"sandbox": {"profile": found.name.to_string()}}))
}

fn looks(call: &str) -> bool {
    ["stat", "lstat", "newfstatat", "statx", "readlink", "readlinkat", "access", "faccessat", "faccessat2", "statfs"]
        .contains(&call)
}

/// Whether a service of the machine's is spoken to there.
pub(super) fn is_bus(path: &Path) -> bool {
    ["/run/dbus", "/run/systemd"].iter().any(|bus| path.starts_with(bus))
}

fn shown(own: &Path) -> String {
    if own == Path::new("/") { "a root".to_owned() } else { format!("a {}", own.display()) }
}

fn nothing(rule: &'static str, why: String) -> Explanation {
    Explanation { rule, why, allow: None }
}
