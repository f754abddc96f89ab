//! A module's resolved profile as statements that a person can read: what, and where the rule came from. Nothing here
//! prints.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use updates::catalog::Installed;
use updates::profile::{Origin, Profile, RunAs, SystemCallEntry, allowed};
use updates_protocol::{DeclaredPath, UnitName};

/// One rule, and who made it.
pub(super) struct Statement {
    /// The setting's key.
    pub(super) key: &'static str,
    /// What holds, in words.
    pub(super) text: String,
    pub(super) origin: Source,
}

/// Who made a rule, as far as a person can go and change it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Source {
    Origin(Origin),
    /// The administrator's settings for this module.
    Local {
        file: PathBuf,
        field: String,
    },
}

/// What a module may do, by the question that is asked.
pub(super) struct Explanation {
    pub(super) read: Vec<Statement>,
    pub(super) write: Vec<Statement>,
    pub(super) call: Vec<Statement>,
    pub(super) reach: Vec<Statement>,
    pub(super) use_up: Vec<Statement>,
    /// What it runs without where the machine can't enforce it.
    pub(super) lack: Vec<Statement>,
}

/// The administrator's own settings for a module, and their file.
pub(super) struct Local {
    pub(super) file: PathBuf,
    pub(super) patch: Value,
}

impl Local {
    fn sets(&self, field: &str) -> bool {
        field.split('.').try_fold(&self.patch, |value, key| value.get(key)).is_some_and(|value| !value.is_null())
    }
}

pub(super) fn explain(module: &Installed, profile: &Profile, local: Option<&Local>) -> Explanation {
    let context = Context { profile, local };
    let supervisor =
        |key, text: &str| Statement { key, text: text.to_owned(), origin: Source::Origin(Origin::Supervisor) };
    let mut read = vec![supervisor("machine", "the machine's files, but none of /run and /dev")];
    read.extend(context.paths("read_only_paths", "", &profile.read_only_paths));
    read.push(context.decided(
        "protect_home",
        if profile.protect_home { "not /root and /home" } else { "/root and /home too" }.to_owned(),
    ));
    read.extend(context.paths("inaccessible_paths", "not ", &profile.inaccessible_paths));
    read.push(supervisor("updates", "not /var/lib/updates and /var/backups/updates"));
    let state = format!("/var/lib/updates/state/{}, put back after a failure", module.name);
    let mut write = vec![supervisor("state", &state)];
    write.extend(
        context
            .paths("read_write_paths", "", &profile.read_write_paths)
            .map(|statement| Statement { text: format!("{}, put back after a failure", statement.text), ..statement }),
    );
    write.extend(
        context
            .paths("volatile_paths", "", &profile.volatile_paths)
            .map(|statement| Statement { text: format!("{}, without a way back", statement.text), ..statement }),
    );
    let tmp = format!("/tmp and /var/tmp of its own, {} each", size(profile.tmp_size));
    write.push(context.decided("tmp_size", tmp));
    Explanation {
        read,
        write,
        call: context.calls(),
        reach: context.reach(module),
        use_up: context.bounds(),
        lack: context.lacking(),
    }
}

struct Context<'a> {
    profile: &'a Profile,
    local: Option<&'a Local>,
}

impl Context<'_> {
    fn source(&self, origin: &Origin) -> Source {
        match (origin, self.local) {
            (Origin::Manifest { field }, Some(local)) if local.sets(field) => {
                Source::Local { file: local.file.clone(), field: field.clone() }
            }
            _ => Source::Origin(origin.clone()),
        }
    }

    fn decided(&self, key: &'static str, text: String) -> Statement {
        Statement { key, text, origin: self.source(self.profile.provenance.of(key)) }
    }

    fn paths(&self, key: &'static str, word: &'static str, paths: &[DeclaredPath]) -> impl Iterator<Item = Statement> {
        let texts: Vec<String> = paths.iter().map(DeclaredPath::to_string).collect();
        let mut seen = BTreeSet::new();
        texts.into_iter().filter(move |text| seen.insert(text.clone())).map(move |text| Statement {
            key,
            origin: self.source(self.profile.provenance.of_item(key, &text)),
            text: format!("{word}{text}"),
        })
    }

    fn calls(&self) -> Vec<Statement> {
        let profile = self.profile;
        let held = &profile.capability_bounding_set;
        let capabilities = match (&profile.user, held.is_empty()) {
            (_, true) => "no capability".to_owned(),
            (_, false) => join(held),
        };
        let user = match &profile.user {
            RunAs::Dynamic => "as a user of its own".to_owned(),
            other => format!("as {other}"),
        };
        let calls = format!(
            "{} system calls: {}",
            allowed(&profile.system_call_filter).len(),
            join(&last_of_each(&profile.system_call_filter))
        );
        let mut all = vec![
            self.decided("user", user),
            self.decided("capability_bounding_set", capabilities),
            self.decided("system_call_filter", calls),
        ];
        for (key, closed, open, holds) in [
            ("restrict_suid_sgid", "no setuid files", "setuid files", profile.restrict_suid_sgid),
            ("restrict_realtime", "no real-time scheduling", "real-time scheduling", profile.restrict_realtime),
            ("restrict_namespaces", "no namespaces", "namespaces", profile.restrict_namespaces),
            ("lock_personality", "no other execution domain", "other execution domains", profile.lock_personality),
            (
                "memory_deny_write_execute",
                "no code written at run time",
                "code written at run time",
                profile.memory_deny_write_execute,
            ),
        ] {
            all.push(self.decided(key, if holds { closed } else { open }.to_owned()));
        }
        // Names alone: a value may be a secret.
        for name in profile.environment.keys() {
            let origin = self.source(profile.provenance.of_item("environment", name));
            all.push(Statement { key: "environment", text: format!("with {name} in its environment"), origin });
        }
        all
    }

    fn reach(&self, module: &Installed) -> Vec<Statement> {
        let profile = self.profile;
        let network = match profile.private_network {
            true => "no network but a loopback of its own",
            false => "the machine's network",
        };
        let families = match profile.restrict_address_families.is_empty() {
            true => "no sockets but pairs".to_owned(),
            false => format!("sockets of {}", join(&profile.restrict_address_families)),
        };
        let mut all = vec![
            self.decided("private_network", network.to_owned()),
            self.decided("restrict_address_families", families),
        ];
        for (key, word, ports) in [
            ("bind_tcp_ports", "listens", &profile.bind_tcp_ports),
            ("connect_tcp_ports", "connects", &profile.connect_tcp_ports),
        ] {
            if let Some(ports) = ports {
                let ports = if ports.is_empty() { "no port".to_owned() } else { format!("ports {}", join(ports)) };
                all.push(self.decided(key, format!("{word} on TCP {ports}")));
            }
        }
        // Each of these is a declaration to the supervisor, which controls units on the module's behalf.
        let manifest = &module.manifest;
        let named: Vec<UnitName> = manifest.service_name.iter().cloned().collect();
        for (field, units) in [
            ("configuration.service_name", &named),
            ("configuration.services", &manifest.services),
            ("sandbox.services", &manifest.sandbox.services),
        ] {
            if !units.is_empty() {
                let origin = self.source(&Origin::Manifest { field: field.to_owned() });
                all.push(Statement { key: "services", text: format!("asks for control of {}", join(units)), origin });
            }
        }
        let processes = format!("its own processes in /proc ({})", profile.protect_proc.as_str());
        all.push(self.decided("protect_proc", processes));
        all
    }

    fn bounds(&self) -> Vec<Statement> {
        let p = self.profile;
        let mut all = vec![
            self.decided("memory_max", format!("{} of memory", size(p.memory_max))),
            self.decided("tasks_max", format!("{} tasks", p.tasks_max)),
            self.decided("runtime_max_sec", format!("{} s, and {} s to end", p.runtime_max_sec, p.timeout_stop_sec)),
            self.decided("limit_nofile", format!("{} open files", p.limit_nofile)),
        ];
        if let Some(bytes) = p.limit_fsize {
            all.push(self.decided("limit_fsize", format!("files of {}", size(bytes))));
        }
        if let Some(percent) = p.cpu_quota {
            all.push(self.decided("cpu_quota", format!("{percent}% of a processor")));
        }
        all
    }

    fn lacking(&self) -> Vec<Statement> {
        let keys: Vec<_> = self.profile.best_effort.iter().map(|key| key.as_str()).collect();
        if keys.is_empty() { Vec::new() } else { vec![self.decided("best_effort", keys.join(" "))] }
    }
}

// Each profile repeats what it builds on; of two the later holds.
fn last_of_each(entries: &[SystemCallEntry]) -> Vec<&SystemCallEntry> {
    let last = entries.iter().enumerate().filter(|(at, entry)| !entries[at + 1..].contains(entry));
    last.map(|(_, entry)| entry).collect()
}

fn join<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{} KiB", bytes >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)).replace(".0 ", " "),
    }
}
