//! Which modules run, and why the others do not: pure, from manifests and the state of units.

use std::collections::{BTreeMap, BTreeSet};

use updates_protocol::{Manifest, ModuleName, UnitName};

/// A module that does not run, and the sentence that says why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skip {
    /// Which module.
    pub module: ModuleName,
    /// Why, for a person.
    pub reason: String,
}

/// Splits `manifests` into the names that run and those that do not.
///
/// `named` are the modules of the command line; empty means all, and the others are then left out without a word.
/// `is_active` tells whether a unit runs. Of a group the implementation with the lowest `group_order`, then name, whose
/// `service_name` is active runs; one without a `service_name` is always able to.
pub fn select(
    manifests: &[Manifest],
    named: &BTreeSet<ModuleName>,
    is_active: impl Fn(&UnitName) -> bool,
) -> (Vec<ModuleName>, Vec<Skip>) {
    let mut skips = Vec::new();
    let mut enabled = Vec::new();
    for manifest in manifests {
        if manifest.enabled {
            enabled.push(manifest);
        } else if named.is_empty() || named.contains(&manifest.name) {
            let reason = format!("is disabled; `updates enable {}` enables it", manifest.name);
            skips.push(Skip { module: manifest.name.clone(), reason });
        }
    }
    let chosen = choose(&enabled, is_active);
    let mut run = Vec::new();
    for manifest in enabled.into_iter().filter(|m| named.is_empty() || named.contains(&m.name)) {
        match manifest.group.as_deref().map(|group| (group, chosen.get(group))) {
            None => run.push(manifest.name.clone()),
            Some((_, Some(Some(chosen)))) if **chosen == manifest.name => run.push(manifest.name.clone()),
            Some((group, Some(Some(chosen)))) => skips
                .push(Skip { module: manifest.name.clone(), reason: format!("group {group:?} is served by {chosen}") }),
            Some((group, _)) => skips.push(Skip {
                module: manifest.name.clone(),
                reason: format!("no service of group {group:?} is active"),
            }),
        }
    }
    (run, skips)
}

/// The units whose state [`select`] will ask for.
pub fn units_of_groups(manifests: &[Manifest]) -> Vec<UnitName> {
    let units: BTreeSet<_> =
        manifests.iter().filter(|m| m.enabled && m.group.is_some()).filter_map(|m| m.service_name.clone()).collect();
    units.into_iter().collect()
}

fn choose<'m>(
    enabled: &[&'m Manifest],
    is_active: impl Fn(&UnitName) -> bool,
) -> BTreeMap<&'m str, Option<&'m ModuleName>> {
    let mut groups: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
    for manifest in enabled {
        if let Some(group) = &manifest.group {
            groups.entry(group).or_default().push(manifest);
        }
    }
    groups
        .into_iter()
        .map(|(group, mut members)| {
            members.sort_by_key(|m| (m.group_order, m.name.clone()));
            let first = members.into_iter().find(|m| m.service_name.as_ref().is_none_or(&is_active));
            (group, first.map(|m| &m.name))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest(name: &str, metadata: serde_json::Value, service: &str) -> Manifest {
        let mut document = json!({"metadata": {"schema_version": "1", "name": name}, "configuration": {}});
        document["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
        if !service.is_empty() {
            document["configuration"]["service_name"] = service.into();
        }
        let object = document.as_object().unwrap().clone();
        Manifest::from_object(object, &name.parse().unwrap()).unwrap().0
    }

    fn names(run: &[ModuleName]) -> Vec<&str> {
        run.iter().map(ModuleName::as_str).collect()
    }

    #[test]
    fn of_a_group_the_first_active_implementation_runs() {
        let all = [
            manifest("apache", json!({"group": "web", "group_order": 1}), "apache2"),
            manifest("caddy", json!({"group": "web", "group_order": 3}), "caddy"),
            manifest("nginx", json!({"group": "web", "group_order": 2}), "nginx"),
            manifest("other", json!({}), ""),
        ];
        let (run, skips) = select(&all, &BTreeSet::new(), |unit| unit.as_str() != "apache2");
        assert_eq!(names(&run), ["nginx", "other"]);
        assert!(skips.iter().all(|skip| skip.reason.contains("served by nginx")), "{skips:?}");

        let (run, skips) = select(&all, &BTreeSet::new(), |_| false);
        assert_eq!(names(&run), ["other"]);
        assert_eq!(skips.len(), 3);
    }

    #[test]
    fn a_named_module_does_not_change_its_groups_choice() {
        let all = [
            manifest("a", json!({"group": "g", "group_order": 1}), "a"),
            manifest("b", json!({"group": "g", "group_order": 2}), "b"),
        ];
        let named = BTreeSet::from(["b".parse().unwrap()]);
        let (run, skips) = select(&all, &named, |_| true);
        assert!(run.is_empty());
        assert_eq!(skips[0].reason, "group \"g\" is served by a");
    }

    #[test]
    fn a_disabled_module_is_skipped_with_the_way_out() {
        let all = [manifest("a", json!({"enabled": false}), "")];
        let (run, skips) = select(&all, &BTreeSet::new(), |_| true);
        assert!(run.is_empty());
        assert!(skips[0].reason.contains("updates enable a"));
    }
}
