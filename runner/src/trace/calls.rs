//! Which system calls are told of, and where in their arguments the path or address is.
//!
//! By name, so that one table serves every architecture: the same call takes its arguments in the same order on all.

use syscalls::Sysno;

/// `AUDIT_ARCH_I386` of linux/audit.h: a call made through int 0x80.
const I386: u32 = 0x4000_0003;
/// Marks a call of the x32 ABI; see syscall(2).
const X32: u64 = 0x4000_0000;

/// What a call's arguments say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Only that it was made.
    Plain,
    /// Paths; when one is a second name for the same thing, both.
    Paths([Option<PathAt>; 2], Write),
    /// An open file, by its descriptor in the argument.
    Descriptor(usize, Write),
    /// `socket`: the address family in the first argument.
    Socket,
    /// A socket in the first argument; address and length in these.
    Address(usize, usize),
    /// A socket in the first argument, and a `msghdr` in the second.
    Message,
}

/// Where a path is: the argument with its address, and the one with the directory that it is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathAt {
    pub(super) directory: Option<usize>,
    pub(super) path: usize,
}

/// Whether a call changes what is at its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    No,
    Yes,
    /// When the flags of open(2) in this argument say so.
    Flags(usize),
    /// When the flags of open(2) in the `open_how` at this argument say so.
    How(usize),
    /// When the mode of access(2) in this argument asks for it.
    Mode(usize),
    /// Of two paths, the second.
    Second,
}

/// When a call is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Always,
    /// Looking is too common to be worth a word, unless it was refused.
    Refused,
}

const fn at(path: usize) -> PathAt {
    PathAt { directory: None, path }
}

const fn below(directory: usize, path: usize) -> PathAt {
    PathAt { directory: Some(directory), path }
}

const fn one(path: PathAt, write: Write) -> Shape {
    Shape::Paths([Some(path), None], write)
}

const fn both(first: PathAt, second: PathAt, write: Write) -> Shape {
    Shape::Paths([Some(first), Some(second)], write)
}

const FIRST: Shape = one(at(0), Write::Yes);
const FIRST_READ: Shape = one(at(0), Write::No);
const BELOW: Shape = one(below(0, 1), Write::Yes);
const BELOW_READ: Shape = one(below(0, 1), Write::No);

/// The name of a call; `syscall_512` for one without.
pub(super) fn name(arch: u32, number: u64) -> String {
    let plain = usize::try_from(number & !X32).unwrap_or(usize::MAX);
    let known = match arch {
        I386 => syscalls::x86::Sysno::new(plain).map(|call| call.name()),
        _ => Sysno::new(plain).map(|call| call.name()),
    };
    known.map_or_else(|| format!("syscall_{number}"), str::to_owned)
}

/// What is known of the call with this name.
pub(super) fn shape(name: &str) -> (Shape, When) {
    use When::{Always, Refused};
    match name {
        "open" => (one(at(0), Write::Flags(1)), Always),
        "openat" => (one(below(0, 1), Write::Flags(2)), Always),
        "openat2" => (one(below(0, 1), Write::How(2)), Always),
        "creat" | "mkdir" | "rmdir" | "unlink" | "chmod" | "chown" | "lchown" | "chown32" | "lchown32" | "truncate"
        | "truncate64" | "mknod" | "utime" | "utimes" | "setxattr" | "lsetxattr" | "removexattr" | "lremovexattr" => {
            (FIRST, Always)
        }
        "mkdirat" | "unlinkat" | "fchmodat" | "fchmodat2" | "fchownat" | "mknodat" | "utimensat"
        | "utimensat_time64" | "futimesat" | "setxattrat" | "removexattrat" | "open_tree" | "mount_setattr" => {
            (BELOW, Always)
        }
        "rename" | "link" => (both(at(0), at(1), two(name)), Always),
        "renameat" | "renameat2" | "linkat" => (both(below(0, 1), below(2, 3), two(name)), Always),
        "symlink" => (one(at(1), Write::Yes), Always),
        "symlinkat" => (one(below(1, 2), Write::Yes), Always),
        "execve" | "chdir" | "chroot" | "statfs" | "statfs64" | "acct" | "swapon" | "uselib" => (FIRST_READ, Always),
        "execveat" | "name_to_handle_at" => (BELOW_READ, Always),
        "inotify_add_watch" => (one(at(1), Write::No), Always),
        "fanotify_mark" => (one(below(3, 4), Write::No), Always),
        "mount" | "pivot_root" => (one(at(1), Write::Yes), Always),
        "umount" | "umount2" => (FIRST, Always),
        "move_mount" => (one(below(2, 3), Write::Yes), Always),
        "access" => (one(at(0), Write::Mode(1)), Refused),
        "faccessat" | "faccessat2" => (one(below(0, 1), Write::Mode(2)), Refused),
        "stat" | "lstat" | "stat64" | "lstat64" | "readlink" | "getxattr" | "lgetxattr" | "listxattr"
        | "llistxattr" => (FIRST_READ, Refused),
        "newfstatat" | "fstatat64" | "statx" | "readlinkat" => (BELOW_READ, Refused),
        "fchmod" | "fchown" | "fchown32" | "ftruncate" | "ftruncate64" | "fsetxattr" | "fremovexattr" => {
            (Shape::Descriptor(0, Write::Yes), Always)
        }
        "fallocate" => (Shape::Descriptor(0, Write::Yes), Refused),
        "fchdir" => (Shape::Descriptor(0, Write::No), Refused),
        "socket" => (Shape::Socket, Always),
        "connect" | "bind" => (Shape::Address(1, 2), Always),
        "sendto" => (Shape::Address(4, 5), Always),
        "sendmsg" => (Shape::Message, Always),
        _ => (Shape::Plain, Refused),
    }
}

const fn two(name: &str) -> Write {
    // A rename takes the first name away; a link leaves it as it is.
    if name.as_bytes()[0] == b'r' { Write::Yes } else { Write::Second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_same_number_is_another_call_through_int_0x80() {
        assert_eq!(name(0xC000_003E, 2), "open");
        assert_eq!(name(I386, 5), "open");
        assert_eq!(name(0xC000_003E, X32 | 2), "open");
        assert_eq!(name(0xC000_003E, 100_000), "syscall_100000");
    }

    #[test]
    fn a_rename_changes_both_of_its_paths_and_a_link_one() {
        assert!(matches!(shape("renameat2").0, Shape::Paths([Some(_), Some(_)], Write::Yes)));
        assert!(matches!(shape("link").0, Shape::Paths([Some(_), Some(_)], Write::Second)));
    }
}
