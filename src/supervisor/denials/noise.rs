//! Which refusals mean nothing: what programs try as a matter of course, and go on without. Pure.

use std::path::Path;

use updates_protocol::{SandboxPlan, TracedCall};

use super::explain::{OnMachine, is_bus};

/// Calls that the C library and interpreters try and have another way for.
const TRIED_ANYWAY: [&str; 12] = [
    "clone3",
    "rseq",
    "openat2",
    "faccessat2",
    "fchmodat2",
    "statx",
    "close_range",
    "copy_file_range",
    "memfd_secret",
    "set_robust_list",
    "map_shadow_stack",
    "io_uring_setup",
];

/// Whether the refusal of `call` means nothing.
pub(super) fn is_noise(plan: &SandboxPlan, call: &TracedCall, machine: Option<&OnMachine>) -> bool {
    let error = call.error.as_deref().unwrap_or_default();
    if error == "ENOSYS" && (plan.system_call_filter.is_none() || TRIED_ANYWAY.contains(&call.call.as_str())) {
        return true;
    }
    let Some(machine) = machine else {
        // A socket that waits, or a peer that is not there.
        return ["EAGAIN", "EALREADY", "EISCONN", "ENOTCONN", "EPIPE", "EDESTADDRREQ"].contains(&error);
    };
    let path = machine.path.as_path();
    // What is nowhere on the machine is not hidden. To make something there is another matter, which needs its parent.
    let absent = error == "ENOENT" && !machine.exists && !(call.write && machine.parent);
    // Who speaks to systemd needs it, whether this machine happens to run it or not.
    let absent = absent && !(call.call == "connect" && is_bus(path));
    absent || is_cache_of_python(path) || path.starts_with("/proc/self") || path == Path::new("/dev/tty")
}

/// What Python writes beside a source file if it can.
pub(in crate::supervisor) fn is_cache_of_python(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "__pycache__")
        || path.extension().is_some_and(|kind| kind == "pyc")
}
