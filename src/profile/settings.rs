//! A profile with every setting decided, and how a module's manifest adjusts it.

use std::collections::BTreeMap;
use std::path::Path;

use updates_protocol::{DeclaredPath, FieldError, Manifest, ProfileName};

use super::{Capability, ProfileError};

/// The settings of one sandbox; named like systemd's directives, see systemd.exec(5) and systemd.resource-control(5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// The profile's name.
    pub name: ProfileName,
    /// What it is for, in a sentence.
    pub description: String,
    /// Writable, and backed up before a run. Once resolved for a module: all of its declared paths.
    pub read_write_paths: Vec<DeclaredPath>,
    /// Seen but not written, also inside writable paths and where nothing else would be seen, as in `/run`.
    pub read_only_paths: Vec<DeclaredPath>,
    /// Hidden.
    pub inaccessible_paths: Vec<DeclaredPath>,
    /// Writable without a way back; reports name them.
    pub volatile_paths: Vec<DeclaredPath>,
    /// Whether `/root` and `/home` are hidden.
    pub protect_home: bool,
    /// Whether there is no network but a loopback of its own.
    pub private_network: bool,
    /// Every other capability is gone for good.
    pub capability_bounding_set: Vec<Capability>,
    /// Open descriptors a process.
    pub limit_nofile: u64,
    /// Largest file, in bytes.
    pub limit_fsize: Option<u64>,
    /// Largest core dump, in bytes.
    pub limit_core: u64,
    /// Address space of a process, in bytes.
    pub limit_as: Option<u64>,
    /// Processes and threads.
    pub tasks_max: u64,
    /// Memory, in bytes.
    pub memory_max: u64,
    /// Deadline of one attempt, in seconds.
    pub runtime_max_sec: u64,
    /// Time between SIGTERM and SIGKILL, in seconds.
    pub timeout_stop_sec: u64,
    /// Further environment variables.
    pub environment: BTreeMap<String, String>,
    /// File mode creation mask.
    pub umask: u32,
    /// Size of each of the private `/tmp` and `/var/tmp`, in bytes.
    pub tmp_size: u64,
    /// Whether modules under it run while no other module runs.
    pub exclusive: bool,
    /// What may go unenforced where the machine can't enforce it; everything else stops the module then.
    pub best_effort: Vec<BestEffort>,
    /// Why settings are looser than `strict`, by key.
    pub reasons: BTreeMap<String, String>,
}

/// A setting that a machine may lack the means to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BestEffort {
    /// `tasks_max`.
    TasksMax,
    /// `memory_max`.
    MemoryMax,
}

impl BestEffort {
    /// The key of the setting.
    pub fn as_str(self) -> &'static str {
        match self {
            BestEffort::TasksMax => "tasks_max",
            BestEffort::MemoryMax => "memory_max",
        }
    }
}

// Their content is made by the kernel or by the sandbox itself, so a bind there would undo it.
const NOT_WRITABLE: [&str; 4] = ["/proc", "/sys", "/dev", "/run/updates"];

impl Profile {
    /// What holds where no profile says otherwise: everything closed, and bounds that suit a small job.
    pub(super) fn closed(name: ProfileName) -> Self {
        Self {
            name,
            description: String::new(),
            read_write_paths: Vec::new(),
            read_only_paths: Vec::new(),
            inaccessible_paths: Vec::new(),
            volatile_paths: Vec::new(),
            protect_home: true,
            private_network: true,
            capability_bounding_set: Vec::new(),
            limit_nofile: 1024,
            limit_fsize: Some(1 << 30),
            limit_core: 0,
            limit_as: None,
            tasks_max: 256,
            memory_max: 512 << 20,
            runtime_max_sec: 300,
            timeout_stop_sec: 10,
            environment: BTreeMap::new(),
            umask: 0o022,
            tmp_size: 512 << 20,
            exclusive: false,
            best_effort: Vec::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// Lets the manifest's declarations and its `sandbox` object adjust the profile.
    pub(super) fn adjusted(mut self, manifest: &Manifest) -> Result<Self, ProfileError> {
        let request = &manifest.sandbox;
        let refuse = |key: &str, problem: String| {
            let field = FieldError { field: format!("sandbox.{key}"), problem };
            Err(ProfileError::Request { module: manifest.name.clone(), field })
        };
        if request.cpu_quota.is_some() {
            return refuse("cpu_quota", "is not enforced by this version; remove it".to_owned());
        }
        // What a module declares for itself is open to it, though the profile hides the same path from the others.
        let declared: Vec<_> = manifest.declared_paths().chain(&request.volatile_paths).cloned().collect();
        self.inaccessible_paths.retain(|hidden| !declared.iter().any(|path| path.as_path() == hidden.as_path()));
        self.read_write_paths.extend(manifest.declared_paths().cloned());
        self.read_only_paths.extend(request.read_only_paths.iter().cloned());
        self.inaccessible_paths.extend(request.inaccessible_paths.iter().cloned());
        self.volatile_paths.extend(request.volatile_paths.iter().cloned());
        for path in self.writable_paths() {
            if let Some(problem) = not_writable(path.as_path()) {
                return refuse("read_write_paths", format!("{path} {problem}"));
            }
        }
        self.private_network = request.private_network.unwrap_or(self.private_network);
        self.runtime_max_sec = request.runtime_max_sec.unwrap_or(self.runtime_max_sec);
        self.timeout_stop_sec = request.timeout_stop_sec.unwrap_or(self.timeout_stop_sec);
        self.memory_max = request.memory_max.unwrap_or(self.memory_max);
        self.tasks_max = request.tasks_max.unwrap_or(self.tasks_max);
        self.limit_nofile = request.limit_nofile.unwrap_or(self.limit_nofile);
        self.limit_fsize = request.limit_fsize.or(self.limit_fsize);
        self.environment.extend(request.environment.clone());
        self.exclusive |= manifest.exclusive;
        Ok(self)
    }

    /// Every path that can be written: the backed-up ones, then the volatile ones.
    pub fn writable_paths(&self) -> impl Iterator<Item = &DeclaredPath> {
        self.read_write_paths.iter().chain(&self.volatile_paths)
    }

    /// Whether a module may leave files behind that let whoever runs them be somebody else: setuid and setgid bits and file
    /// capabilities, as a package manager has to.
    pub fn may_lend_privileges(&self) -> bool {
        self.capability_bounding_set.iter().any(|capability| capability.as_str() == "CAP_SETFCAP")
    }

    /// Whether a module runs although the setting called `key` can't be enforced here.
    pub fn may_lack(&self, key: &str) -> bool {
        self.best_effort.iter().any(|setting| setting.as_str() == key)
    }

    /// The keys in which this profile allows more than `other`.
    pub fn loosened_against(&self, other: &Profile) -> Vec<&'static str> {
        let more = |ours: &[DeclaredPath], theirs: &[DeclaredPath]| ours.iter().any(|path| !theirs.contains(path));
        let unlimited = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
        [
            ("read_write_paths", more(&self.read_write_paths, &other.read_write_paths)),
            ("read_only_paths", more(&self.read_only_paths, &other.read_only_paths)),
            ("inaccessible_paths", more(&other.inaccessible_paths, &self.inaccessible_paths)),
            ("volatile_paths", more(&self.volatile_paths, &other.volatile_paths)),
            ("protect_home", !self.protect_home && other.protect_home),
            ("private_network", !self.private_network && other.private_network),
            (
                "capability_bounding_set",
                self.capability_bounding_set.iter().any(|held| !other.capability_bounding_set.contains(held)),
            ),
            ("limit_nofile", self.limit_nofile > other.limit_nofile),
            ("limit_fsize", unlimited(self.limit_fsize) > unlimited(other.limit_fsize)),
            ("limit_core", self.limit_core > other.limit_core),
            ("limit_as", unlimited(self.limit_as) > unlimited(other.limit_as)),
            ("tasks_max", self.tasks_max > other.tasks_max),
            ("memory_max", self.memory_max > other.memory_max),
            ("runtime_max_sec", self.runtime_max_sec > other.runtime_max_sec),
            ("timeout_stop_sec", self.timeout_stop_sec > other.timeout_stop_sec),
            ("umask", self.umask & other.umask != other.umask),
            ("tmp_size", self.tmp_size > other.tmp_size),
            ("best_effort", self.best_effort.iter().any(|setting| !other.best_effort.contains(setting))),
        ]
        .into_iter()
        .filter_map(|(key, loosened)| loosened.then_some(key))
        .collect()
    }
}

fn not_writable(path: &Path) -> Option<&'static str> {
    if path == Path::new("/") {
        return Some("can't be made writable; name the folders that the module writes");
    }
    NOT_WRITABLE
        .iter()
        .any(|place| path.starts_with(place))
        .then_some("can't be made writable: the sandbox has its own; remove it")
}
