//! The system call filter: the last restriction before exec, because it binds the runner's own steps as well.
//!
//! The program comes complete from the supervisor; here it is read, checked for its form and installed. After that only
//! write(2), execve(2) and exit_group(2) are called. See seccomp(2).

use std::collections::BTreeMap;

use nix::libc::sock_filter;
use rustix::io::Errno;
use updates_protocol::{SetupFailure, SystemCallFilter};

use super::failure::refused;
use crate::kernel;

const STEP: &str = "system_call_filter";
/// Bytes of a `struct sock_filter`.
const INSTRUCTION: usize = 8;
/// BPF_MAXINSNS of linux/bpf_common.h.
const MAX_INSTRUCTIONS: usize = 4096;

/// A filter that is well-formed and can be installed, or none.
#[derive(Debug)]
#[must_use]
pub(super) struct Filter {
    program: Vec<sock_filter>,
    /// What the report says, once it holds.
    pub(super) summary: Option<String>,
    /// The settings that hold with it.
    pub(super) settings: BTreeMap<String, String>,
    /// Why the kernel can't hold what was planned, where the profile lets that pass.
    pub(super) missing: Option<String>,
}

impl Filter {
    pub(super) fn prepare(planned: Option<&SystemCallFilter>, best_effort: bool) -> Result<Self, SetupFailure> {
        let none = Self { program: Vec::new(), summary: None, settings: BTreeMap::new(), missing: None };
        let Some(SystemCallFilter { program, summary, settings }) = planned else { return Ok(none) };
        let program = parse(program)?;
        match kernel::can_filter_system_calls() {
            Ok(()) => Ok(Self { program, summary: Some(summary.clone()), settings: settings.clone(), missing: None }),
            Err(error) => {
                let why = format!(
                    "the kernel has no seccomp filters (CONFIG_SECCOMP_FILTER), or a filter around this process hides \
                     them: {error}"
                );
                if best_effort {
                    return Ok(Self { missing: Some(why), settings: settings.clone(), ..none });
                }
                refused(STEP, format!("{why}; use such a kernel, or list {STEP} under best_effort in the profile"))
            }
        }
    }

    /// Installs it in this process. Needs `no_new_privs` or CAP_SYS_ADMIN.
    pub(super) fn install(&self) -> Result<(), SetupFailure> {
        if self.program.is_empty() {
            return Ok(());
        }
        kernel::filter_system_calls(&self.program).or_else(|error| {
            let why = match error {
                Errno::INVAL => "the kernel rejects the program",
                Errno::NOMEM => "too many filters around this process already, or no memory",
                _ => "installing the program",
            };
            refused(STEP, format!("{why}: {error}"))
        })
    }
}

fn parse(program: &str) -> Result<Vec<sock_filter>, SetupFailure> {
    let digits = program.as_bytes();
    let count = digits.len() / (2 * INSTRUCTION);
    if !digits.len().is_multiple_of(2 * INSTRUCTION) || !(1..=MAX_INSTRUCTIONS).contains(&count) {
        let length = digits.len();
        return refused("plan", format!("{STEP}: {length} digits are not 1 to {MAX_INSTRUCTIONS} instructions of 16"));
    }
    let mut bytes = [0; INSTRUCTION];
    let mut instructions = Vec::with_capacity(count);
    for instruction in digits.chunks_exact(2 * INSTRUCTION) {
        for (byte, pair) in bytes.iter_mut().zip(instruction.chunks_exact(2)) {
            match (digit(pair[0]), digit(pair[1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => {
                    return refused(
                        "plan",
                        format!("{STEP}: the program holds something that is no hexadecimal digit"),
                    );
                }
            }
        }
        let [c0, c1, jt, jf, k0, k1, k2, k3] = bytes;
        let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([k0, k1, k2, k3]));
        instructions.push(sock_filter { code, jt, jf, k });
    }
    Ok(instructions)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character).to_digit(16).map(|value| value as u8)
}
