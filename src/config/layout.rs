//! Where things are: every path that the supervisor uses, below one root.

use std::path::{Path, PathBuf};

use updates_protocol::{DeclaredPath, ModuleName, Phase};

/// The machine that modules see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    /// This one.
    Host,
    /// A directory's tree laid over this machine's; what modules write lands in the directory.
    Root(PathBuf),
}

impl Machine {
    /// Where its `/` lies on this one.
    pub fn root(&self) -> &Path {
        match self {
            Machine::Host => Path::new("/"),
            Machine::Root(root) => root,
        }
    }

    /// Where `path` of the machine that modules see lies on this one.
    pub fn locate(&self, path: &DeclaredPath) -> PathBuf {
        match self {
            Machine::Host => path.as_path().to_owned(),
            Machine::Root(root) => root.join(path.relative()),
        }
    }
}

/// Every place of the supervisor, as absolute paths on this machine. Built once from `--root`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Places below `root`, an absolute path; `/` is the machine itself.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The machine that modules see.
    pub fn machine(&self) -> Machine {
        if self.root == Path::new("/") { Machine::Host } else { Machine::Root(self.root.clone()) }
    }

    fn below(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Installed modules, one folder each.
    pub fn modules(&self) -> PathBuf {
        self.below("usr/local/lib/updates/modules")
    }

    /// The folder of one installed module.
    pub fn module(&self, name: &ModuleName) -> PathBuf {
        self.modules().join(name.as_str())
    }

    /// The folder of one installed module, as a path of the machine that modules see.
    pub fn module_inside(name: &ModuleName) -> PathBuf {
        Path::new("/usr/local/lib/updates/modules").join(name.as_str())
    }

    /// The global index, for people and for modules of the original.
    pub fn global_index(&self) -> PathBuf {
        self.below("usr/local/lib/updates/index.json")
    }

    /// Versions of this program that came by self-update, one folder each.
    pub fn versions(&self) -> PathBuf {
        self.below("usr/local/lib/updates/versions")
    }

    /// The link to the one of [`Layout::versions`] that is in use; without it the installed program is.
    pub fn current_version(&self) -> PathBuf {
        self.below("usr/local/lib/updates/current")
    }

    /// What is remembered of self-updates: trials, versions that are held, pins.
    pub fn self_update(&self) -> PathBuf {
        self.state().join("self-update")
    }

    /// The administrator's settings.
    pub fn settings(&self) -> PathBuf {
        self.below("etc/updates")
    }

    /// The main settings file.
    pub fn config_file(&self) -> PathBuf {
        self.below("etc/updates/config.toml")
    }

    /// Settings that are read after the main file, by name.
    pub fn config_directory(&self) -> PathBuf {
        self.below("etc/updates/config.d")
    }

    /// Local settings of one module, an RFC 7396 merge patch on its `index.json`.
    pub fn local_patch(&self, name: &ModuleName) -> PathBuf {
        self.below("etc/updates/modules.d").join(format!("{name}.json"))
    }

    /// Local sandbox profiles.
    pub fn local_profiles(&self) -> PathBuf {
        self.below("etc/updates/sandbox-profiles")
    }

    /// What the supervisor keeps between runs.
    pub fn state(&self) -> PathBuf {
        self.below("var/lib/updates")
    }

    /// The bare mirror of the source.
    pub fn mirror(&self) -> PathBuf {
        self.state().join("mirror.git")
    }

    /// The database of runs.
    pub fn database(&self) -> PathBuf {
        self.state().join("updates.db")
    }

    /// The checkpoint of each module's last successful run, kept until it has succeeded once more.
    pub fn checkpoints(&self) -> PathBuf {
        self.state().join("checkpoints")
    }

    /// Checkpoints of the present run, taken before a phase of a module.
    pub fn in_flight(&self, phase: Phase) -> PathBuf {
        self.state().join("in-flight").join(phase.as_str())
    }

    /// What was shipped with the installed version of each module, for the three-way merge, and what a swap left.
    pub fn catalog(&self) -> PathBuf {
        self.state().join("catalog")
    }

    /// Where the kernel works on overlays while modules run below a root; empty otherwise.
    pub fn overlays(&self) -> PathBuf {
        self.below("run/updates/overlays")
    }

    /// A module's own state directory, as a path of the machine that modules see.
    pub fn module_state(&self, name: &ModuleName) -> PathBuf {
        PathBuf::from("/var/lib/updates/state").join(name.as_str())
    }

    /// Slots that modules ask for.
    pub fn backups(&self) -> PathBuf {
        self.below("var/backups/updates")
    }

    /// The lock that one run holds.
    pub fn lock(&self) -> PathBuf {
        self.below("run/updates/lock")
    }
}
