//! One profile file: JSON with known keys only, each optional, laid over the profile that it extends.
//!
//! What a file does not say stays as the extended profile has it. Lists of paths add to the extended ones; `null` for
//! such a list first forgets them. `environment` and `reasons` merge by key; everything else replaces.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};
use updates_protocol::{DeclaredPath, FieldError, Object, ProfileName, environment, nearest};

use super::{BestEffort, Capability, Profile, ProfileError};

const KEYS: [&str; 23] = [
    "description",
    "extends",
    "reasons",
    "read_write_paths",
    "read_only_paths",
    "inaccessible_paths",
    "volatile_paths",
    "protect_home",
    "private_network",
    "capability_bounding_set",
    "limit_nofile",
    "limit_fsize",
    "limit_core",
    "limit_as",
    "tasks_max",
    "memory_max",
    "runtime_max_sec",
    "timeout_stop_sec",
    "environment",
    "umask",
    "tmp_size",
    "exclusive",
    "best_effort",
];

/// A checked profile file.
#[derive(Debug, Clone)]
pub(super) struct ProfileFile {
    pub(super) extends: Option<ProfileName>,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    description: Option<String>,
    reasons: BTreeMap<String, String>,
    read_write_paths: Paths,
    read_only_paths: Paths,
    inaccessible_paths: Paths,
    volatile_paths: Paths,
    protect_home: Option<bool>,
    private_network: Option<bool>,
    capability_bounding_set: Option<Vec<Capability>>,
    limit_nofile: Option<u64>,
    limit_fsize: Option<u64>,
    limit_core: Option<u64>,
    limit_as: Option<u64>,
    tasks_max: Option<u64>,
    memory_max: Option<u64>,
    runtime_max_sec: Option<u64>,
    timeout_stop_sec: Option<u64>,
    environment: BTreeMap<String, String>,
    umask: Option<u32>,
    tmp_size: Option<u64>,
    exclusive: Option<bool>,
    best_effort: Option<Vec<BestEffort>>,
}

#[derive(Debug, Clone)]
struct Paths {
    forget: bool,
    add: Vec<DeclaredPath>,
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
        Self::read(&map).map_err(|field| ProfileError::Field { path: path.to_owned(), field })
    }

    fn read(map: &Map<String, Value>) -> Result<Self, FieldError> {
        let object = Object::root(map);
        let number = |key: &str, low: i64, high: i64| -> Result<Option<u64>, FieldError> {
            Ok(object.integer(key, low..=high)?.map(i64::unsigned_abs))
        };
        let paths = |key: &str| -> Result<Paths, FieldError> {
            Ok(Paths {
                forget: map.get(key).is_some_and(Value::is_null),
                add: object.list(key, 1000, DeclaredPath::new)?,
            })
        };
        let extends = match object.string("extends")? {
            Some(name) => {
                Some(name.parse().map_err(|e: updates_protocol::NameError| object.error("extends", e.to_string()))?)
            }
            None => None,
        };
        let settings = Settings {
            description: object.string("description")?.map(str::to_owned),
            reasons: reasons(&object)?,
            read_write_paths: paths("read_write_paths")?,
            read_only_paths: paths("read_only_paths")?,
            inaccessible_paths: paths("inaccessible_paths")?,
            volatile_paths: paths("volatile_paths")?,
            protect_home: object.boolean("protect_home")?,
            private_network: object.boolean("private_network")?,
            capability_bounding_set: present(&object, "capability_bounding_set", Capability::parse)?,
            limit_nofile: number("limit_nofile", 16, 1_000_000)?,
            limit_fsize: object.bytes("limit_fsize")?,
            limit_core: object.bytes("limit_core")?,
            limit_as: object.bytes("limit_as")?,
            tasks_max: number("tasks_max", 1, 1_000_000)?,
            memory_max: object.bytes("memory_max")?,
            runtime_max_sec: number("runtime_max_sec", 1, 86_400)?,
            timeout_stop_sec: number("timeout_stop_sec", 0, 3_600)?,
            environment: environment(&object)?,
            umask: umask(&object)?,
            tmp_size: object.bytes("tmp_size")?,
            exclusive: object.boolean("exclusive")?,
            best_effort: present(&object, "best_effort", best_effort)?,
        };
        Ok(Self { extends, settings })
    }

    /// Lays this file over `base`, the profile that it extends.
    pub(super) fn over(&self, base: Profile, name: ProfileName) -> Profile {
        let ours = self.settings.clone();
        Profile {
            name,
            description: ours.description.unwrap_or(base.description),
            read_write_paths: ours.read_write_paths.over(base.read_write_paths),
            read_only_paths: ours.read_only_paths.over(base.read_only_paths),
            inaccessible_paths: ours.inaccessible_paths.over(base.inaccessible_paths),
            volatile_paths: ours.volatile_paths.over(base.volatile_paths),
            protect_home: ours.protect_home.unwrap_or(base.protect_home),
            private_network: ours.private_network.unwrap_or(base.private_network),
            capability_bounding_set: ours.capability_bounding_set.unwrap_or(base.capability_bounding_set),
            limit_nofile: ours.limit_nofile.unwrap_or(base.limit_nofile),
            limit_fsize: ours.limit_fsize.or(base.limit_fsize),
            limit_core: ours.limit_core.unwrap_or(base.limit_core),
            limit_as: ours.limit_as.or(base.limit_as),
            tasks_max: ours.tasks_max.unwrap_or(base.tasks_max),
            memory_max: ours.memory_max.unwrap_or(base.memory_max),
            runtime_max_sec: ours.runtime_max_sec.unwrap_or(base.runtime_max_sec),
            timeout_stop_sec: ours.timeout_stop_sec.unwrap_or(base.timeout_stop_sec),
            environment: base.environment.into_iter().chain(ours.environment).collect(),
            umask: ours.umask.unwrap_or(base.umask),
            tmp_size: ours.tmp_size.unwrap_or(base.tmp_size),
            exclusive: ours.exclusive.unwrap_or(base.exclusive),
            best_effort: ours.best_effort.unwrap_or(base.best_effort),
            reasons: base.reasons.into_iter().chain(ours.reasons).collect(),
        }
    }
}

impl Paths {
    fn over(self, base: Vec<DeclaredPath>) -> Vec<DeclaredPath> {
        let mut paths = if self.forget { Vec::new() } else { base };
        paths.extend(self.add);
        paths
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

fn best_effort(text: &str) -> Result<BestEffort, String> {
    match text {
        "tasks_max" => Ok(BestEffort::TasksMax),
        "memory_max" => Ok(BestEffort::MemoryMax),
        _ => {
            Err("is always enforced, or the module does not run; only tasks_max and memory_max may be lacking"
                .to_owned())
        }
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
