//! The line between the runner and init: orders one way, the module's end the other way.
//!
//! It is a pair of packet sockets, so that a message is whole or absent, and that either side learns of the other's
//! death. Nothing of the module ever holds an end of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::{Deserialize, Serialize};
use updates_protocol::Exit;

/// What the runner asks of init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SIGTERM to every process but init.
    Terminate,
    /// SIGKILL to every process but init.
    Kill,
}

/// What a look at the socket found.
#[derive(Debug)]
pub enum Received<T> {
    /// A message.
    Message(T),
    /// Nothing yet.
    Nothing,
    /// The other side is gone, and nothing more will come.
    Gone,
}

/// The end of the module's first process.
#[derive(Debug, Serialize, Deserialize)]
pub struct End {
    /// How it ended.
    pub exit: Exit,
    /// Whether each of [`LIMITED`] was full then.
    pub full: [bool; LIMITED.len()],
}

/// The folders of the sandbox that are file systems of their own with a bound.
pub const LIMITED: [&str; 2] = ["/tmp", "/var/tmp"];

/// The runner's end.
#[derive(Debug)]
pub struct ToInit(OwnedFd);

/// Init's end.
#[derive(Debug)]
pub struct ToRunner(OwnedFd);

/// A connected pair.
pub fn pair() -> rustix::io::Result<(ToInit, ToRunner)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (runner, init) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    Ok((ToInit(runner), ToRunner(init)))
}

impl ToInit {
    /// Gives an order. Init being gone already is what every order aims at, and no error.
    pub fn order(&self, order: Order) -> rustix::io::Result<()> {
        let byte = match order {
            Order::Terminate => b't',
            Order::Kill => b'k',
        };
        match rustix::net::send(&self.0, &[byte], SendFlags::NOSIGNAL) {
            Ok(_) | Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// How the module ended, once everything that it started is gone.
    pub fn end(&self) -> io::Result<Received<End>> {
        let mut packet = [0; 128];
        match rustix::net::recv(&self.0, &mut packet, RecvFlags::empty()) {
            Ok((0, _)) | Err(Errno::CONNRESET) => Ok(Received::Gone),
            Ok((length, _)) => Ok(Received::Message(serde_json::from_slice(&packet[..length])?)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Received::Nothing),
            Err(error) => Err(error.into()),
        }
    }
}

impl ToRunner {
    /// The next order.
    pub fn order(&self) -> Received<Order> {
        let mut packet = [0; 1];
        match rustix::net::recv(&self.0, &mut packet, RecvFlags::empty()) {
            Ok((1, _)) if packet[0] == b't' => Received::Message(Order::Terminate),
            Ok((1, _)) => Received::Message(Order::Kill),
            Err(Errno::AGAIN | Errno::INTR) => Received::Nothing,
            // An end without its runner has nobody left to serve, whatever the reason.
            Ok(_) | Err(_) => Received::Gone,
        }
    }

    /// Whether the runner still lives.
    pub fn is_connected(&self) -> bool {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        matches!(poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
    }

    /// Reports the module's end.
    pub fn report(&self, end: &End) -> io::Result<()> {
        rustix::net::send(&self.0, &serde_json::to_vec(end)?, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl AsFd for ToInit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsFd for ToRunner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
