//! What the filter of system calls refused: by the list of calls, or by one of the settings that look at arguments. Pure.
//!
//! The kernel asks the filter before anything else, so a refusal that it explains has no other cause. A trace has no raw
//! arguments; where a setting refuses some of them only, it is named once nothing else explains the refusal.

use serde_json::json;
use updates_protocol::TracedCall;

use super::capability::lacking;
use super::explain::{Explanation, Rules, choose};
use crate::profile::{AddressFamily, Profile, allowed};

/// A call that is not on the profile's list, or a family of sockets that is not.
pub(super) fn refuses(rules: &Rules<'_>, call: &TracedCall, error: &str) -> Option<Explanation> {
    rules.plan.system_call_filter.as_ref()?;
    let name = call.call.as_str();
    if name == "socket" && error == "EAFNOSUPPORT" {
        return Some(family(rules, call.about.as_deref()?));
    }
    let unlisted = error == "EPERM" && !lists(rules.profile, name);
    let needs = lacking(name, call.about.as_deref()).filter(|_| unlisted);
    let needs = needs.map(|capability| format!(", which needs {capability} as well")).unwrap_or_default();
    (unlisted || matches!(error, "SIGSYS" | "ENOSYS")).then(|| Explanation {
        rule: "system_call_filter",
        why: format!("the filter of the profile {} refuses {name}{needs}", rules.profile.name),
        allow: choose(rules, |profile| {
            let held = |needed| profile.capability_bounding_set.iter().any(|held| held.as_str() == needed);
            unlisted && lists(profile, name) && lacking(name, call.about.as_deref()).is_none_or(held)
        }),
    })
}

/// A setting that refuses the call with some arguments.
pub(super) fn restricts(rules: &Rules<'_>, call: &TracedCall, error: &str) -> Option<Explanation> {
    rules.plan.system_call_filter.as_ref().filter(|_| error == "EPERM")?;
    let restricted = rules.profile.restrictions();
    let (key, open, what): (_, fn(&Profile) -> bool, _) = match call.call.as_str() {
        "chmod" | "fchmod" | "fchmodat" | "fchmodat2" | "creat" | "open" | "openat" | "mknod" | "mknodat"
            if restricted.suid_sgid =>
        {
            ("restrict_suid_sgid", |profile| !profile.restrict_suid_sgid, "nothing becomes setuid or setgid")
        }
        "sched_setscheduler" | "sched_setattr" if restricted.realtime => {
            ("restrict_realtime", |profile| !profile.restrict_realtime, "there is no real-time scheduling")
        }
        "clone" | "unshare" | "setns" if restricted.namespaces => {
            ("restrict_namespaces", |profile| !profile.restrict_namespaces, "no namespace is made or entered")
        }
        "personality" if restricted.lock_personality => {
            ("lock_personality", |profile| !profile.lock_personality, "the execution domain stays")
        }
        "mmap" | "mprotect" | "pkey_mprotect" | "shmat" if restricted.memory_deny_write_execute => {
            ("memory_deny_write_execute", |profile| !profile.memory_deny_write_execute, "no code is made at run time")
        }
        _ => return None,
    };
    let allow = match rules.profile.allow.switches_off(key) {
        true => Some(json!({"sandbox": {key: false}})),
        false => choose(rules, open),
    };
    Some(Explanation { rule: key, why: format!("under the profile {} {what}", rules.profile.name), allow })
}

fn family(rules: &Rules<'_>, name: &str) -> Explanation {
    let why = format!("the profile {} has no sockets of {name}", rules.profile.name);
    let allow = AddressFamily::parse(name).ok().and_then(|family| match rules.profile.allow.opens(&family) {
        true => Some(json!({"sandbox": {"restrict_address_families": [name]}})),
        false => choose(rules, |profile| profile.restrict_address_families.contains(&family)),
    });
    Explanation { rule: "restrict_address_families", why, allow }
}

fn lists(profile: &Profile, call: &str) -> bool {
    allowed(&profile.system_call_filter).contains(call)
}
