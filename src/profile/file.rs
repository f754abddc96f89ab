//! One profile file: JSON with known keys only, each optional, laid over the profile that it extends.
//!
//! What a file does not say stays as the extended profile has it. Lists of paths, system calls and address families add
//! to the extended ones; `null` for such a list forgets them. `environment` and `reasons` merge by key; everything else
//! replaces.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use updates_protocol::{DeclaredPath, FieldError, Object, ProfileName, ProtectProc, environment, nearest};

use super::contradiction;
use super::provenance::Origin;
use super::{AddressFamily, Allowance, BestEffort, Capability, Profile, ProfileError, RunAs, SystemCallEntry};

const KEYS: [&str; 42] = [
    "description",
    "extends",
    "reasons",
    "allow",
    "read_write_paths",
    "read_only_paths",
    "inaccessible_paths",
    "volatile_paths",
    "protect_home",
    "protect_proc",
    "private_network",
    "bind_tcp_ports",
    "connect_tcp_ports",
    "user",
    "dynamic_user",
    "capability_bounding_set",
    "system_call_filter",
    "restrict_address_families",
    "restrict_suid_sgid",
    "restrict_realtime",
    "restrict_namespaces",
    "lock_personality",
    "memory_deny_write_execute",
    "limit_nofile",
    "limit_fsize",
    "limit_core",
    "limit_as",
    "limit_stack",
    "limit_memlock",
    "limit_msgqueue",
    "limit_nice",
    "limit_rtprio",
    "tasks_max",
    "memory_max",
    "cpu_quota",
    "runtime_max_sec",
    "timeout_stop_sec",
    "environment",
    "umask",
    "tmp_size",
    "exclusive",
    "best_effort",
];

/// A checked profile file: its keys are known, its values have their shapes, and none contradicts another.
#[derive(Debug, Clone)]
pub(super) struct ProfileFile {
    pub(super) extends: Option<ProfileName>,
    pub(super) path: PathBuf,
    map: Map<String, Value>,
}

impl ProfileFile {
    /// Reads and checks the bytes of the file at `path`.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self, ProfileError> {
        let map: Map<String, Value> = serde_json::from_slice(bytes)
            .map_err(|error| ProfileError::Syntax { path: path.to_owned(), reason: error.to_string() })?;
        if let Some(key) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let nearest = nearest(key, &KEYS);
            return Err(ProfileError::UnknownKey { path: path.to_owned(), key: key.clone(), nearest });
        }
        let at = |field| ProfileError::Field { path: path.to_owned(), field };
        let object = Object::root(&map);
        let extends = match object.string("extends").map_err(at)? {
            Some(name) => {
                let name = name.parse().map_err(|error: updates_protocol::NameError| error.to_string());
                Some(name.map_err(|problem| at(object.error("extends", problem)))?)
            }
            None => None,
        };
        let file = Self { extends, path: path.to_owned(), map };
        // Laid over an empty profile, whatever is wrong with the file itself comes to light.
        let name: ProfileName = "default".parse().expect("the word is made of letters");
        let alone = file.over(Profile::closed(name.clone()), name)?;
        contradiction::in_one_file(&file.map, &alone).map_err(at)?;
        Ok(file)
    }

    /// Lays this file over `base`, the profile that it extends.
    pub(super) fn over(&self, base: Profile, name: ProfileName) -> Result<Profile, ProfileError> {
        let origin = Origin::Profile { profile: name.clone(), file: self.path.clone() };
        let mut layer = Layer { map: &self.map, object: Object::root(&self.map), origin, profile: base };
        layer.profile.name = name;
        match layer.lay() {
            Ok(()) => Ok(layer.profile),
            Err(field) => Err(ProfileError::Field { path: self.path.clone(), field }),
        }
    }
}

struct Layer<'a> {
    map: &'a Map<String, Value>,
    object: Object<'a>,
    origin: Origin,
    profile: Profile,
}

/// Sets a field of the profile that has the key's name, where the file has a value for it, and notes who did.
macro_rules! set {
    ($layer:ident, $key:ident, $value:expr) => {
        if let Some(value) = $value {
            $layer.profile.$key = value;
            $layer.profile.provenance.replace(stringify!($key), &$layer.origin);
        }
    };
}

impl Layer<'_> {
    fn lay(&mut self) -> Result<(), FieldError> {
        if let Some(description) = self.object.string("description")? {
            description.clone_into(&mut self.profile.description);
        }
        self.profile.reasons.extend(reasons(&self.object)?);
        if let Some(allow) = self.object.get("allow") {
            self.profile.allow = Allowance::parse(allow, &self.object)?;
            self.profile.provenance.replace("allow", &self.origin);
        }
        self.paths("read_write_paths", |profile| &mut profile.read_write_paths)?;
        self.paths("read_only_paths", |profile| &mut profile.read_only_paths)?;
        self.paths("inaccessible_paths", |profile| &mut profile.inaccessible_paths)?;
        self.paths("volatile_paths", |profile| &mut profile.volatile_paths)?;
        self.privileges()?;
        self.limits()?;
        for (key, value) in environment(&self.object)? {
            self.profile.provenance.add("environment", key.clone(), &self.origin);
            self.profile.environment.insert(key, value);
        }
        set!(self, umask, umask(&self.object)?);
        set!(self, exclusive, self.object.boolean("exclusive")?);
        set!(self, best_effort, present(&self.object, "best_effort", BestEffort::parse)?);
        Ok(())
    }

    fn privileges(&mut self) -> Result<(), FieldError> {
        set!(self, protect_home, self.object.boolean("protect_home")?);
        set!(self, protect_proc, protect_proc(&self.object)?);
        set!(self, private_network, self.object.boolean("private_network")?);
        set!(self, bind_tcp_ports, self.object.ports("bind_tcp_ports")?.map(Some));
        set!(self, connect_tcp_ports, self.object.ports("connect_tcp_ports")?.map(Some));
        set!(self, user, run_as(&self.object, &self.profile.user)?);
        set!(self, capability_bounding_set, present(&self.object, "capability_bounding_set", Capability::parse)?);
        self.forget("system_call_filter", |profile| &mut profile.system_call_filter);
        for entry in self.object.list("system_call_filter", 1000, SystemCallEntry::parse)? {
            self.profile.system_call_filter.push(entry);
            self.profile.provenance.add("system_call_filter", entry.to_string(), &self.origin);
        }
        self.forget("restrict_address_families", |profile| &mut profile.restrict_address_families);
        for (taken_away, family) in self.object.list("restrict_address_families", 100, AddressFamily::entry)? {
            AddressFamily::apply(&mut self.profile.restrict_address_families, taken_away, family);
            self.profile.provenance.add("restrict_address_families", family.to_string(), &self.origin);
        }
        if self.object.get("restrict_address_families").is_some() {
            // An empty list has been said too.
            self.profile.provenance.add("restrict_address_families", String::new(), &self.origin);
        }
        set!(self, restrict_suid_sgid, self.object.boolean("restrict_suid_sgid")?);
        set!(self, restrict_realtime, self.object.boolean("restrict_realtime")?);
        set!(self, restrict_namespaces, self.object.boolean("restrict_namespaces")?);
        set!(self, lock_personality, self.object.boolean("lock_personality")?);
        set!(self, memory_deny_write_execute, self.object.boolean("memory_deny_write_execute")?);
        Ok(())
    }

    fn limits(&mut self) -> Result<(), FieldError> {
        set!(self, limit_nofile, self.object.unsigned("limit_nofile", 16..=1_000_000)?);
        set!(self, limit_fsize, self.object.bytes("limit_fsize")?.map(Some));
        set!(self, limit_core, self.object.bytes("limit_core")?);
        set!(self, limit_as, self.object.bytes("limit_as")?.map(Some));
        set!(self, limit_stack, self.object.bytes("limit_stack")?);
        set!(self, limit_memlock, self.object.bytes("limit_memlock")?);
        set!(self, limit_msgqueue, self.object.bytes("limit_msgqueue")?);
        set!(self, limit_nice, self.object.unsigned("limit_nice", 0..=40)?);
        set!(self, limit_rtprio, self.object.unsigned("limit_rtprio", 0..=99)?);
        set!(self, tasks_max, self.object.unsigned("tasks_max", 1..=1_000_000)?);
        set!(self, memory_max, self.object.bytes("memory_max")?);
        set!(self, cpu_quota, self.object.percent("cpu_quota")?.map(Some));
        set!(self, runtime_max_sec, self.object.unsigned("runtime_max_sec", 1..=86_400)?);
        set!(self, timeout_stop_sec, self.object.unsigned("timeout_stop_sec", 0..=3_600)?);
        set!(self, tmp_size, self.object.bytes("tmp_size")?);
        Ok(())
    }

    fn paths(
        &mut self,
        key: &'static str,
        list: impl Fn(&mut Profile) -> &mut Vec<DeclaredPath>,
    ) -> Result<(), FieldError> {
        self.forget(key, &list);
        for path in self.object.list(key, 1000, DeclaredPath::new)? {
            self.profile.provenance.add(key, path.to_string(), &self.origin);
            list(&mut self.profile).push(path);
        }
        Ok(())
    }

    fn forget<T>(&mut self, key: &'static str, list: impl Fn(&mut Profile) -> &mut Vec<T>) {
        if self.map.get(key).is_some_and(Value::is_null) {
            list(&mut self.profile).clear();
            self.profile.provenance.replace(key, &self.origin);
        }
    }
}

// An empty list says "none", an absent key says nothing.
fn present<T>(
    object: &Object<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<Vec<T>>, FieldError> {
    if object.get(key).is_none() { Ok(None) } else { object.list(key, 100, parse).map(Some) }
}

fn run_as(object: &Object<'_>, base: &RunAs) -> Result<Option<RunAs>, FieldError> {
    let user = match object.name_or_number("user")? {
        Some(text) => Some(RunAs::parse(&text).map_err(|problem| object.error("user", format!("{text:?} {problem}")))?),
        None => None,
    };
    match (user, object.boolean("dynamic_user")?) {
        (Some(_), Some(true)) => {
            Err(object.error("dynamic_user", "is a user of its own, and user names another; remove one of the two"))
        }
        (Some(user), _) => Ok(Some(user)),
        (None, Some(true)) => Ok(Some(RunAs::Dynamic)),
        (None, Some(false)) if *base == RunAs::Dynamic => Ok(Some(RunAs::Root)),
        (None, _) => Ok(None),
    }
}

fn protect_proc(object: &Object<'_>) -> Result<Option<ProtectProc>, FieldError> {
    let Some(text) = object.string("protect_proc")? else { return Ok(None) };
    match ProtectProc::parse(text) {
        Some(protect) => Ok(Some(protect)),
        None => Err(object.error(
            "protect_proc",
            format!("{text:?} is none of \"default\", \"noaccess\", \"invisible\" and \"ptraceable\""),
        )),
    }
}

fn umask(object: &Object<'_>) -> Result<Option<u32>, FieldError> {
    let Some(text) = object.string("umask")? else { return Ok(None) };
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(Some(mask)),
        _ => Err(object.error("umask", format!("{text:?} is no mask; write octal digits such as \"0022\""))),
    }
}

fn reasons(object: &Object<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let reasons = object.object("reasons")?;
    let mut found = BTreeMap::new();
    for key in reasons.keys() {
        if !KEYS.contains(&key) {
            return Err(reasons.error(key, "is the reason of no setting"));
        }
        found.insert(key.to_owned(), reasons.string(key)?.unwrap_or_default().to_owned());
    }
    Ok(found)
}
