//! What the addresses in a traced process's arguments point to: texts, structures, and paths as they are meant there.
//!
//! The bytes are the module's: every length is bounded, and what can't be read is simply not known.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::process::Pid;

use super::ptrace::read_memory;

/// The longest path that the kernel takes, with its terminating zero; see path_resolution(7).
const PATH_MAX: usize = 4096;
/// Memory is read up to the end of such a piece at a time, so that a text that ends before a hole is still read whole.
const PIECE: u64 = 256;
/// `AT_FDCWD` of fcntl.h.
const CURRENT: i32 = -100;

/// The `length` bytes at `address`, or as many as there are.
pub(super) fn bytes(pid: Pid, address: u64, length: usize) -> Option<Vec<u8>> {
    let mut buffer = vec![0; length];
    let count = read_memory(pid, address, &mut buffer).ok()?;
    buffer.truncate(count);
    Some(buffer)
}

/// The number of 8 bytes at `address`.
pub(super) fn word(pid: Pid, address: u64) -> Option<u64> {
    bytes(pid, address, 8)?.try_into().ok().map(u64::from_ne_bytes)
}

/// The absolute, normalised path that the text at `address` means for `pid`, relative to the directory `directory`
/// when it is given, or to the working directory. An empty text means the directory itself.
pub(super) fn path(pid: Pid, directory: Option<u64>, address: u64) -> Option<PathBuf> {
    let text = if address == 0 { Vec::new() } else { text(pid, address)? };
    let text = Path::new(OsStr::from_bytes(&text));
    if text.is_absolute() {
        return Some(normalised(&root(pid).join(text.strip_prefix("/").unwrap_or(text))));
    }
    let base = match directory.map(|descriptor| descriptor as i32) {
        None | Some(CURRENT) => fs::read_link(link(pid, "cwd")).ok()?,
        Some(descriptor) => open_file(pid, descriptor)?,
    };
    Some(normalised(&base.join(text)))
}

/// The path of an open file of `pid`, when it has one.
pub(super) fn open_file(pid: Pid, descriptor: i32) -> Option<PathBuf> {
    let target = fs::read_link(link(pid, &format!("fd/{descriptor}"))).ok()?;
    // Pipes, sockets and memory say what they are, without a leading slash or with a note that they have no name.
    let named = target.is_absolute() && !target.as_os_str().as_bytes().ends_with(b" (deleted)");
    named.then_some(target)
}

// Another than init's only after chroot(2).
fn root(pid: Pid) -> PathBuf {
    fs::read_link(link(pid, "root")).unwrap_or_else(|_| PathBuf::from("/"))
}

// Links below /proc lead to what the process sees, told as paths of init, who has the same root.
fn link(pid: Pid, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", pid.as_raw_nonzero()))
}

fn text(pid: Pid, mut address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    while text.len() < PATH_MAX {
        let room = PIECE - address % PIECE;
        let piece = bytes(pid, address, room as usize).filter(|piece| !piece.is_empty())?;
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(&piece[..end]);
            return (text.len() < PATH_MAX).then_some(text);
        }
        address = address.checked_add(piece.len() as u64)?;
        text.extend(piece);
    }
    None
}

// Lexically, as a person would: what is a link inside is not asked, since it may be another one by now.
pub(super) fn normalised(path: &Path) -> PathBuf {
    let mut parts: Vec<&OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => parts.push(name),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let mut whole = PathBuf::from("/");
    whole.extend(parts);
    let mut bytes = whole.into_os_string().into_vec();
    bytes.truncate(PATH_MAX);
    PathBuf::from(OsStr::from_bytes(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_are_taken_out_and_never_lead_above_the_root() {
        let cases = [("/a/./b/../c", "/a/c"), ("/../..", "/"), ("/a//b/", "/a/b"), ("/", "/")];
        for (given, expected) in cases {
            assert_eq!(normalised(Path::new(given)), Path::new(expected));
        }
    }
}
