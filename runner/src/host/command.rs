//! The command of a module, complete before the first fork, so that nothing about it can fail in the sandbox but exec.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::unistd::execve;
use rustix::fs::{Mode, OFlags};
use updates_protocol::{Entry, Invocation, SetupFailure};

use super::{executable, python};
use crate::sandbox::OrFail;

/// A program with its arguments, its whole environment and its standard input.
#[derive(Debug)]
pub struct Command {
    file: PathBuf,
    program: CString,
    arguments: Vec<CString>,
    environment: Vec<CString>,
    stdin: OwnedFd,
}

impl Command {
    /// Builds the command of an invocation.
    pub fn prepare(invocation: &Invocation) -> Result<Self, SetupFailure> {
        let module = &invocation.module;
        let (program, arguments, stdin) = match &invocation.entry {
            Entry::Python { interpreter, sdk, file } => {
                let arguments = python::arguments(interpreter, sdk, file, module);
                (interpreter, arguments, null().or_fail("command", || "/dev/null".to_owned())?)
            }
            Entry::Executable { file } => {
                let stdin = executable::stdin(module).or_fail("command", || "standard input".to_owned())?;
                (file, executable::arguments(file, module), stdin)
            }
        };
        let environment = invocation.environment.iter().map(|(name, value)| format!("{name}={value}").into_bytes());
        Ok(Self {
            file: program.clone(),
            program: text(program.as_os_str().as_bytes().to_vec())?,
            arguments: arguments.into_iter().map(text).collect::<Result<_, _>>()?,
            environment: environment.map(text).collect::<Result<_, _>>()?,
            stdin,
        })
    }

    /// What becomes descriptor 0.
    pub fn stdin(&self) -> BorrowedFd<'_> {
        self.stdin.as_fd()
    }

    /// How many variables the module's environment has.
    pub fn variables(&self) -> usize {
        self.environment.len()
    }

    /// Becomes the module; returns only to say why that failed.
    #[must_use]
    pub fn exec(&self) -> SetupFailure {
        let Err(error) = execve(&self.program, &self.arguments, &self.environment);
        SetupFailure { step: "exec".to_owned(), reason: executable::explain(&self.file, error) }
    }
}

fn text(bytes: Vec<u8>) -> Result<CString, SetupFailure> {
    CString::new(bytes).or_fail("command", || "an argument or a variable of the environment".to_owned())
}

fn null() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(Path::new("/dev/null"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}
