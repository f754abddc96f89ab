//! The second wall: Landlock rules for files, TCP ports and scopes, on top of what the file tree already refuses.
//!
//! Init makes the rule set while it may still open every path; only the module's process is bound by it, because init has
//! to signal and may have to trace that process. What the plan asks for is a hard requirement unless the profile lists
//! `landlock` under `best_effort`. See landlock(7).

use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use updates_protocol::{Enforcement, LandlockAccess, LandlockPath, LandlockRules, SetupFailure};

use super::failure::{OrFail, refused};
use super::links::follow;

const STEP: &str = "landlock";
/// The key under which the scopes alone may be lacking.
const SCOPES: &str = "landlock_scopes";
/// The newest rights that are asked for; an older kernel handles those that it knows.
const NEWEST: ABI = ABI::V9;

/// A rule set that binds nobody yet.
#[derive(Debug)]
#[must_use]
pub(super) struct Landlock {
    ruleset: Option<RulesetCreated>,
    paths: usize,
    absent: usize,
    /// What the plan asks for beyond files, for the report; the version that brought it comes first.
    asked: Vec<(ABI, &'static str, String)>,
    best_effort: bool,
}

impl Landlock {
    /// For init, in the finished file tree, of which the module can write `writable` for longer than it runs.
    pub(super) fn prepare(
        rules: Option<&LandlockRules>,
        writable: &[PathBuf],
        may_lack: &BTreeSet<String>,
    ) -> Result<Self, SetupFailure> {
        let best_effort = may_lack.contains(STEP);
        let mut landlock = Self { ruleset: None, paths: 0, absent: 0, asked: Vec::new(), best_effort };
        let Some(rules) = rules else { return Ok(landlock) };
        let level = if best_effort { CompatLevel::BestEffort } else { CompatLevel::HardRequirement };
        let mut ruleset = Ruleset::default()
            .set_compatibility(level)
            .handle_access(AccessFs::from_all(ABI::V1))
            .map_err(|error| lacking(ABI::V1, "files", &error))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))
            .map_err(|error| lacking(ABI::V1, "files", &error))?
            .set_compatibility(level);
        for (access, ports, what) in [
            (AccessNet::BindTcp, &rules.bind_tcp, "bind_tcp"),
            (AccessNet::ConnectTcp, &rules.connect_tcp, "connect_tcp"),
        ] {
            if let Some(ports) = ports {
                ruleset = ruleset.handle_access(access).map_err(|error| lacking(ABI::V4, what, &error))?;
                landlock.asked.push((ABI::V4, what, format!("{} ports", ports.len())));
            }
        }
        // Scopes are the newest part, and what they keep apart is in namespaces of its own already.
        if may_lack.contains(SCOPES) {
            ruleset = ruleset.set_compatibility(CompatLevel::BestEffort);
        }
        for (scope, asked, what) in [
            (Scope::AbstractUnixSocket, rules.scope_abstract_unix_socket, "scope_abstract_unix_socket"),
            (Scope::Signal, rules.scope_signal, "scope_signal"),
        ] {
            if asked {
                ruleset = ruleset.scope(scope).map_err(|error| lacking(ABI::V6, what, &error))?;
                landlock.asked.push((ABI::V6, what, "on".to_owned()));
            }
        }
        let created = ruleset.create().map_err(|error| lacking(ABI::V1, "files", &error))?;
        landlock.ruleset = Some(landlock.fill(created, rules, writable)?);
        Ok(landlock)
    }

    fn fill(
        &mut self,
        created: RulesetCreated,
        rules: &LandlockRules,
        writable: &[PathBuf],
    ) -> Result<RulesetCreated, SetupFailure> {
        // A rule for a file has fewer rights than one for a directory, and an older kernel has fewer of both.
        let mut created = created.set_compatibility(CompatLevel::BestEffort);
        for LandlockPath { path, access } in &rules.paths {
            let Some(place) = place(path, *access, writable)? else {
                self.absent += 1;
                continue;
            };
            created = created
                .add_rule(PathBeneath::new(place, rights(*access)))
                .or_fail(STEP, || format!("rule for {}", path.display()))?;
            self.paths += 1;
        }
        for (access, ports) in [(AccessNet::BindTcp, &rules.bind_tcp), (AccessNet::ConnectTcp, &rules.connect_tcp)] {
            for port in ports.iter().flatten() {
                created = created
                    .add_rule(NetPort::new(*port, access))
                    .or_fail(STEP, || format!("rule for TCP port {port}"))?;
            }
        }
        Ok(created)
    }

    /// For the module's process: binds it and all its descendants. Needs `no_new_privs`.
    pub(super) fn restrict(self, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        let Some(ruleset) = self.ruleset else { return Ok(()) };
        let status = ruleset.restrict_self().or_fail(STEP, || "restricting the module".to_owned())?;
        let abi = match status.landlock {
            LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
                effective_abi
            }
            _ if self.best_effort => {
                enforcement.missing(STEP, unavailable(ABI::V1, "files"));
                return Ok(());
            }
            _ => return refused(STEP, unavailable(ABI::V1, "files")),
        };
        let mut by = format!("version {abi}, files: {} rules", self.paths);
        if self.absent > 0 {
            by.push_str(&format!(", {} for paths that are not there", self.absent));
        }
        for (needed, what, how) in self.asked {
            if abi >= needed {
                by.push_str(&format!("; {what}: {how}"));
            } else {
                enforcement.missing(&format!("landlock_{what}"), unavailable(needed, what));
            }
        }
        enforcement.enforced(STEP, by);
        Ok(())
    }
}

// A rule to write must not follow a link that the module left; one of the machine may lead anywhere, as /var/tmp does
// here and there.
fn place(path: &Path, access: LandlockAccess, writable: &[PathBuf]) -> Result<Option<OwnedFd>, SetupFailure> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let opened = match access {
        LandlockAccess::Read => openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS),
        LandlockAccess::WriteInPlace | LandlockAccess::Write | LandlockAccess::Full => {
            match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
                Err(Errno::LOOP) => rustix::fs::open("/", flags | OFlags::DIRECTORY, Mode::empty())
                    .and_then(|root| follow(root.as_fd(), path, writable)),
                opened => opened,
            }
        }
    };
    match opened {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) => refused(
            STEP,
            format!(
                "{} is reached through a symbolic link that a module could have made; name the path that it leads to",
                path.display()
            ),
        ),
        Err(error) => Err(error).or_fail(STEP, || format!("opening {}", path.display())),
    }
}

fn rights(access: LandlockAccess) -> BitFlags<AccessFs> {
    let read = AccessFs::from_read(NEWEST);
    // Connecting to a socket needs the right to write to it, for permissions as for Landlock.
    let in_place = AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev | AccessFs::ResolveUnix;
    match access {
        LandlockAccess::Read => read,
        LandlockAccess::WriteInPlace => read | in_place,
        LandlockAccess::Write => AccessFs::from_all(NEWEST) & !(AccessFs::MakeChar | AccessFs::MakeBlock),
        LandlockAccess::Full => AccessFs::from_all(NEWEST),
    }
}

fn lacking(needed: ABI, what: &str, error: &RulesetError) -> SetupFailure {
    let reason = format!("{}: {error}", unavailable(needed, what));
    SetupFailure { step: STEP.to_owned(), reason }
}

// Linux versions after landlock(7).
fn unavailable(needed: ABI, what: &str) -> String {
    let linux = match needed {
        ABI::V1 => "5.13, and 'landlock' in the kernel's lsm= list",
        ABI::V4 => "6.7",
        _ => "6.12",
    };
    let key = if needed == ABI::V6 { SCOPES } else { STEP };
    format!(
        "{what} needs Landlock version {needed}, which this kernel lacks or a filter around this process hides (it came \
         with Linux {linux}); use such a kernel, or list {key} under best_effort in the profile"
    )
}
