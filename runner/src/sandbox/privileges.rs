//! Capabilities, `no_new_privs` and the keyring of a process that is about to become the module, and of init.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
};
use updates_protocol::{Enforcement, SetupFailure};

use super::failure::{OrFail, refused};
use crate::kernel;

#[derive(Debug)]
pub(super) struct Privileges {
    kept: CapabilitySet,
}

impl Privileges {
    /// Takes names as in capabilities(7).
    pub(super) fn parse(names: &[String]) -> Result<Self, SetupFailure> {
        let mut kept = CapabilitySet::empty();
        for name in names {
            match name.strip_prefix("CAP_").and_then(CapabilitySet::from_name) {
                Some(capability) => kept |= capability,
                None => return refused("plan", format!("capability_bounding_set: '{name}' is no capability")),
            }
        }
        Ok(Self { kept })
    }

    /// Leaves the keys of the supervisor's session behind.
    pub(super) fn drop_keyring(&self, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        match kernel::join_new_session_keyring() {
            Ok(()) => enforcement.enforced("keyring", "a session keyring of its own"),
            Err(Errno::NOSYS) => enforcement.enforced("keyring", "the kernel has none"),
            Err(error) => return Err(error).or_fail("keyring", || "new session keyring".to_owned()),
        }
        Ok(())
    }

    /// An ordinary user keeps none, whatever the plan lists: there is no set from which exec would give it any.
    pub(super) fn keep_none(&mut self) {
        self.kept = CapabilitySet::empty();
    }

    /// Drops from the bounding set, which is what holds after exec: user 0 gets back whatever it contains. Needs
    /// CAP_SETPCAP, so it comes before the user changes.
    pub(super) fn bound(&self) -> Result<(), SetupFailure> {
        // A program that keeps capabilities over a change of user, or hands them on to others, is none of a module's.
        let locked = CapabilitiesSecureBits::KEEP_CAPS_LOCKED
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
            | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
        set_capabilities_secure_bits(locked).or_fail("capabilities", || "locking the securebits".to_owned())?;
        bound(self.kept)
    }

    /// Reduces every other set of this process for good.
    pub(super) fn drop_capabilities(&self, enforcement: &mut Enforcement) -> Result<(), SetupFailure> {
        clear_ambient_capability_set().or_fail("capabilities", || "clearing the ambient set".to_owned())?;
        let kept = reduce(self.kept)?;
        let names: Vec<String> = kept.iter_names().map(|(name, _)| format!("CAP_{name}")).collect();
        enforcement.enforced("capabilities", if names.is_empty() { "none".to_owned() } else { names.join(", ") });
        set_no_new_privs(true).or_fail("no_new_privs", || "prctl".to_owned())?;
        enforcement.enforced("no_new_privs", "PR_SET_NO_NEW_PRIVS");
        Ok(())
    }
}

/// What init keeps while the module runs: it has to signal processes that may have changed their user and, when it
/// traces them, to look into them.
pub fn keep_what_init_needs(traces: bool) -> Result<(), SetupFailure> {
    let trace = if traces { CapabilitySet::SYS_PTRACE } else { CapabilitySet::empty() };
    reduce(CapabilitySet::KILL | trace)?;
    set_no_new_privs(true).or_fail("no_new_privs", || "prctl".to_owned())
}

fn bound(kept: CapabilitySet) -> Result<(), SetupFailure> {
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if kept.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            Ok(()) => {}
            Err(Errno::INVAL) => return Ok(()), // past the last one that this kernel knows
            Err(error) => return Err(error).or_fail("capabilities", || format!("bounding set, number {number}")),
        }
    }
    Ok(())
}

fn reduce(kept: CapabilitySet) -> Result<CapabilitySet, SetupFailure> {
    let own = capabilities(None).or_fail("capabilities", || "reading the own sets".to_owned())?;
    let kept = own.permitted & kept;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).or_fail("capabilities", || "setting the own sets".to_owned())?;
    Ok(kept)
}
