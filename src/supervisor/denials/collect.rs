//! All refusals of one attempt to one list: each thing once, whatever calls tried it.

use std::collections::BTreeMap;
use std::path::Path;

use updates_protocol::TracedCall;

use super::explain::{HIDDEN, OnMachine, Rules, explain};
use crate::record::{Denial, Denials};

/// The call that says that the rest could not be followed; see the runner's trace.
const CUT: &str = "trace";

/// Explains `calls`; `look` says what is at a path of the machine that modules see.
pub fn collect(rules: &Rules<'_>, calls: &[TracedCall], look: &dyn Fn(&Path) -> OnMachine) -> Denials {
    let mut found: BTreeMap<(&'static str, String, Option<String>), Denial> = BTreeMap::new();
    let mut denials = Denials::default();
    for call in calls {
        if call.call == CUT && call.path.is_none() {
            denials.cut = true;
            continue;
        }
        let machine = call.path.as_deref().map(|path| look(Path::new(path)));
        let Some(explanation) = explain(rules, call, machine.as_ref()) else {
            denials.left_out += usize::from(call.error.is_some());
            continue;
        };
        // Without path and address, it is the call itself that was refused.
        let subject = match (&call.path, &call.about) {
            (None, None) => Some(call.call.clone()),
            (path, about) => path.clone().or_else(|| about.clone()),
        };
        let allow = explanation.allow.filter(|allow| !allow.is_null());
        let key = (explanation.rule, explanation.why.clone(), subject);
        let denial = found.entry(key).or_insert_with(|| Denial {
            calls: Vec::new(),
            path: call.path.clone(),
            about: call.about.clone(),
            error: call.error.clone().unwrap_or_else(|| HIDDEN.to_owned()),
            rule: explanation.rule.to_owned(),
            why: explanation.why,
            allow,
        });
        if let Err(at) = denial.calls.binary_search(&call.call) {
            denial.calls.insert(at, call.call.clone());
        }
    }
    denials.refused = found.into_values().collect();
    denials
}
