//! The namespaces: which ones, what goes wrong when they are created, and what has to be set up in them at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::libc;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, LinkNameSpaceType, capabilities, move_into_link_name_space};
use updates_protocol::{Enforcement, SandboxPlan, SetupFailure};

use super::failure::{OrFail, refused};
use super::stages::ALWAYS;
use crate::kernel::{self, Forked};

#[derive(Debug)]
pub(super) struct Namespaces {
    network: Network,
    /// Whose ids are mapped inside; none where the runner has the privilege to do without a user namespace.
    user: Option<(u32, u32)>,
}

#[derive(Debug)]
enum Network {
    Host,
    New,
    Premade(OwnedFd),
}

impl Namespaces {
    pub(super) fn open(plan: &SandboxPlan) -> Result<Self, SetupFailure> {
        let privileged = geteuid().is_root()
            && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        let user = (!privileged).then(|| (geteuid().as_raw(), getegid().as_raw()));
        let network = match (plan.private_network, &plan.network_namespace) {
            (false, None) => Network::Host,
            (false, Some(_)) => return refused("plan", "network_namespace: only goes with private_network"),
            (true, None) => Network::New,
            (true, Some(path)) if user.is_none() => Network::Premade(network_namespace(path)?),
            (true, Some(path)) => {
                let path = path.display();
                return refused("plan", format!("network_namespace {path}: entering one needs root; leave it out"));
            }
        };
        Ok(Self { network, user })
    }

    /// Whether ids inside stand for the caller's, in a user namespace.
    pub(super) fn mapped(&self) -> bool {
        self.user.is_some()
    }

    /// `cgroup` is where init is born; with `cgroup_namespace`, the cgroups it is born into are the ones it stays in.
    pub(super) fn fork(&self, cgroup: Option<BorrowedFd<'_>>, cgroup_namespace: bool) -> Result<Forked, SetupFailure> {
        let mut flags = ALWAYS;
        if cgroup_namespace {
            flags |= libc::CLONE_NEWCGROUP;
        }
        if matches!(self.network, Network::New) {
            flags |= libc::CLONE_NEWNET;
        }
        if self.user.is_some() {
            flags |= libc::CLONE_NEWUSER;
        }
        kernel::fork_into(flags, cgroup).or_else(|error| {
            let why = match error {
                Errno::NOSYS => "the kernel has no clone3, or a filter around this process hides it",
                Errno::BUSY | Errno::OPNOTSUPP if cgroup.is_some() => {
                    "the cgroup can't hold processes: it has controllers enabled for its children"
                }
                Errno::PERM | Errno::NOSPC | Errno::USERS | Errno::INVAL if self.user.is_some() => {
                    "without root this needs user namespaces, and the kernel forbids them here (see sysctl \
                     user.max_user_namespaces, kernel.unprivileged_userns_clone and \
                     kernel.apparmor_restrict_unprivileged_userns); run as root"
                }
                Errno::PERM => "CAP_SYS_ADMIN is missing, or the container around this process forbids namespaces",
                Errno::AGAIN => "the limit of processes is reached",
                _ => "creating the namespaces",
            };
            refused("namespaces", format!("{why}: {error}"))
        })
    }

    /// Gives the caller's ids the planned numbers inside, so that modules see the same ids with and without root.
    pub(super) fn map_identity(&self, (inner_uid, inner_gid): (u32, u32)) -> Result<(), SetupFailure> {
        let Some((uid, gid)) = self.user else { return Ok(()) };
        // The kernel wants setgroups denied before an unprivileged process may map groups, see user_namespaces(7).
        for (file, line) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("{inner_uid} {uid} 1")),
            ("/proc/self/gid_map", format!("{inner_gid} {gid} 1")),
        ] {
            std::fs::write(file, line).or_fail("user_namespace", || format!("writing {file}"))?;
        }
        Ok(())
    }

    /// Sets the host name, and enters the premade network or brings loopback up in a new one.
    pub(super) fn settle(&self, hostname: &str) -> Result<(), SetupFailure> {
        rustix::system::sethostname(hostname.as_bytes()).or_fail("hostname", || format!("setting it to {hostname}"))?;
        match &self.network {
            Network::Host => Ok(()),
            Network::New => loopback_up().or_fail("private_network", || "bringing loopback up".to_owned()),
            Network::Premade(file) => move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .or_fail("private_network", || "entering the premade network namespace".to_owned()),
        }
    }

    pub(super) fn report(&self, enforcement: &mut Enforcement) {
        if self.user.is_some() {
            enforcement.enforced("user_namespace", "CLONE_NEWUSER, one user mapped");
        }
        enforcement.enforced("pid_namespace", "CLONE_NEWPID");
        enforcement.enforced("mount_namespace", "CLONE_NEWNS, private propagation");
        enforcement.enforced("ipc_namespace", "CLONE_NEWIPC");
        enforcement.enforced("uts_namespace", "CLONE_NEWUTS");
        match self.network {
            Network::Host => {}
            Network::New => enforcement.enforced("private_network", "CLONE_NEWNET, loopback alone"),
            Network::Premade(_) => enforcement.enforced("private_network", "setns, a premade one with loopback alone"),
        }
    }
}

// A magic link of /proc, so openat2(2) with its refusals does not fit; the supervisor alone names it, and what was
// opened is checked instead.
fn network_namespace(path: &Path) -> Result<OwnedFd, SetupFailure> {
    const NSFS_MAGIC: u64 = 0x6e73_6673; // linux/magic.h
    let about = || format!("network_namespace {}", path.display());
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
        .or_fail("private_network", about)?;
    let kind = rustix::fs::fstatfs(&file).or_fail("private_network", about)?.f_type as u64;
    // The request means something else to other files.
    if kind == NSFS_MAGIC
        && kernel::namespace_type(file.as_fd()).or_fail("private_network", about)? == libc::CLONE_NEWNET
    {
        return Ok(file);
    }
    refused("private_network", format!("{}: is no network namespace", about()))
}

// RTM_NEWLINK of rtnetlink(7): interface 1, which in a new network namespace is loopback, gets IFF_UP.
fn loopback_up() -> Result<(), Errno> {
    const LENGTH: u32 = 32;
    let mut request = Vec::with_capacity(LENGTH as usize);
    request.extend_from_slice(&LENGTH.to_ne_bytes());
    request.extend_from_slice(&libc::RTM_NEWLINK.to_ne_bytes());
    request.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes());
    request.extend_from_slice(&[0; 8]); // sequence and port
    request.extend_from_slice(&[0; 4]); // family, padding, type
    request.extend_from_slice(&1_i32.to_ne_bytes());
    request.extend_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());
    request.extend_from_slice(&(libc::IFF_UP as u32).to_ne_bytes());

    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &request, SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // NLMSG_ERROR: a header of 16 bytes, then a negative error number, 0 for success.
    let code = answer.get(16..20).filter(|_| length >= 20).ok_or(Errno::PROTO)?;
    match i32::from_ne_bytes([code[0], code[1], code[2], code[3]]) {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error(-error)),
    }
}
