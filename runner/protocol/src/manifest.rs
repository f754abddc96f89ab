//! The manifest: a module's `index.json`, as bytes from a repository or a disk, checked field by field.
//!
//! Unknown keys are warned about where a slip of the hand would silently change what the module may do (`metadata`,
//! `sandbox`); `configuration` belongs to the module and is only read where the supervisor needs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::object::{FieldError, Object, describe, nearest};
use crate::{Database, DeclaredPath, ModuleName, ProfileName, ProtectProc, SchemaVersion, UnitName};

/// The largest `index.json` that is read, in bytes.
pub const MAX_MANIFEST: usize = 1 << 20;

const MAX_PATHS: usize = 1000;

/// A module's checked `index.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// `metadata.schema_version`: decides whether the source's code replaces the installed code.
    pub schema_version: SchemaVersion,
    /// `metadata.name`, equal to the folder's name.
    pub name: ModuleName,
    /// `metadata.description`, for people; may be empty.
    pub description: String,
    /// `metadata.enabled`; true when absent.
    pub enabled: bool,
    /// `metadata.priority`: lower runs earlier; 100 when absent, -1,000,000 to 1,000,000.
    pub priority: i64,
    /// `metadata.group`: modules of one group are implementations of the same thing, of which one runs.
    pub group: Option<String>,
    /// `metadata.group_order`: lower is asked first; 100 when absent.
    pub group_order: i64,
    /// `metadata.exclusive`: runs while nothing else runs.
    pub exclusive: bool,
    /// `metadata.entry`: the file to run, relative to the module's folder, where it is not `index.py` or `index`.
    pub entry: Option<String>,
    /// `configuration.service_name`, when it is a unit name.
    pub service_name: Option<UnitName>,
    /// `configuration.backup_paths`: saved before a run, writable in it.
    pub backup_paths: Vec<DeclaredPath>,
    /// `configuration.services`: units whose state is saved before a run.
    pub services: Vec<UnitName>,
    /// `configuration.databases`: databases saved before a run.
    pub databases: Vec<Database>,
    /// `sandbox`: how the module's sandbox differs from its profile.
    pub sandbox: SandboxRequest,
    /// The whole document, as the module will read it.
    pub raw: Map<String, Value>,
}

/// The `sandbox` object of a manifest: each field set here adjusts the profile.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct SandboxRequest {
    /// The profile to start from; `default` when absent.
    pub profile: Option<ProfileName>,
    /// Further writable paths; they are backed up like `backup_paths`.
    pub read_write_paths: Vec<DeclaredPath>,
    /// Paths inside writable ones that stay read-only.
    pub read_only_paths: Vec<DeclaredPath>,
    /// Paths that are hidden.
    pub inaccessible_paths: Vec<DeclaredPath>,
    /// Writable paths without a way back; every report names them.
    pub volatile_paths: Vec<DeclaredPath>,
    /// Units that the module may ask the supervisor to control.
    pub services: Vec<UnitName>,
    /// A network of its own, without any interface but loopback.
    pub private_network: Option<bool>,
    /// Deadline of one attempt in seconds, 1 to 86,400.
    pub runtime_max_sec: Option<u64>,
    /// Time between SIGTERM and SIGKILL in seconds, 0 to 3,600.
    pub timeout_stop_sec: Option<u64>,
    /// Memory limit in bytes.
    pub memory_max: Option<u64>,
    /// Largest number of tasks (processes and threads).
    pub tasks_max: Option<u64>,
    /// Processor time in percent of one processor.
    pub cpu_quota: Option<u64>,
    /// Largest number of open descriptors a process.
    pub limit_nofile: Option<u64>,
    /// Largest file that can be written, in bytes.
    pub limit_fsize: Option<u64>,
    /// Size of each of the private `/tmp` and `/var/tmp`, in bytes.
    pub tmp_size: Option<u64>,
    /// Whether `/root` and `/home` are hidden.
    pub protect_home: Option<bool>,
    /// What is seen of other users' processes.
    pub protect_proc: Option<ProtectProc>,
    /// TCP ports that may be bound.
    pub bind_tcp_ports: Option<Vec<u16>>,
    /// TCP ports that may be connected to.
    pub connect_tcp_ports: Option<Vec<u16>>,
    /// A user of the machine to run as, by name or number.
    pub user: Option<String>,
    /// Whether to run as a user of its own.
    pub dynamic_user: Option<bool>,
    /// Capabilities that stay; the profile knows their names.
    pub capability_bounding_set: Option<Vec<String>>,
    /// System calls and groups beside the profile's; with a `~`, without them. The profile knows their names.
    pub system_call_filter: Vec<String>,
    /// Address families beside the profile's; with a `~`, without them. The profile knows their names.
    pub restrict_address_families: Vec<String>,
    /// Whether no file becomes setuid or setgid.
    pub restrict_suid_sgid: Option<bool>,
    /// Whether there is no real-time scheduling.
    pub restrict_realtime: Option<bool>,
    /// Whether no namespace is made or entered.
    pub restrict_namespaces: Option<bool>,
    /// Whether the execution domain stays.
    pub lock_personality: Option<bool>,
    /// Whether memory is never both writable and executable.
    pub memory_deny_write_execute: Option<bool>,
    /// Further environment variables.
    pub environment: BTreeMap<String, String>,
}

/// Why a manifest can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The file has no content.
    #[error("the file is empty; write at least {{\"metadata\": {{\"schema_version\": \"1.0.0\", \"name\": \"{0}\"}}}}")]
    Empty(ModuleName),
    /// The file is larger than [`MAX_MANIFEST`].
    #[error("the file has {0} bytes; the largest that is read is {MAX_MANIFEST}")]
    TooLarge(u64),
    /// The text is no JSON, or is nested deeper than 128 levels.
    #[error("not valid JSON: {0}")]
    Syntax(String),
    /// The document is a list, string or other value.
    #[error("expected an object at the top, found {0}")]
    NoObject(String),
    /// A field has the wrong shape.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// Something in a manifest that is probably a mistake, and does not stop the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ManifestWarning {
    /// Dotted path of the field.
    pub field: String,
    /// What is odd about it.
    pub problem: String,
}

const METADATA: [&str; 9] =
    ["schema_version", "name", "description", "enabled", "priority", "group", "group_order", "exclusive", "entry"];
// Keys that modules of the original carry for people and other tools; the supervisor has no use for them.
const METADATA_SILENT: [&str; 8] =
    ["author", "maintainer", "license", "homepage", "created", "updated", "last_updated", "tags"];
const SANDBOX: [&str; 30] = [
    "profile",
    "read_write_paths",
    "read_only_paths",
    "inaccessible_paths",
    "volatile_paths",
    "services",
    "private_network",
    "runtime_max_sec",
    "timeout_stop_sec",
    "memory_max",
    "tasks_max",
    "cpu_quota",
    "limit_nofile",
    "limit_fsize",
    "tmp_size",
    "protect_home",
    "protect_proc",
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
    "environment",
];

impl Manifest {
    /// Reads and checks the bytes of the `index.json` in the folder called `folder`.
    pub fn parse(bytes: &[u8], folder: &ModuleName) -> Result<(Self, Vec<ManifestWarning>), ManifestError> {
        if bytes.len() > MAX_MANIFEST {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(ManifestError::Empty(folder.clone()));
        }
        match serde_json::from_slice::<Value>(bytes) {
            Ok(Value::Object(map)) => Self::from_object(map, folder),
            Ok(other) => Err(ManifestError::NoObject(describe(&other))),
            Err(error) => Err(ManifestError::Syntax(error.to_string())),
        }
    }

    /// Checks an already parsed document, for example a shipped one with its local patch laid over it.
    pub fn from_object(
        raw: Map<String, Value>,
        folder: &ModuleName,
    ) -> Result<(Self, Vec<ManifestWarning>), ManifestError> {
        let root = Object::root(&raw);
        let metadata = root.object("metadata")?;
        let mut warnings = unknown_keys(&metadata, &METADATA, &METADATA_SILENT);
        let configuration = match root.object("configuration")? {
            present if present.exists() => present,
            _ => root.object("config")?,
        };
        let request = root.object("sandbox")?;
        warnings.extend(unknown_keys(&request, &SANDBOX, &[]));

        let manifest = Self {
            schema_version: version(&metadata)?,
            name: name(&metadata, folder)?,
            description: metadata.string("description")?.unwrap_or_default().chars().take(1000).collect(),
            enabled: metadata.boolean("enabled")?.unwrap_or(true),
            priority: metadata.integer("priority", -1_000_000..=1_000_000)?.unwrap_or(100),
            group: metadata.string("group")?.filter(|group| !group.is_empty()).map(str::to_owned),
            group_order: metadata.integer("group_order", -1_000_000..=1_000_000)?.unwrap_or(100),
            exclusive: metadata.boolean("exclusive")?.unwrap_or(false),
            entry: entry(&metadata)?,
            service_name: service_name(&configuration, &mut warnings),
            backup_paths: configuration.list("backup_paths", MAX_PATHS, DeclaredPath::new)?,
            services: configuration.list("services", MAX_PATHS, str::parse::<UnitName>)?,
            databases: databases(&configuration)?,
            sandbox: sandbox(&request)?,
            raw: Map::new(),
        };
        Ok((Self { raw, ..manifest }, warnings))
    }

    /// Every path that the module may write and that a backup therefore covers: `backup_paths`, then
    /// `sandbox.read_write_paths`.
    pub fn declared_paths(&self) -> impl Iterator<Item = &DeclaredPath> {
        self.backup_paths.iter().chain(&self.sandbox.read_write_paths)
    }
}

fn version(metadata: &Object<'_>) -> Result<SchemaVersion, FieldError> {
    match metadata.string("schema_version")? {
        Some(text) => text.parse().map_err(|e: crate::VersionError| metadata.error("schema_version", e.to_string())),
        None => Err(metadata.error("schema_version", "is missing; write a version such as \"1.0.0\"")),
    }
}

fn name(metadata: &Object<'_>, folder: &ModuleName) -> Result<ModuleName, FieldError> {
    let Some(text) = metadata.string("name")? else { return Ok(folder.clone()) };
    let name: ModuleName = text.parse().map_err(|e: crate::NameError| metadata.error("name", e.to_string()))?;
    if name == *folder {
        return Ok(name);
    }
    Err(metadata.error(
        "name",
        format!("is {name:?}, but the folder is {folder:?}; make them equal", name = text, folder = folder.as_str()),
    ))
}

fn entry(metadata: &Object<'_>) -> Result<Option<String>, FieldError> {
    let Some(text) = metadata.string("entry")? else { return Ok(None) };
    let inside = !text.is_empty()
        && !text.starts_with('/')
        && !text.contains('\0')
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if inside {
        Ok(Some(text.to_owned()))
    } else {
        Err(metadata.error("entry", format!("{text:?} must be a path inside the module's folder, without '..'")))
    }
}

// The original let a module write anything here, so a text that is no unit name is only warned about.
fn service_name(configuration: &Object<'_>, warnings: &mut Vec<ManifestWarning>) -> Option<UnitName> {
    let value = configuration.get("service_name")?;
    let unit = value.as_str().and_then(|text| text.parse().ok());
    if unit.is_none() && value.as_str() != Some("") {
        warnings.push(ManifestWarning {
            field: configuration.field("service_name"),
            problem: format!("{} is no systemd unit name and is not used", describe(value)),
        });
    }
    unit
}

fn databases(configuration: &Object<'_>) -> Result<Vec<Database>, FieldError> {
    let Some(value) = configuration.get("databases") else { return Ok(Vec::new()) };
    let Value::Array(items) = value else {
        return Err(configuration.error("databases", format!("expected a list of objects, found {}", describe(value))));
    };
    let mut databases = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let database = Database::parse(item).map_err(|problem| FieldError {
            field: format!("{}[{index}]", configuration.field("databases")),
            problem,
        })?;
        databases.push(database);
    }
    Ok(databases)
}

fn sandbox(request: &Object<'_>) -> Result<SandboxRequest, FieldError> {
    let unsigned = |key: &str, low: i64, high: i64| -> Result<Option<u64>, FieldError> {
        Ok(request.integer(key, low..=high)?.map(i64::unsigned_abs))
    };
    Ok(SandboxRequest {
        profile: match request.string("profile")? {
            Some(text) => Some(text.parse().map_err(|e: crate::NameError| request.error("profile", e.to_string()))?),
            None => None,
        },
        read_write_paths: request.list("read_write_paths", MAX_PATHS, DeclaredPath::new)?,
        read_only_paths: request.list("read_only_paths", MAX_PATHS, DeclaredPath::new)?,
        inaccessible_paths: request.list("inaccessible_paths", MAX_PATHS, DeclaredPath::new)?,
        volatile_paths: request.list("volatile_paths", MAX_PATHS, DeclaredPath::new)?,
        services: request.list("services", MAX_PATHS, UnitName::controllable)?,
        private_network: request.boolean("private_network")?,
        runtime_max_sec: unsigned("runtime_max_sec", 1, 86_400)?,
        timeout_stop_sec: unsigned("timeout_stop_sec", 0, 3_600)?,
        memory_max: request.bytes("memory_max")?,
        tasks_max: unsigned("tasks_max", 1, 1_000_000)?,
        cpu_quota: request.percent("cpu_quota")?,
        limit_nofile: unsigned("limit_nofile", 16, 1_000_000)?,
        limit_fsize: request.bytes("limit_fsize")?,
        tmp_size: request.bytes("tmp_size")?,
        protect_home: request.boolean("protect_home")?,
        protect_proc: match request.string("protect_proc")? {
            Some(text) => Some(ProtectProc::parse(text).ok_or_else(|| {
                request.error("protect_proc", "must be \"default\", \"noaccess\", \"invisible\" or \"ptraceable\"")
            })?),
            None => None,
        },
        bind_tcp_ports: request.ports("bind_tcp_ports")?,
        connect_tcp_ports: request.ports("connect_tcp_ports")?,
        user: request.name_or_number("user")?,
        dynamic_user: request.boolean("dynamic_user")?,
        capability_bounding_set: match request.get("capability_bounding_set") {
            Some(_) => Some(request.list("capability_bounding_set", 100, word)?),
            None => None,
        },
        system_call_filter: request.list("system_call_filter", MAX_PATHS, word)?,
        restrict_address_families: request.list("restrict_address_families", 100, word)?,
        restrict_suid_sgid: request.boolean("restrict_suid_sgid")?,
        restrict_realtime: request.boolean("restrict_realtime")?,
        restrict_namespaces: request.boolean("restrict_namespaces")?,
        lock_personality: request.boolean("lock_personality")?,
        memory_deny_write_execute: request.boolean("memory_deny_write_execute")?,
        environment: environment(request)?,
    })
}

fn word(text: &str) -> Result<String, std::convert::Infallible> {
    Ok(text.to_owned())
}

/// The `environment` of an object that describes a sandbox, a manifest's or a profile's: names of letters, digits and `_`,
/// without those that make the linker or the interpreter run foreign code, and without the supervisor's own.
pub fn environment(request: &Object<'_>) -> Result<BTreeMap<String, String>, FieldError> {
    let variables = request.object("environment")?;
    let mut environment = BTreeMap::new();
    for key in variables.keys() {
        let valid = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        // The dynamic linker's and the interpreter's own variables would run foreign code before the module's.
        if !valid || key.starts_with("LD_") || key.starts_with("PYTHON") || key.starts_with("UPDATES_") {
            return Err(variables.error(key, "is not a variable that a module may set"));
        }
        let text = variables.string(key)?.unwrap_or_default();
        if text.contains('\0') {
            return Err(variables.error(key, "must not contain a NUL byte"));
        }
        environment.insert(key.to_owned(), text.to_owned());
    }
    Ok(environment)
}

fn unknown_keys(object: &Object<'_>, known: &[&str], silent: &[&str]) -> Vec<ManifestWarning> {
    object
        .keys()
        .filter(|key| !known.contains(key) && !silent.contains(key))
        .map(|key| ManifestWarning {
            field: object.field(key),
            problem: match nearest(key, known) {
                Some(nearest) => format!("is not known; did you mean {nearest:?}?"),
                None => "is not known and is not used".to_owned(),
            },
        })
        .collect()
}
