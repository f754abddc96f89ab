//! Names of system calls and of systemd's groups of them, and what a list of both comes to on this architecture.
//!
//! Numbers come from the kernel's own tables, by way of a crate; which call belongs to which group is in `groups.txt`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use syscalls::Sysno;
use updates_protocol::nearest;

/// Every call of this architecture, as systemd's group of that name.
const KNOWN: &str = "@known";
/// What no program can start without; systemd too always allows it.
const DEFAULT: &str = "@default";

static GROUPS: LazyLock<BTreeMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let mut groups = BTreeMap::new();
    let mut current = DEFAULT;
    for line in include_str!("groups.txt").lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('@') {
            current = line;
        } else {
            groups.entry(current).or_insert_with(Vec::new).extend(line.split_whitespace());
        }
    }
    groups.insert(KNOWN, Sysno::iter().map(|call| call.name()).collect());
    groups
});

// Names that only other architectures have are known too: one profile serves all.
static NAMES: LazyLock<BTreeSet<&'static str>> = LazyLock::new(|| {
    let listed = GROUPS.values().flatten().filter(|name| !name.starts_with('@')).copied();
    listed.chain(Sysno::iter().map(|call| call.name())).collect()
});

/// Names of calls, shared among those who asked for the same list.
pub type Calls = Arc<BTreeSet<&'static str>>;

// Every module of a run asks for a few of the same lists several times.
static ALLOWED: LazyLock<Mutex<HashMap<Vec<SystemCallEntry>, Calls>>> = LazyLock::new(Mutex::default);
/// How many lists are remembered; beyond that they are worked out anew.
const MOST_LISTS: usize = 64;

/// One entry of `system_call_filter`: a call or a group, added or, written with a `~`, taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemCallEntry {
    taken_away: bool,
    name: &'static str,
}

impl SystemCallEntry {
    /// The entry that `text` says, or a sentence about why there is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (taken_away, name) = match text.strip_prefix('~') {
            Some(name) => (true, name),
            None => (false, text),
        };
        let found = match name.starts_with('@') {
            true => GROUPS.get_key_value(name).map(|(name, _)| *name),
            false => NAMES.get(name).copied(),
        };
        found.map(|name| Self { taken_away, name }).ok_or_else(|| unknown(name))
    }

    /// Whether the entry takes away.
    pub fn takes_away(self) -> bool {
        self.taken_away
    }

    /// The call or the group, without a `~`.
    pub fn name(self) -> &'static str {
        self.name
    }
}

fn unknown(name: &str) -> String {
    let (kind, known): (_, Vec<&'static str>) = match name.starts_with('@') {
        true => ("group of system calls", GROUPS.keys().copied().collect()),
        false => ("system call", NAMES.iter().copied().collect()),
    };
    match nearest(name, &known) {
        Some(nearest) => format!("is no {kind}; did you mean {nearest:?}?"),
        None if name.starts_with('@') => format!("is no {kind}; there are {}", known.join(", ")),
        None => format!("is no {kind}; syscalls(2) lists them"),
    }
}

impl fmt::Display for SystemCallEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.taken_away { "~" } else { "" }, self.name)
    }
}

/// The calls of this architecture that `entries` leave, by name. Of two entries about one call the later holds;
/// `@default` is in from the start.
pub fn allowed(entries: &[SystemCallEntry]) -> Calls {
    // A panic elsewhere leaves the map whole: it is only ever added to in one step.
    let mut known = ALLOWED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(calls) = known.get(entries) {
        return calls.clone();
    }
    let calls = Arc::new(work_out(entries));
    if known.len() < MOST_LISTS {
        known.insert(entries.to_vec(), calls.clone());
    }
    calls
}

fn work_out(entries: &[SystemCallEntry]) -> BTreeSet<&'static str> {
    let mut calls = group(DEFAULT);
    for entry in entries {
        let named = if entry.name.starts_with('@') { group(entry.name) } else { only_here([entry.name]).collect() };
        match entry.taken_away {
            true => calls.retain(|call| !named.contains(call)),
            false => calls.extend(named),
        }
    }
    calls
}

/// The calls of this architecture in a group, and in the groups that it names; none where there is no such group.
pub fn group(name: &str) -> BTreeSet<&'static str> {
    let mut calls = BTreeSet::new();
    for member in GROUPS.get(name).into_iter().flatten() {
        match member.starts_with('@') {
            true => calls.extend(group(member)),
            false => calls.extend(only_here([*member])),
        }
    }
    calls
}

/// The number of a call on this architecture.
pub(super) fn number(name: &str) -> Option<u32> {
    name.parse::<Sysno>().ok().and_then(|call| u32::try_from(call.id()).ok())
}

fn only_here<const N: usize>(names: [&'static str; N]) -> impl Iterator<Item = &'static str> {
    names.into_iter().filter(|name| number(name).is_some())
}

#[cfg(test)]
pub(super) fn group_names() -> Vec<&'static str> {
    GROUPS.keys().copied().collect()
}
