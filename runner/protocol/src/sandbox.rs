//! The plan of a sandbox: what the runner will do, computed beforehand as a plain value that can be printed and tested.
//!
//! The supervisor resolves profile, manifest and machine into this list; the runner executes it in order and adds
//! nothing of its own, so that what was planned is what is enforced.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that the runner applies before the module's first instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// Whom the module runs as; user and group 0 when absent.
    pub identity: Option<Identity>,
    /// The module's file tree, built in this order in an empty root.
    pub mounts: Vec<Mount>,
    /// A network namespace of its own, with loopback alone.
    pub private_network: bool,
    /// With `private_network`: an empty network namespace, loopback up, that nobody else uses meanwhile, as a file that
    /// setns(2) takes. Entering one costs less than making one. When absent, the runner makes one.
    pub network_namespace: Option<PathBuf>,
    /// Host name inside, at most 64 characters.
    pub hostname: String,
    /// Capabilities that stay in the bounding set, as `CAP_CHOWN`; every other is dropped.
    pub capability_bounding_set: Vec<String>,
    /// File and network rules of the second wall; none when absent.
    pub landlock: Option<LandlockRules>,
    /// Which system calls are possible; all when absent.
    pub system_call_filter: Option<SystemCallFilter>,
    /// Resource limits, soft and hard alike.
    pub limits: Vec<Limit>,
    /// `cgroup.procs` files of the cgroups that every process of the sandbox is in from its start; created and removed by
    /// the supervisor. The runner itself stays outside, to report it when a cgroup is killed as a whole.
    pub cgroup_procs: Vec<PathBuf>,
    /// File mode creation mask, for example `0o022`.
    pub umask: u32,
    /// Working directory inside.
    pub working_directory: PathBuf,
    /// What may go unenforced where the kernel can't enforce it, by the profile's keys, for example `landlock`. Anything
    /// else that can't be enforced stops the module.
    pub best_effort: BTreeSet<String>,
    /// Whether every file and network access is reported, refused or not: for a person who asked. Costs the module much
    /// of its speed, and leaves init the capability to trace.
    pub trace: bool,
}

/// A user that is not root; see credentials(7). Without privilege outside, the caller's own ids stand behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// User id, not 0.
    pub uid: u32,
    /// Group id, not 0.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// Landlock rules, see landlock(7). All kinds of file access that the kernel knows are handled, so what no rule allows
/// is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockRules {
    /// Each with everything below it. Paths that don't exist inside are passed over.
    pub paths: Vec<LandlockPath>,
    /// TCP ports that may be bound; all when absent.
    pub bind_tcp: Option<Vec<u16>>,
    /// TCP ports that may be connected to; all when absent.
    pub connect_tcp: Option<Vec<u16>>,
    /// Whether abstract UNIX sockets of processes outside are out of reach.
    pub scope_abstract_unix_socket: bool,
    /// Whether signals to processes outside are refused.
    pub scope_signal: bool,
}

/// One Landlock rule for files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPath {
    /// Absolute path inside.
    pub path: PathBuf,
    /// What is allowed there.
    pub access: LandlockAccess,
}

/// What a Landlock rule allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandlockAccess {
    /// Reading and executing files, listing directories.
    Read,
    /// `Read`, and writing to what is there, device files among it, without making or removing anything.
    WriteInPlace,
    /// Everything but making device nodes.
    Write,
    /// Everything.
    Full,
}

/// A classic BPF program for seccomp(2), complete with the check of the architecture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemCallFilter {
    /// `struct sock_filter` as the kernel takes it, 8 bytes an instruction in the machine's byte order, as hexadecimal
    /// digits; at most 4096 instructions.
    pub program: String,
    /// What it does, in a sentence for the report.
    pub summary: String,
    /// The profile's settings that it holds beside the list of calls, each with how; they stand and fall with it.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// One step of building the file tree. Targets are absolute paths inside; they are opened without following a
/// symbolic link out of the new root, and created where the tree there is the sandbox's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mount", rename_all = "snake_case")]
pub enum Mount {
    /// The machine's `source` at `target`, with everything mounted below it.
    Bind {
        /// Path on the machine.
        source: PathBuf,
        /// Path inside.
        target: PathBuf,
        /// Whether it can be written.
        access: Access,
    },
    /// Several directories seen as one, the first over the others.
    Overlay {
        /// Directories on the machine, topmost first; at least two.
        layers: Vec<PathBuf>,
        /// Where writes are possible, and land in the first: an empty directory of the kernel's own, on the same file
        /// system as the first, neither in the other. Without it all is read-only.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        work: Option<PathBuf>,
        /// Path inside.
        target: PathBuf,
    },
    /// A symbolic link, as `/bin` is on a merged-usr machine.
    Symlink {
        /// What the link says.
        content: PathBuf,
        /// Path inside.
        target: PathBuf,
    },
    /// An empty file system in memory.
    Tmpfs {
        /// Path inside.
        target: PathBuf,
        /// Size in bytes.
        size: u64,
        /// Mode of its root, for example `0o1777`.
        mode: u32,
    },
    /// An empty directory in the sandbox's own tree.
    Directory {
        /// Path inside.
        target: PathBuf,
    },
    /// A file with these bytes, read-only, over what may be there.
    File {
        /// Path inside.
        target: PathBuf,
        /// Content.
        content: String,
    },
    /// Hides what is there behind an empty, unreadable file or directory. Nothing there: nothing to do.
    Inaccessible {
        /// Path inside.
        target: PathBuf,
    },
    /// `/proc` of the sandbox's own pid namespace.
    Proc {
        /// What is seen of other users' processes.
        protect: ProtectProc,
    },
    /// `/dev` with null, zero, full, random, urandom, tty, ptmx, pts and shm.
    Dev,
}

/// What is seen of other users' processes; systemd's `ProtectProc=`, `hidepid=` of proc(5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtectProc {
    /// Everything.
    Default,
    /// That they exist, and no more.
    Noaccess,
    /// Nothing.
    Invisible,
    /// Nothing of any process that could not be traced.
    Ptraceable,
}

impl ProtectProc {
    /// The word in profiles, as systemd has it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProtectProc::Default => "default",
            ProtectProc::Noaccess => "noaccess",
            ProtectProc::Invisible => "invisible",
            ProtectProc::Ptraceable => "ptraceable",
        }
    }

    /// The value that a word means.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Default, Self::Noaccess, Self::Invisible, Self::Ptraceable]
            .into_iter()
            .find(|each| each.as_str() == text)
    }
}

/// Whether a mount can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Reads alone.
    ReadOnly,
    /// Reads and writes.
    ReadWrite,
}

/// One resource limit; see setrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Which resource.
    pub resource: Resource,
    /// Soft and hard limit, in the resource's unit.
    pub value: u64,
}

/// The resources that are limited, by setrlimit(2)'s names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Address space in bytes.
    As,
    /// Core dump size in bytes.
    Core,
    /// Processor time in seconds.
    Cpu,
    /// Private writable memory of a process in bytes.
    Data,
    /// Largest file in bytes.
    Fsize,
    /// Open descriptors a process.
    Nofile,
    /// Tasks of the user.
    Nproc,
    /// Stack in bytes.
    Stack,
    /// Locked memory in bytes.
    Memlock,
    /// Bytes in message queues of the user.
    Msgqueue,
    /// Ceiling of the nice value, as 20 minus it.
    Nice,
    /// Ceiling of the real-time priority.
    Rtprio,
}
