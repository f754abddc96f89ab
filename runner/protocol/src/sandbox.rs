//! The plan of a sandbox: what the runner will do, computed beforehand as a plain value that can be printed and tested.
//!
//! The supervisor resolves profile, manifest and machine into this list; the runner executes it in order and adds
//! nothing of its own, so that what was planned is what is enforced.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything that the runner applies before the module's first instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxPlan {
    /// The module's file tree, built in this order in an empty root.
    pub mounts: Vec<Mount>,
    /// A network namespace of its own, with loopback alone.
    pub private_network: bool,
    /// Host name inside, at most 64 characters.
    pub hostname: String,
    /// Capabilities that stay in the bounding set, as `CAP_CHOWN`; every other is dropped.
    pub capability_bounding_set: Vec<String>,
    /// Resource limits, soft and hard alike.
    pub limits: Vec<Limit>,
    /// `cgroup.procs` files of the cgroups that every process of the sandbox is in from its start; created and removed by
    /// the supervisor. The runner itself stays outside, to report it when a cgroup is killed as a whole.
    pub cgroup_procs: Vec<PathBuf>,
    /// File mode creation mask, for example `0o022`.
    pub umask: u32,
    /// Working directory inside.
    pub working_directory: PathBuf,
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
    Proc,
    /// `/dev` with null, zero, full, random, urandom, tty, ptmx, pts and shm.
    Dev,
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
    /// Largest file in bytes.
    Fsize,
    /// Open descriptors a process.
    Nofile,
    /// Tasks of the user.
    Nproc,
}
