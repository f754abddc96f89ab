//! The references that a source advertises, as bytes.
//!
//! `git2::RemoteHead::name` panics on a name that is not UTF-8, which git allows and any source can have; so the names
//! are read from libgit2's own structure here, and nothing else is.
#![allow(unsafe_code)]

use std::ffi::CStr;

use git2::{Oid, Remote, RemoteHead};
use libgit2_sys::git_remote_head;

/// One advertised reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub name: Vec<u8>,
    pub id: Oid,
}

/// Every reference that the connected `remote` advertises, without the peeled ones (`^{}`).
pub(super) fn advertised(remote: &Remote<'_>) -> Result<Vec<Head>, git2::Error> {
    Ok(remote
        .list()?
        .iter()
        .map(|head| Head { name: name(head), id: head.oid() })
        .filter(|head| !head.name.ends_with(b"^{}"))
        .collect())
}

fn name(head: &RemoteHead<'_>) -> Vec<u8> {
    const { assert!(size_of::<RemoteHead<'_>>() == size_of::<*const git_remote_head>()) };
    // SAFETY: a RemoteHead is one pointer to a git_remote_head: `Remote::list` makes the slice by reinterpreting libgit2's
    // array of such pointers. The structure and its NUL-terminated name belong to the remote, which `head` borrows.
    unsafe {
        let raw: *const git_remote_head = std::mem::transmute_copy(head);
        let name = (*raw).name;
        if name.is_null() { Vec::new() } else { CStr::from_ptr(name).to_bytes().to_vec() }
    }
}
