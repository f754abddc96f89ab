//! Requests of the module that wait, and replies on their way to it: both bounded, neither holding anything else up.

use std::collections::VecDeque;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::SendFlags;
use serde_json::{Map, Value};
use updates_protocol::{Reply, SupervisorMessage, write_frame};

/// How many requests the supervisor is asked to work on at once.
const OUTSTANDING: usize = 16;
/// With so many bytes of replies that the module has not read, no further request is answered.
const UNREAD: usize = 1 << 20;

/// A request that the module made.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) operation: String,
    pub(super) arguments: Map<String, Value>,
}

/// The module's requests.
#[derive(Debug, Default)]
pub(super) struct Replies {
    waiting: VecDeque<Request>,
    outstanding: Vec<u64>,
    unread: VecDeque<u8>,
    closed: bool,
}

impl Replies {
    /// Takes a request; it waits until `next` hands it out.
    pub(super) fn ask(&mut self, request: Request) {
        self.waiting.push_back(request);
    }

    /// Whether no more may be read from where requests come from.
    pub(super) fn are_congested(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next request to work on.
    pub(super) fn next(&mut self) -> Option<Request> {
        if self.outstanding.len() >= OUTSTANDING || self.unread.len() >= UNREAD {
            return None;
        }
        self.waiting.pop_front()
    }

    /// Notes that the supervisor was asked.
    pub(super) fn forwarded(&mut self, id: u64) {
        self.outstanding.push(id);
    }

    /// Takes the supervisor's answer; one that nobody waits for is dropped.
    pub(super) fn answered(&mut self, reply: Reply) -> std::io::Result<()> {
        match self.outstanding.iter().position(|id| *id == reply.id) {
            Some(index) => {
                self.outstanding.swap_remove(index);
                self.reply(reply)
            }
            None => Ok(()),
        }
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, reply: Reply) -> std::io::Result<()> {
        if self.closed { Ok(()) } else { write_frame(&mut self.unread, &SupervisorMessage::Reply(reply)) }
    }

    /// Whether there is something to write.
    pub(super) fn are_pending(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Writes as much as the module's socket takes.
    pub(super) fn write(&mut self, channel: BorrowedFd<'_>) {
        while !self.unread.is_empty() {
            let (bytes, _) = self.unread.as_slices();
            match rustix::net::send(channel, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.unread.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => {
                    // The module closed its end: it has no use for replies any more.
                    self.closed = true;
                    self.unread = VecDeque::new();
                }
            }
        }
    }
}
