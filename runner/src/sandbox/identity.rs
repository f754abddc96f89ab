//! Whom the module runs as: user, group and supplementary groups, and what it needs to own for that.
//!
//! Without privilege outside there is one user to be had, the caller; the map of the user namespace then names it as
//! planned, and nothing is left to do here but to say which groups could not be given up.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::process::{Gid, Uid, getgid, getgroups};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use updates_protocol::{Enforcement, Identity as Planned, SetupFailure};

use super::failure::{OrFail, refused};

#[derive(Debug)]
pub(super) struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
    /// Whether it is an ordinary user, and not the superuser that a plan without identity means.
    ordinary: bool,
}

impl Identity {
    pub(super) fn parse(planned: Option<&Planned>) -> Result<Self, SetupFailure> {
        let Some(planned) = planned else {
            return Ok(Self { uid: Uid::ROOT, gid: Gid::ROOT, groups: Vec::new(), ordinary: false });
        };
        // The last one is "no change" to the system calls below.
        for (name, id) in [("user", planned.uid), ("group", planned.gid)] {
            if matches!(id, 0 | u32::MAX) {
                return refused("plan", format!("identity: {id} is no {name} id that a module may have"));
            }
        }
        if planned.groups.contains(&u32::MAX) {
            return refused("plan", format!("identity: {} is no group id", u32::MAX));
        }
        Ok(Self {
            uid: Uid::from_raw(planned.uid),
            gid: Gid::from_raw(planned.gid),
            groups: planned.groups.iter().copied().map(Gid::from_raw).collect(),
            ordinary: true,
        })
    }

    pub(super) fn ids(&self) -> (u32, u32) {
        (self.uid.as_raw(), self.gid.as_raw())
    }

    /// Whether it can hold no capability, whatever the bounding set leaves.
    pub(super) fn is_ordinary(&self) -> bool {
        self.ordinary
    }

    /// Hands the pipes among descriptors 0 to 2 over, so that `/dev/stdout` can be opened: that checks the owner anew,
    /// as systemd's exec_invoke() knows. Needs CAP_CHOWN.
    pub(super) fn own_pipes(&self) -> Result<(), SetupFailure> {
        use rustix::stdio::{stderr, stdin, stdout};
        let own = |descriptor: BorrowedFd<'_>| {
            let status = rustix::fs::fstat(descriptor)?;
            match FileType::from_raw_mode(status.st_mode) {
                FileType::Fifo if status.st_uid != self.uid.as_raw() => {
                    rustix::fs::fchown(descriptor, Some(self.uid), Some(self.gid))
                }
                _ => Ok(()), // the machine's own files stay the machine's
            }
        };
        [stdin(), stdout(), stderr()]
            .iter()
            .try_for_each(|descriptor| own(descriptor.as_fd()))
            .or_fail("identity", || "handing the standard descriptors over".to_owned())
    }

    /// Groups first and the user last, because only privilege may change groups. Leaving user 0 takes every effective,
    /// permitted and ambient capability with it, see capabilities(7).
    pub(super) fn assume(&self, mapped: bool, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        let (uid, gid) = self.ids();
        if mapped {
            enforcement.enforced("identity", format!("user {uid} and group {gid}, which are the caller's outside"));
            return self.report_groups("an unprivileged caller can't give its own up", enforcement);
        }
        match set_thread_groups(&self.groups) {
            Ok(()) => {}
            // A container without root may have denied it for good, see user_namespaces(7).
            Err(Errno::PERM) if !self.ordinary => {
                self.report_groups("the user namespace around this process denies setgroups", enforcement)?;
            }
            Err(error) => return Err(error).or_fail("identity", || "supplementary groups".to_owned()),
        }
        set_thread_res_gid(self.gid, self.gid, self.gid).or_fail("identity", || format!("group {gid}"))?;
        set_thread_res_uid(self.uid, self.uid, self.uid).or_fail("identity", || format!("user {uid}"))?;
        enforcement
            .enforced("identity", format!("user {uid}, group {gid}, {} supplementary groups", self.groups.len()));
        Ok(())
    }

    fn report_groups(&self, why: &str, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        let held = getgroups().or_fail("identity", || "reading the supplementary groups".to_owned())?;
        let others = held.iter().filter(|group| **group != getgid()).count();
        if others > 0 || !self.groups.is_empty() {
            let planned = self.groups.len();
            enforcement.missing(
                "supplementary_groups",
                format!("{why}: {others} are kept, and {planned} planned are not given"),
            );
        }
        Ok(())
    }
}
