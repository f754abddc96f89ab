//! The life of a sandbox as types: [`Sandbox`] is a checked plan, [`Entered`] one whose namespaces and file tree stand,
//! and an [`Enforcement`] is the proof that nothing is left to apply. Each step consumes the one before.
//!
//! The order of the steps, and why:
//!
//! 1. init is born into the namespaces and the cgroup, so that nothing it does happens outside of them.
//! 2. Identity before everything else: in a user namespace no capability works before the maps are written.
//! 3. Host name, loopback and the file tree need CAP_SYS_ADMIN and CAP_NET_ADMIN, so they come while init has them.
//! 4. The module's process is forked from init and drops what is left: keyring, limits and bounding set first, because
//!    they need privilege; then the capabilities themselves; `no_new_privs` last, so that it vouches for all of it.
//! 5. The report is made from what each step returned, never from the plan.

use std::path::Path;

use nix::libc;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use updates_protocol::{Enforcement, Mount, SandboxPlan, SetupFailure};

use super::cgroups::Cgroups;
use super::failure::{OrFail, refused};
use super::limits::Limits;
use super::mounts::FileTree;
use super::namespaces::Namespaces;
use super::privileges::Privileges;
use super::target::check_target;
use crate::kernel::Forked;

/// A checked plan that has not been applied yet.
#[derive(Debug)]
#[must_use]
pub struct Sandbox {
    plan: SandboxPlan,
    namespaces: Namespaces,
    cgroups: Cgroups,
    limits: Limits,
    privileges: Privileges,
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
        let pending = plan.identity.is_some()
            || plan.network_namespace.is_some()
            || plan.landlock.is_some()
            || plan.system_call_filter.is_some();
        if pending {
            return refused("plan", "asks for a restriction that this runner can't apply yet");
        }
        if plan.hostname.is_empty() || plan.hostname.len() > 64 {
            return refused("plan", format!("host name '{}': must be of 1 to 64 bytes", plan.hostname));
        }
        Ok(Self {
            namespaces: Namespaces::new(plan.private_network),
            cgroups: Cgroups::open(&plan.cgroup_procs)?,
            limits: Limits::new(&plan.limits),
            privileges: Privileges::parse(&plan.capability_bounding_set)?,
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
        self.namespaces.map_identity()?;
        // The version 1 hierarchies are mounted on the machine, so this comes before its file tree is left.
        self.cgroups.join()?;
        self.namespaces.settle(&self.plan.hostname)?;
        self.namespaces.report(&mut enforcement);
        self.cgroups.report(&mut enforcement);
        FileTree::build(&self.plan.mounts)?.seal()?.report(&mut enforcement);
        Ok(Entered { plan: self.plan, limits: self.limits, privileges: self.privileges, enforcement })
    }
}

/// A sandbox that stands, seen from inside; its processes still have privileges.
#[derive(Debug)]
#[must_use]
pub struct Entered {
    plan: SandboxPlan,
    limits: Limits,
    privileges: Privileges,
    enforcement: Enforcement,
}

impl Entered {
    /// For the module's process alone, right before exec: applies what concerns one process and its descendants.
    pub fn confine(self) -> Result<Enforcement, SetupFailure> {
        let mut enforcement = self.enforcement;
        // A session without terminal: nothing to push keystrokes into (CVE-2017-5226), and kill(0) stays inside.
        rustix::process::setsid().or_fail("session", || "setsid".to_owned())?;
        enforcement.enforced("terminal", "a session of its own");
        enter_directory(&self.plan)?;
        rustix::process::umask(Mode::from_raw_mode(self.plan.umask & 0o777));
        self.privileges.drop_keyring(&mut enforcement)?;
        self.limits.apply(&mut enforcement)?;
        self.privileges.drop_capabilities(&mut enforcement)?;
        if self.plan.trace {
            // No wall, but it makes one thinner: whoever reads the report must see it.
            enforcement
                .missing("trace", "init keeps CAP_SYS_PTRACE and sees every call of the module, as was asked for");
        }
        Ok(enforcement)
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
