//! Holds the supervisor's turn while anything of the module may live.
//!
//! A supervisor that is killed leaves its runner behind for a moment. What it began must be over before the next one puts
//! the module's files back, and nothing may begin after that.

use std::io::Read;
use std::os::fd::OwnedFd;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::io::Errno;
use updates_protocol::{SetupFailure, Turn};

use crate::sandbox::OrFail;

/// The descriptor that holds it, shared with init and gone from the module's process by exec. The kernel lets go of the
/// lock with the last of them.
#[derive(Debug)]
#[must_use]
pub struct Held {
    _file: OwnedFd,
}

/// Takes hold of `turn`, unless another supervisor has had its turn since.
pub fn hold(turn: &Turn) -> Result<Held, SetupFailure> {
    let about = || format!("the turn of the supervisor, {}", turn.file.display());
    let over = || SetupFailure { step: "turn".to_owned(), reason: "another supervisor has begun since".to_owned() };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let mut file = std::fs::File::from(open(&turn.file, flags, Mode::empty()).or_fail("turn", about)?);
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(over()),
        Err(error) => return Err(error).or_fail("turn", about),
    }
    // Looked at only now: from here on nobody else can write it.
    let mut name = String::new();
    (&mut file).take(Turn::MAX_NAME as u64).read_to_string(&mut name).or_fail("turn", about)?;
    if name == turn.name { Ok(Held { _file: file.into() }) } else { Err(over()) }
}
