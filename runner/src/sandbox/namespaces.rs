//! The namespaces: which ones, what goes wrong when they are created, and what has to be set up in them at once.

use std::os::fd::BorrowedFd;

use nix::libc;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities};
use updates_protocol::{Enforcement, SetupFailure};

use super::failure::{OrFail, refused};
use super::stages::ALWAYS;
use crate::kernel::{self, Forked};

#[derive(Debug)]
pub(super) struct Namespaces {
    private_network: bool,
    /// Whose ids become 0 inside; none where the runner has the privilege to do without a user namespace.
    user: Option<(u32, u32)>,
}

impl Namespaces {
    pub(super) fn new(private_network: bool) -> Self {
        let privileged = geteuid().is_root()
            && capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
        let user = (!privileged).then(|| (geteuid().as_raw(), getegid().as_raw()));
        Self { private_network, user }
    }

    /// `cgroup` is where init is born; with `cgroup_namespace`, the cgroups it is born into are the ones it stays in.
    pub(super) fn fork(&self, cgroup: Option<BorrowedFd<'_>>, cgroup_namespace: bool) -> Result<Forked, SetupFailure> {
        let mut flags = ALWAYS;
        if cgroup_namespace {
            flags |= libc::CLONE_NEWCGROUP;
        }
        if self.private_network {
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

    /// Makes the caller's ids 0 inside, so that modules see the same ids with and without root.
    pub(super) fn map_identity(&self) -> Result<(), SetupFailure> {
        let Some((uid, gid)) = self.user else { return Ok(()) };
        // The kernel wants setgroups denied before an unprivileged process may map groups, see user_namespaces(7).
        for (file, line) in [
            ("/proc/self/setgroups", "deny".to_owned()),
            ("/proc/self/uid_map", format!("0 {uid} 1")),
            ("/proc/self/gid_map", format!("0 {gid} 1")),
        ] {
            std::fs::write(file, line).or_fail("user_namespace", || format!("writing {file}"))?;
        }
        Ok(())
    }

    /// Sets the host name and brings loopback up.
    pub(super) fn settle(&self, hostname: &str) -> Result<(), SetupFailure> {
        rustix::system::sethostname(hostname.as_bytes()).or_fail("hostname", || format!("setting it to {hostname}"))?;
        if self.private_network {
            loopback_up().or_fail("private_network", || "bringing loopback up".to_owned())?;
        }
        Ok(())
    }

    pub(super) fn report(&self, enforcement: &mut Enforcement) {
        if self.user.is_some() {
            enforcement.enforced("user_namespace", "CLONE_NEWUSER, one user mapped");
        }
        enforcement.enforced("pid_namespace", "CLONE_NEWPID");
        enforcement.enforced("mount_namespace", "CLONE_NEWNS, private propagation");
        enforcement.enforced("ipc_namespace", "CLONE_NEWIPC");
        enforcement.enforced("uts_namespace", "CLONE_NEWUTS");
        if self.private_network {
            enforcement.enforced("private_network", "CLONE_NEWNET, loopback alone");
        }
    }
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
