//! One inode, held by an `O_PATH` descriptor: its metadata read and set without opening what it stands for.
//!
//! A FIFO is never waited on, a device never started, a link never followed. Calls that take no descriptor of this
//! kind go through `/proc/self/fd`, which leads to the inode itself, so a name swapped meanwhile changes nothing.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, Gid, IFlags, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, getxattr, ioctl_getflags,
    ioctl_setflags, listxattr, openat, readlinkat, removexattr, setxattr, utimensat,
};
use rustix::io::Errno;

use super::{Flags, Kind, Status, Time};

/// Extended attributes by name, in the order of their names.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// A handle to one inode.
#[derive(Debug)]
pub struct Node {
    descriptor: OwnedFd,
    magic: String,
}

impl AsFd for Node {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Node {
    /// Takes hold of `name` in `directory`, whatever it is, without following it if it is a link.
    pub fn open(directory: impl AsFd, name: &OsStr) -> io::Result<Node> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Node::from_descriptor(openat(directory, name, flags, Mode::empty())?))
    }

    /// Takes an `O_PATH` descriptor that is open already.
    pub fn from_descriptor(descriptor: OwnedFd) -> Node {
        let magic = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
        Node { descriptor, magic }
    }

    /// Its status now.
    pub fn status(&self) -> io::Result<Status> {
        Status::at(&self.descriptor, OsStr::new(""))
    }

    /// Opens it for reading. Only for a regular file or a directory: anything else is refused unopened.
    pub fn read(&self) -> io::Result<File> {
        self.require_plain()?;
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match rustix::fs::open(&self.magic, flags | OFlags::NOATIME, Mode::empty()) {
            // Only the owner and CAP_FOWNER may leave the access time alone.
            Err(Errno::PERM) => Ok(File::from(rustix::fs::open(&self.magic, flags, Mode::empty())?)),
            other => Ok(File::from(other?)),
        }
    }

    fn require_plain(&self) -> io::Result<()> {
        match self.status()?.kind {
            Kind::File | Kind::Directory => Ok(()),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a directory")),
        }
    }

    /// What a symbolic link says, as bytes.
    pub fn link_target(&self) -> io::Result<Vec<u8>> {
        Ok(readlinkat(&self.descriptor, "", Vec::new())?.into_bytes())
    }

    /// All extended attributes that this process may see, ACLs and capabilities among them. A file system that has
    /// none yields none.
    pub fn xattrs(&self) -> io::Result<Xattrs> {
        let mut found = Xattrs::new();
        for name in self.xattr_names()? {
            match grow(|buffer| getxattr(&self.magic, name.as_c_str(), buffer)) {
                Ok(value) => found.push((name.into_bytes(), value)),
                // Removed since it was listed.
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn xattr_names(&self) -> io::Result<Vec<CString>> {
        let list = match grow(|buffer| listxattr(&self.magic, buffer)) {
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            other => other?,
        };
        Ok(list.split(|&byte| byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
    }

    /// Makes the extended attributes exactly these: others are removed, equal ones left alone.
    pub fn set_xattrs(&self, wanted: &Xattrs) -> io::Result<()> {
        let present = self.xattrs()?;
        for (name, _) in present.iter().filter(|(name, _)| !wanted.iter().any(|(other, _)| other == name)) {
            removexattr(&self.magic, name.as_slice())?;
        }
        for attribute in wanted.iter().filter(|attribute| !present.contains(attribute)) {
            setxattr(&self.magic, attribute.0.as_slice(), &attribute.1, XattrFlags::empty())?;
        }
        Ok(())
    }

    /// Sets owner and group. The kernel clears setuid, setgid and capabilities with it, so this comes first.
    pub fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(chownat(&self.descriptor, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?)
    }

    /// Sets the 12 permission bits. Links have none.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::chmod(&self.magic, Mode::from_raw_mode(mode))?)
    }

    /// Sets the times of last access and last change.
    pub fn set_times(&self, atime: Time, mtime: Time) -> io::Result<()> {
        let times = Timestamps { last_access: timespec(atime), last_modification: timespec(mtime) };
        Ok(utimensat(CWD, &self.magic, &times, AtFlags::empty())?)
    }

    /// Sets the flags of chattr(1) that [`Flags`] knows, and leaves the others. Files and directories alone have them.
    pub fn set_flags(&self, wanted: Flags) -> io::Result<()> {
        let file = self.read()?;
        let before = ioctl_getflags(&file)?;
        let mut after = before;
        after.set(IFlags::IMMUTABLE, wanted.immutable);
        after.set(IFlags::APPEND, wanted.append);
        after.set(IFlags::NODUMP, wanted.nodump);
        if after == before { Ok(()) } else { Ok(ioctl_setflags(&file, after)?) }
    }
}

fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}

/// Calls `read` with ever larger buffers until the answer fits; the kernel's own bound is 64 KiB.
fn grow(mut read: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    let mut size = 1024;
    loop {
        let mut buffer = vec![0; size];
        match read(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) if size < 1 << 20 => size *= 4,
            Err(error) => return Err(error),
        }
    }
}
