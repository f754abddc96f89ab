//! The entry point, straight from the C library.
//!
//! The standard library's own would first read `/proc/self/maps` for the bounds of the stack, set up an alternate stack
//! and look at each standard descriptor, which together takes longer than preparing a sandbox does. The runner needs
//! none of it: it has no threads, no recursion without bound, and makes its own arrangements for signals.
#![allow(unsafe_code)] // an unmangled name is an unsafe attribute

use nix::libc::{c_char, c_int};

// SAFETY: `main` is what the C library calls, with this signature, and nothing else of this program has that name.
#[unsafe(no_mangle)]
extern "C" fn main(_argc: c_int, _argv: *const *const c_char) -> c_int {
    crate::run().into()
}
