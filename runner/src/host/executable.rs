//! An executable module gets its invocation as one line of JSON on standard input, and its arguments as they are.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use rustix::fs::{MemfdFlags, SealFlags};
use updates_protocol::ModuleInvocation;

pub(super) fn arguments(file: &Path, module: &ModuleInvocation) -> Vec<Vec<u8>> {
    let mut arguments = vec![file.as_os_str().as_bytes().to_vec()];
    arguments.extend(module.arguments.iter().map(|argument| argument.clone().into_bytes()));
    arguments
}

/// The invocation as a file in memory, sealed: unlike a pipe it takes any size at once, and a module that never reads
/// it holds nothing up.
pub(super) fn stdin(module: &ModuleInvocation) -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = match rustix::fs::memfd_create("invocation", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(rustix::io::Errno::INVAL) => rustix::fs::memfd_create("invocation", flags)?, // before Linux 6.3
        other => other?,
    };
    let mut line = serde_json::to_vec(module)?;
    line.push(b'\n');
    let mut file = File::from(memory);
    file.write_all(&line)?;
    file.rewind()?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}

/// Why `file` could not be executed, in words for its author. execve(2) has one error for several causes.
pub(super) fn explain(file: &Path, error: Errno) -> String {
    let name = file.display();
    match (error, interpreter(file)) {
        (Errno::ENOENT, Ok(Some(interpreter))) => {
            format!("{name}: its first line names {interpreter}, which does not exist in the sandbox")
        }
        (Errno::ENOENT, Ok(None)) => format!("{name}: the loader that it needs does not exist in the sandbox"),
        (Errno::ENOENT, Err(_)) => format!("{name} does not exist in the sandbox"),
        (Errno::EACCES, _) => format!(
            "{name} or its interpreter may not be executed: make it executable with chmod +x, in folders that the \
             module's user may enter and its profile shows"
        ),
        (Errno::ENOEXEC, _) => {
            format!("{name} is no program for this machine: a script needs a first line such as #!/bin/sh")
        }
        (Errno::E2BIG, _) => format!("{name}: its arguments and environment are too long for the kernel"),
        _ => format!("{name}: {}", error.desc()),
    }
}

fn interpreter(file: &Path) -> std::io::Result<Option<String>> {
    let mut line = Vec::new();
    BufReader::new(File::open(file)?.take(256)).read_until(b'\n', &mut line)?;
    Ok(line.strip_prefix(b"#!").map(|rest| {
        let rest = String::from_utf8_lossy(rest);
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }))
}
