//! The life of a sandbox as types: [`Sandbox`] is a checked plan, [`Entered`] one whose namespaces and file tree stand,
//! and an [`Enforcement`] is the proof that nothing is left to apply. Each step consumes the one before.
//!
//! The order of the steps, and why:
//!
//! 1. init is born into the namespaces and the cgroup, so that nothing it does happens outside of them.
//! 2. Identity before everything else: in a user namespace no capability works before the maps are written.
//! 3. Host name, loopback and the file tree need CAP_SYS_ADMIN and CAP_NET_ADMIN, so they come while init has them.
//! 4. The module's process is forked from init and gives up what is left: limits, securebits and the bounding set first,
//!    because they need privilege; then the user, the keyring, which is to belong to that user, and the capabilities;
//!    `no_new_privs` next, so that it vouches for all of it, and so that Landlock needs no privilege.
//! 5. The report is made from what each step returned, never from the plan.
//! 6. The system call filter is last, because it binds the runner's own steps as well.

use std::path::Path;

use nix::libc;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use updates_protocol::{Enforcement, Mount, SandboxPlan, SetupFailure};

use super::cgroups::Cgroups;
use super::failure::{OrFail, refused};
use super::identity::Identity;
use super::landlock::Landlock;
use super::limits::Limits;
use super::mounts::{FileTree, lasting};
use super::namespaces::Namespaces;
use super::privileges::Privileges;
use super::system_calls::Filter;
use super::target::check_target;
use crate::kernel::Forked;

/// A checked plan that has not been applied yet.
#[derive(Debug)]
#[must_use]
pub struct Sandbox {
    plan: SandboxPlan,
    namespaces: Namespaces,
    cgroups: Cgroups,
    identity: Identity,
    limits: Limits,
    privileges: Privileges,
    filter: Filter,
}

impl Sandbox {
    /// Checks the plan and opens what has to be open before init is forked. Nothing is restricted yet.
    pub fn prepare(plan: SandboxPlan) -> Result<Self, SetupFailure> {
        for mount in &plan.mounts {
            match mount {
                // A copy of the whole tree would have the new root on top of it, which is attached there meanwhile.
                Mount::Bind { source, .. } if source == Path::new("/") => {
                    return refused("plan", "/ can't be bound as a whole: bind the directories in it");
                }
                Mount::Bind { target, .. }
                | Mount::Overlay { target, .. }
                | Mount::Symlink { target, .. }
                | Mount::Tmpfs { target, .. }
                | Mount::Directory { target }
                | Mount::File { target, .. }
                | Mount::Inaccessible { target } => check_target(target)?,
                Mount::Proc { .. } | Mount::Dev => {}
            }
        }
        if plan.hostname.is_empty() || plan.hostname.len() > 64 {
            return refused("plan", format!("host name '{}': must be of 1 to 64 bytes", plan.hostname));
        }
        let identity = Identity::parse(plan.identity.as_ref())?;
        let mut privileges = Privileges::parse(&plan.capability_bounding_set)?;
        if identity.is_ordinary() {
            privileges.keep_none();
        }
        Ok(Self {
            namespaces: Namespaces::open(&plan)?,
            cgroups: Cgroups::open(&plan.cgroup_procs)?,
            limits: Limits::new(&plan.limits),
            filter: Filter::prepare(plan.system_call_filter.as_ref(), plan.best_effort.contains("system_call_filter"))?,
            identity,
            privileges,
            plan,
        })
    }

    /// Whether init follows every system call of the module.
    pub fn is_traced(&self) -> bool {
        self.plan.trace
    }

    /// Forks init into the new namespaces.
    pub fn fork_init(&self) -> Result<Forked, SetupFailure> {
        self.namespaces.fork(self.cgroups.birthplace(), self.cgroups.are_none())
    }

    /// For init alone: applies everything that covers all processes of the sandbox.
    pub fn enter(self) -> Result<Entered, SetupFailure> {
        let mut enforcement = Enforcement::default();
        // What is created has the mode that is asked for, whatever mask the supervisor was started with.
        rustix::process::umask(Mode::empty());
        self.namespaces.map_identity(self.identity.ids())?;
        // The version 1 hierarchies are mounted on the machine, so this comes before its file tree is left.
        self.cgroups.join()?;
        self.namespaces.settle(&self.plan.hostname)?;
        self.namespaces.report(&mut enforcement);
        self.cgroups.report(&mut enforcement);
        FileTree::build(&self.plan.mounts)?.seal()?.report(&mut enforcement);
        let writable: Vec<_> = self.plan.mounts.iter().filter_map(lasting).map(|(_, target)| target).collect();
        let landlock = Landlock::prepare(self.plan.landlock.as_ref(), &writable, &self.plan.best_effort)?;
        Ok(Entered {
            plan: self.plan,
            mapped: self.namespaces.mapped(),
            identity: self.identity,
            limits: self.limits,
            privileges: self.privileges,
            landlock,
            filter: self.filter,
            enforcement,
        })
    }
}

/// A sandbox that stands, seen from inside; its processes still have privileges.
#[derive(Debug)]
#[must_use]
pub struct Entered {
    plan: SandboxPlan,
    mapped: bool,
    identity: Identity,
    limits: Limits,
    privileges: Privileges,
    landlock: Landlock,
    filter: Filter,
    enforcement: Enforcement,
}

impl Entered {
    /// For the module's process alone, with its standard descriptors in place: applies what concerns one process and
    /// its descendants, all but the last step.
    pub fn confine(self) -> Result<Confined, SetupFailure> {
        let mut enforcement = self.enforcement;
        // A session without terminal: nothing to push keystrokes into (CVE-2017-5226), and kill(0) stays inside.
        rustix::process::setsid().or_fail("session", || "setsid".to_owned())?;
        enforcement.enforced("terminal", "a session of its own");
        enter_directory(&self.plan)?;
        let umask = self.plan.umask & 0o777;
        rustix::process::umask(Mode::from_raw_mode(umask));
        enforcement.enforced("umask", format!("{umask:04o}"));
        self.limits.apply(self.identity.is_ordinary(), &mut enforcement)?;
        self.identity.own_pipes()?;
        self.privileges.bound()?;
        self.identity.assume(self.mapped, &mut enforcement)?;
        self.privileges.drop_keyring(&mut enforcement)?;
        self.privileges.drop_capabilities(&mut enforcement)?;
        self.landlock.restrict(&mut enforcement)?;
        if self.plan.trace {
            // No wall, but it makes one thinner: whoever reads the report must see it.
            enforcement
                .missing("trace", "init keeps CAP_SYS_PTRACE and sees every call of the module, as was asked for");
        }
        Ok(Confined { filter: self.filter, enforcement })
    }
}

/// The module's process with nothing left to apply but the system call filter.
#[derive(Debug)]
#[must_use]
pub struct Confined {
    filter: Filter,
    enforcement: Enforcement,
}

impl Confined {
    /// What was applied, to be added to.
    pub fn enforcement(&mut self) -> &mut Enforcement {
        &mut self.enforcement
    }

    /// The last step before exec. `prepare` makes the report, which already counts the filter, because after it there
    /// may be no system call left for that; when the filter can't be installed, the report is thrown away.
    pub fn close<T>(mut self, prepare: impl FnOnce(Enforcement) -> T) -> Result<T, SetupFailure> {
        let settings = std::mem::take(&mut self.filter.settings);
        if let Some(summary) = self.filter.summary.take() {
            self.enforcement.enforced("system_call_filter", summary);
            for (key, how) in settings {
                self.enforcement.enforced(&key, how);
            }
        } else if let Some(why) = self.filter.missing.take() {
            for key in settings.into_keys() {
                self.enforcement.missing(&key, "it is the system call filter's, which is missing");
            }
            self.enforcement.missing("system_call_filter", why);
        }
        let report = prepare(self.enforcement);
        self.filter.install()?;
        Ok(report)
    }
}

// A descriptor below /proc is no place to start from (CVE-2024-21626), so magic links are refused.
fn enter_directory(plan: &SandboxPlan) -> Result<(), SetupFailure> {
    let about = || format!("working directory {}", plan.working_directory.display());
    let directory = rustix::fs::openat2(
        rustix::fs::CWD,
        &plan.working_directory,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_MAGICLINKS,
    )
    .or_fail("working_directory", about)?;
    rustix::process::fchdir(&directory).or_fail("working_directory", about)
}

/// All namespaces that every sandbox has; see namespaces(7).
pub(super) const ALWAYS: libc::c_int = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
