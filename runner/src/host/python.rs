//! A Python module is run by the SDK's host, which imports it, calls it and sends what it returned.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use updates_protocol::ModuleInvocation;

/// `python3 -I -S host.py FD KIND ENTRY [ARG…]`: isolated from the environment and the user's packages, and without
/// the site module, which costs a third of the interpreter's start.
pub(super) fn arguments(interpreter: &Path, sdk: &Path, file: &Path, module: &ModuleInvocation) -> Vec<Vec<u8>> {
    let path = |path: &Path| path.as_os_str().as_bytes().to_vec();
    let mut arguments = vec![path(interpreter), b"-I".to_vec(), b"-S".to_vec(), path(&sdk.join("host.py"))];
    arguments.extend([b"3".to_vec(), module.phase.as_str().into(), path(file)]);
    arguments.extend(module.arguments.iter().map(|argument| argument.clone().into_bytes()));
    arguments
}
