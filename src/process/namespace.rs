//! Network namespaces that are made once and lent to one attempt after the other, because making one costs about a
//! tenth of a whole sandbox.
//!
//! One is lent to one attempt at a time, and lent again only when it is as it was made: with loopback alone and no socket
//! left in it, not even one that waits for its time to pass. Until then it rests, and the next attempt gets another.
//! Without the privilege to make any, runners are left to make their own.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::libc;
use nix::sched::{CloneFlags, setns, unshare};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::geteuid;

/// As many rest at once, since each holds memory of the kernel.
const RESTING: usize = 8;
/// As many are looked at before a new one is made, which costs more than a look.
const LOOKS: usize = 2;

/// Those that are lent to nobody.
#[derive(Debug, Default)]
pub struct NetworkNamespaces {
    /// The one that has rested longest comes first.
    resting: Mutex<VecDeque<OwnedFd>>,
}

/// One that is lent. Dropped, it ends with the last process in it; [`NetworkNamespaces::give_back`] keeps it.
#[derive(Debug)]
#[must_use]
pub struct NetworkNamespace(OwnedFd);

impl NetworkNamespaces {
    /// One with loopback alone, up, in which there is nobody. None where this process may not make any.
    pub fn take(&self) -> Option<NetworkNamespace> {
        for _ in 0..LOOKS {
            let Some(rested) = self.resting().pop_front() else { break };
            match is_untouched(&rested) {
                Ok(true) => return Some(NetworkNamespace(rested)),
                Ok(false) => self.rest(rested),
                Err(_) => {} // what can't be looked at is not lent again
            }
        }
        // A runner without root makes itself a user namespace, from which another's network can't be entered.
        geteuid().is_root().then(make)?.ok().map(NetworkNamespace)
    }

    /// For an attempt of which every process is known to be gone, and that had no capability to change the network.
    pub fn give_back(&self, lent: NetworkNamespace) {
        self.rest(lent.0);
    }

    fn rest(&self, namespace: OwnedFd) {
        let mut resting = self.resting();
        resting.push_back(namespace);
        let many = resting.len() > RESTING;
        let oldest = if many { resting.pop_front() } else { None };
        drop(resting);
        drop(oldest); // not under the lock: the kernel may take its time
    }

    fn resting(&self) -> MutexGuard<'_, VecDeque<OwnedFd>> {
        // Every change to the list is whole, so a panic elsewhere leaves nothing half done.
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NetworkNamespace {
    /// The file for a runner, which opens it while this process holds the namespace.
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd()).into()
    }
}

// In a thread that ends with it: a namespace is a thread's own, and the supervisor stays where it is.
fn make() -> io::Result<OwnedFd> {
    in_a_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        loopback_up()?;
        Ok(File::open("/proc/thread-self/ns/net")?.into())
    })
}

/// Whether nothing in it tells of an earlier attempt. The kernel lets go of a closed socket a little later, and of the
/// port of a connection after a minute, for which it would be refused to the next module.
fn is_untouched(namespace: &OwnedFd) -> io::Result<bool> {
    let namespace = namespace.try_clone()?;
    in_a_thread(move || {
        setns(&namespace, CloneFlags::CLONE_NEWNET)?;
        let counts =
            ["sockstat", "sockstat6"].map(|name| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")));
        for text in counts {
            match text {
                Ok(text) if has_sockets(&text) => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // no IPv6 in this kernel
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    })
}

/// Reads lines as `TCP: inuse 0 orphan 0 tw 0 alloc 1 mem 0`, of which the last two count for the whole machine.
fn has_sockets(sockstat: &str) -> bool {
    sockstat.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        words.chunks_exact(2).any(|pair| matches!(pair[0], "used" | "inuse" | "tw") && pair[1] != "0")
    })
}

fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let thread = thread::Builder::new().name("network namespace".to_owned()).spawn(work)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread of a network namespace panicked")))
}

// RTM_NEWLINK of rtnetlink(7): interface 1, which in a new network namespace is loopback, gets IFF_UP.
fn loopback_up() -> Result<(), Errno> {
    const LENGTH: u32 = 32;
    let up = (libc::IFF_UP as u32).to_ne_bytes();
    let flags = ((libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16).to_ne_bytes();
    let header = [&LENGTH.to_ne_bytes()[..], &libc::RTM_NEWLINK.to_ne_bytes(), &flags, &[0; 8]].concat();
    let message = [&[0; 4][..], &1_i32.to_ne_bytes(), &up, &up].concat(); // ifinfomsg: flags, and which of them change
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    rustix::net::send(&socket, &[header, message].concat(), SendFlags::empty())?;
    let mut answer = [0_u8; 256];
    let (length, _) = rustix::net::recv(&socket, &mut answer, RecvFlags::empty())?;
    // NLMSG_ERROR: a header of 16 bytes, then a negative error number, 0 for success.
    let code = answer.get(16..20).filter(|_| length >= 20).ok_or(Errno::PROTO)?;
    match i32::from_ne_bytes([code[0], code[1], code[2], code[3]]) {
        0 => Ok(()),
        error => Err(Errno::from_raw_os_error(-error)),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;

    use super::*;

    /// What `work` comes to in the namespace.
    fn inside<T: Send + 'static>(lent: &NetworkNamespace, work: impl FnOnce() -> T + Send + 'static) -> T {
        let path = lent.path();
        let entered = move || {
            setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?;
            Ok(work())
        };
        in_a_thread(entered).unwrap()
    }

    fn identity(lent: &NetworkNamespace) -> PathBuf {
        std::fs::read_link(lent.path()).unwrap()
    }

    #[test]
    fn one_is_lent_to_one_at_a_time_and_then_to_the_next() {
        let all = NetworkNamespaces::default();
        let (first, second) = (all.take().unwrap(), all.take().unwrap());
        assert_ne!(identity(&first), identity(&second));
        assert_ne!(identity(&first), std::fs::read_link("/proc/self/ns/net").unwrap());
        let known = identity(&first);
        // Loopback is up, and used up to nothing that stays.
        let received = inside(&first, || {
            let (near, far) = UnixDatagram::pair().unwrap();
            near.send(b"x").unwrap();
            let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            socket.send_to(b"y", socket.local_addr().unwrap()).unwrap();
            far.recv(&mut [0]).unwrap() + socket.recv(&mut [0]).unwrap()
        });
        assert_eq!(received, 2);
        wait_until_untouched(&first);
        all.give_back(first);
        assert_eq!(identity(&all.take().unwrap()), known);
    }

    fn wait_until_untouched(lent: &NetworkNamespace) {
        while !is_untouched(&lent.0).unwrap() {
            thread::yield_now();
        }
    }

    #[test]
    fn one_in_which_something_is_left_rests() {
        let all = NetworkNamespaces::default();
        let lent = all.take().unwrap();
        let known = identity(&lent);
        let listener = inside(&lent, || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
        all.give_back(lent);
        assert_ne!(identity(&all.take().unwrap()), known, "a socket is open");
        drop(listener);

        let lent = NetworkNamespace(all.resting().pop_back().unwrap());
        wait_until_untouched(&lent);
        inside(&lent, || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (far, _) = listener.accept().unwrap();
            drop(near);
            drop(far);
        });
        all.give_back(lent);
        assert_ne!(identity(&all.take().unwrap()), known, "a port is still taken");
    }

    #[test]
    fn only_so_many_rest() {
        let all = NetworkNamespaces::default();
        let lent: Vec<_> = (0..RESTING + 2).map(|_| all.take().unwrap()).collect();
        for each in lent {
            all.give_back(each);
        }
        assert_eq!(all.resting().len(), RESTING);
    }
}
