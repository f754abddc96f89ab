//! The other process of the tests that strike one down: this test program again, told by its environment what to do.
//!
//! It waits for a datagram on its standard input before it begins, so that whoever wants to watch can take hold of it
//! first, and says there how it ended. Nothing else is done between the two.

use std::any::Any;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::socket::{MsgFlags, send};
use updates::config::Machine;
use updates::state::{RestoreError, StateError, Store};

use crate::ground::{Ground, declared, name};

/// What a child is asked to do, once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Seal,
    Restore,
    Recover,
    Remove,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    Killed,
    Done,
    /// It gave an error, of which this is the text.
    Failed(String),
    /// It refused a restore before any change.
    Refused(String),
    Panicked(String),
}

/// Not a test of its own: the child's work, and nothing when the program runs as usual.
#[test]
fn child() {
    let (Ok(folder), Ok(work)) = (std::env::var("STATE_TEST_FOLDER"), std::env::var("STATE_TEST_ONCE")) else { return };
    let control = UnixDatagram::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    control.send(b"ready").unwrap();
    control.recv(&mut [0; 8]).unwrap();
    let said = match catch_unwind(AssertUnwindSafe(|| perform(Path::new(&folder), &work))) {
        Ok(said) => said,
        Err(panic) => format!("panicked {}", text_of(&*panic)),
    };
    // Not by write(2), which is one of the calls that are struck.
    send(control.as_raw_fd(), said.as_bytes(), MsgFlags::empty()).unwrap();
}

fn perform(folder: &Path, work: &str) -> String {
    let failed = |error: &dyn std::fmt::Display| format!("failed {error}");
    let machine = Machine::Root(folder.join("machine"));
    let store = match Store::open(&folder.join("store")) {
        Ok(store) => store,
        Err(error) => return failed(&error),
    };
    let result: Result<(), StateError> = match work {
        "Seal" => {
            store.begin(&name("app"), &name("app"), "a test").paths(declared(&["/etc/app"])).seal(&machine).map(drop)
        }
        "Recover" => store.recover().map_err(StateError::from),
        "Remove" => store.remove(&name("app")).map(drop).map_err(StateError::from),
        "Restore" => match store.load(&name("app")).map(|backup| backup.map(|backup| backup.restore(&machine))) {
            Ok(Some(Err(RestoreError::Refused(error)))) => return format!("refused {error}"),
            Ok(Some(Err(error))) => return failed(&error),
            Ok(Some(Ok(_))) => Ok(()),
            Ok(None) => return failed(&"there is no slot"),
            Err(error) => Err(error),
        },
        other => return failed(&other),
    };
    result.map_or_else(|error| failed(&error), |()| "done".to_owned())
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    owned.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

/// The command of a child that does `work` on a ground, with what leads to it on its standard input.
pub fn command(ground: &Ground, work: Work) -> (Command, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["child::child", "--exact", "--nocapture", "--test-threads=1"])
        .env("STATE_TEST_FOLDER", ground.folder.path())
        .env("STATE_TEST_ONCE", format!("{work:?}"))
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (command, ours)
}

impl Ended {
    /// Of what a child said last; nothing means that it was killed.
    pub fn of(said: Option<&[u8]>) -> Ended {
        let Some(said) = said else { return Ended::Killed };
        let said = String::from_utf8_lossy(said).into_owned();
        let (word, rest) = said.split_once(' ').unwrap_or((&said, ""));
        match word {
            "done" => Ended::Done,
            "failed" => Ended::Failed(rest.to_owned()),
            "refused" => Ended::Refused(rest.to_owned()),
            _ => Ended::Panicked(rest.to_owned()),
        }
    }
}
