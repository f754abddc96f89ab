//! The run that is learnt from: traced, on an overlay of the machine, without lock, checkpoint or history. Everything that
//! it leaves lies in one temporary folder, which goes with it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use updates_protocol::{DeclaredPath, Mount, Phase, TracedCall};

use super::mounted::Mounted;
use super::observe::{Ground, Left, observe};
use super::overlay::{Layer, overlay};
use super::placeholder::Placeholders;
use super::requests::Answers;
use super::stanza::{Learned, stanza};
use crate::catalog::Catalog;
use crate::config::Layout;
use crate::fs::{IoContext, PathError, Root, remove_all};
use crate::process::{self, Deadline, RunnerCommand, converse};
use crate::profile::{Capability, Profile};
use crate::record::Outcome;
use crate::supervisor::attempt::{self, Scene};
use crate::supervisor::denials::Rules;
use crate::supervisor::journal::Journal;
use crate::supervisor::note::Notes;
use crate::supervisor::requests::Grants;
use crate::supervisor::run::new_run_id;
use crate::supervisor::surroundings::Surroundings;
use crate::supervisor::target::{Target, host};
use crate::supervisor::verdict::judge;
use crate::supervisor::view::View;
use crate::supervisor::{Event, Observer, OneModule, RunContext, RunError, Supervisor, modules, sandbox};

/// What `updates sandbox learn` was asked for.
#[derive(Debug, Clone)]
pub struct LearnOptions {
    /// Which module.
    pub module: OneModule,
    /// What reaches `main(args)`.
    pub arguments: Vec<String>,
    /// Whether it has no network but a loopback of its own.
    pub private_network: bool,
}

/// Why there was nothing to learn.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// The module can't be found or read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// No place for the changes.
    #[error(
        "nowhere to keep what the module changes: {tried}; set TMPDIR to a folder below /tmp, /run or /dev/shm on ext4, xfs, btrfs or tmpfs"
    )]
    NoScratch {
        /// Each place, with why it is none.
        tried: String,
    },
    /// The sandbox could not be set up.
    #[error("{module} could not be started on an overlay: {step}: {reason}")]
    NotStarted {
        /// Which module.
        module: String,
        /// The step that failed.
        step: String,
        /// Why.
        reason: String,
    },
}

impl From<PathError> for LearnError {
    fn from(error: PathError) -> Self {
        LearnError::Run(error.into())
    }
}

// What some shipped profile leaves and what reaches no further than the overlay. Not CAP_NET_ADMIN, which would change the
// machine's network, nor CAP_DAC_READ_SEARCH, which opens files around every mount.
const CAPABILITIES: [&str; 10] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

impl Supervisor {
    /// Runs a module once on an overlay and tells what it needs. Nothing on the machine is changed.
    pub fn learn(&self, options: &LearnOptions, observer: &mut dyn Observer) -> Result<Learned, LearnError> {
        let catalog = Catalog::open(&self.layout);
        let mut context = RunContext::new(self, new_run_id(), &catalog, None, options.arguments.clone())?;
        let mut target = match &options.module {
            OneModule::Installed(name) => modules::one_installed(&context, name)?,
            OneModule::Folder(folder) => modules::one_folder(&context, folder)?,
        };
        // Only now: finding the module must write nothing, but the module itself may change whatever it sees.
        context.check = false;
        let choices = modules::profiles(self).shipped();
        target.profile = open(target.profile, &choices, options.private_network);
        Learning { context: &context, target: &target, choices: &choices }.run(observer)
    }
}

// Nothing is declared and nothing is hidden but secrets; what the module may do otherwise stays as its profile has it.
fn open(profile: Profile, choices: &[Profile], private_network: bool) -> Profile {
    // Names are resolved through files in /run.
    let online = choices.iter().filter(|choice| !private_network && choice.name.as_ref() == "network");
    let mut families: Vec<_> = choices.iter().flat_map(|choice| choice.restrict_address_families.clone()).collect();
    families.sort();
    families.dedup();
    Profile {
        restrict_address_families: families,
        read_only_paths: online.flat_map(|choice| choice.read_only_paths.clone()).collect(),
        read_write_paths: Vec::new(),
        volatile_paths: Vec::new(),
        protect_home: false,
        private_network,
        capability_bounding_set: CAPABILITIES.iter().filter_map(|name| Capability::parse(name).ok()).collect(),
        ..profile
    }
}

struct Learning<'a> {
    context: &'a RunContext<'a>,
    target: &'a Target,
    choices: &'a [Profile],
}

impl Learning<'_> {
    fn run(&self, observer: &mut dyn Observer) -> Result<Learned, LearnError> {
        let (supervisor, target) = (self.context.supervisor, self.target);
        let name = &target.manifest.name;
        let entry = target.entry(Phase::Main, &supervisor.config.python).map_err(RunError::Folder)?;
        // Nobody listens: what the module asks for is done nowhere, and so there is nothing to write down.
        let (notes, _) = Notes::channel();
        let surroundings = Surroundings::new(supervisor, &[]);
        let journal = Journal::new(name, &supervisor.layout, &notes, &surroundings, None);
        let scene = Scene { target, phase: Phase::Main, number: 1, entry: &entry, writable: &[], journal: &journal };
        let scope = self.context.cgroups.scope(name, sandbox::cgroup_limits(&target.profile));
        let mut invocation = attempt::invocation(self.context, &scene, scope.procs()).map_err(|error| {
            let (step, reason) = ("plan".to_owned(), error.to_string());
            LearnError::NotStarted { module: name.to_string(), step, reason }
        })?;
        let mounted = Mounted::read()?;
        let scratch = Scratch(scratch(&mounted, &invocation.sandbox.mounts)?);
        let overlaid = overlay(std::mem::take(&mut invocation.sandbox.mounts), scratch.path(), &mounted);
        overlaid.layers.iter().try_for_each(make)?;
        let view = View::new(supervisor.layout.machine());
        let placeholders = Placeholders::make(target.manifest.declared_paths(), &overlaid.layers, &view)?;
        invocation.sandbox.mounts = overlaid.mounts;
        invocation.sandbox.identity = None;
        invocation.sandbox.landlock = None;
        invocation.sandbox.trace = true;
        let plan = invocation.sandbox.clone();
        let own = vec![target.inside.clone(), invocation.module.state_directory.clone()];

        let root = scratch.path().join("root");
        fs::create_dir(&root).at("create", &root)?;
        let elsewhere = Supervisor {
            layout: Layout::new(&root),
            config: supervisor.config.clone(),
            installation: supervisor.installation.clone(),
            cancel: supervisor.cancel.clone(),
        };
        let everything = DeclaredPath::new("/").into_iter();
        let answers = Answers::new(Grants::new(&elsewhere, target, everything, &journal, Phase::Main, false)?);
        let deadline = Deadline {
            runtime_max: Duration::from_secs(target.profile.runtime_max_sec),
            timeout_stop: Duration::from_secs(target.profile.timeout_stop_sec),
        };
        let mut calls: Vec<TracedCall> = Vec::new();
        let mut events = |event| match event {
            process::Event::Access(call) => calls.push(call),
            process::Event::Log(entry) => observer.observe(&Event::Log(attempt::log_line(entry, &scene))),
            _ => {}
        };
        let mut requests = |operation: &str, arguments, left| answers.answer(operation, arguments, left);
        let command = RunnerCommand { program: supervisor.installation.runner.clone() };
        let talk = converse(&command, invocation, deadline, &supervisor.cancel, &mut events, &mut requests);
        if let Outcome::NotStarted { step, reason } = talk.outcome {
            return Err(LearnError::NotStarted { module: name.to_string(), step, reason });
        }

        placeholders.remove();
        let mut left = BTreeMap::new();
        overlaid.layers.iter().try_for_each(|layer| leavings(layer, &layer.upper, &mut left))?;
        let ground = Ground {
            rules: Rules { profile: &target.profile, plan: &plan, choices: self.choices },
            look: &|path| view.look(path),
            is_private: &|path| view.metadata(path).is_some_and(|found| found.mode() & 0o004 == 0),
            own,
        };
        let mut needs = observe(&ground, &calls, &left, answers.into_asked());
        needs.notes.extend(overlaid.notes);
        let interrupted = matches!(talk.outcome, Outcome::Cancelled);
        let (stanza, refused, notes) = stanza(needs, self.choices);
        let problem = judge(&talk.outcome, host(&entry), 1).message;
        Ok(Learned {
            module: name.to_string(),
            complete: problem.is_none(),
            interrupted,
            problem,
            stanza,
            refused,
            notes,
        })
    }
}

/// What the run leaves, removed with it.
struct Scratch(tempfile::TempDir);

impl Scratch {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A module may have made a tree that is too deep to be removed by recursion. What this leaves, the folder's own
        // destructor tries, and what that leaves lies in a folder for temporary things.
        if let Ok(root) = Root::open(self.0.path()) {
            for name in fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
                // The kernel's own folder has no mode, which stops whoever is not root.
                fs::set_permissions(name.path().join("work/work"), fs::Permissions::from_mode(0o700)).ok();
                remove_all(&root, &Path::new("/").join(name.file_name())).ok();
            }
        }
    }
}

/// A temporary folder where an overlay can keep changes: on a file system that takes them, and in no directory that one is
/// laid over.
fn scratch(mounted: &Mounted, mounts: &[Mount]) -> Result<tempfile::TempDir, LearnError> {
    let lower = |place: &Path| {
        mounts.iter().any(|mount| match mount {
            Mount::Bind { source, .. } => place.starts_with(source),
            Mount::Overlay { layers, .. } => layers.iter().any(|layer| place.starts_with(layer)),
            _ => false,
        })
    };
    let mut tried = Vec::new();
    for place in [std::env::temp_dir(), "/tmp".into(), "/run".into(), "/dev/shm".into()] {
        let Ok(place) = place.canonicalize() else { continue };
        let why = if lower(&place) {
            "part of what the module sees".to_owned()
        } else if !mounted.can_keep_changes(&place) {
            format!("on {}", mounted.kind(&place))
        } else {
            match tempfile::Builder::new().prefix("updates-learn-").tempdir_in(&place) {
                Ok(folder) => return Ok(folder),
                Err(error) => error.to_string(),
            }
        };
        tried.push(format!("{} is {why}", place.display()));
    }
    Err(LearnError::NoScratch { tried: tried.join(", ") })
}

// The overlay's own directory is the upper one, so that has to look like what is below.
fn make(layer: &Layer) -> Result<(), PathError> {
    for folder in [&layer.upper, &layer.work] {
        fs::create_dir_all(folder).at("create", folder)?;
    }
    let below = fs::metadata(&layer.below).at("inspect", &layer.below)?;
    // Without root the overlay belongs to a user namespace in which everything of other users is nobody's.
    if rustix::process::geteuid().is_root() {
        chown(&layer.upper, Some(below.uid()), Some(below.gid())).at("set the owner of", &layer.upper)?;
    }
    let mode = fs::Permissions::from_mode(below.mode() & 0o7777);
    fs::set_permissions(&layer.upper, mode).at("set the mode of", &layer.upper)
}

// Walks an upper layer. What was removed is a device 0/0 there, see the kernel's documentation of overlayfs.
fn leavings(layer: &Layer, folder: &Path, left: &mut BTreeMap<PathBuf, Left>) -> Result<(), PathError> {
    // What lies too deep for a path to name is covered by what is above it.
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::InvalidFilename => return Ok(()),
        other => other.at("read", folder)?,
    };
    for entry in entries {
        let place = entry.at("read", folder)?.path();
        let found = match fs::symlink_metadata(&place) {
            Err(error) if error.kind() == ErrorKind::InvalidFilename => continue,
            other => other.at("inspect", &place)?,
        };
        let kind = found.file_type();
        let seen = layer.target.join(place.strip_prefix(&layer.upper).unwrap_or(&place));
        let what = if kind.is_char_device() && found.rdev() == 0 {
            Left::Removed
        } else if kind.is_char_device() || kind.is_block_device() {
            Left::Device
        } else if kind.is_dir() {
            leavings(layer, &place, left)?;
            Left::Folder
        } else {
            Left::File
        };
        left.insert(seen, what);
    }
    Ok(())
}
