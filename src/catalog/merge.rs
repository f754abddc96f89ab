//! The three-way merge of a module's `index.json`: what was shipped, what it has become locally, what is shipped now.
//!
//! Whatever only one side changed is taken from that side. Where both did, the local value wins and the report says so. A
//! key that is no longer shipped goes, unless it was changed locally: then it stays whole and the report says so. Objects
//! merge key by key, lists whose elements are objects with an `id` merge element by element; other lists are values.
//! `metadata.schema_version`, `name` and `description` describe the code and are always those shipped now.
//!
//! Where it is not known what was shipped, a difference can't be told from an update: shipped values are taken, but for
//! `enabled` and `has_run`, which are a server's own; keys and elements that only exist locally stay.

use std::collections::HashMap;

use serde_json::{Map, Value};

const CODE_S_OWN: [&str; 3] = ["schema_version", "name", "description"];
const SERVER_S_OWN: [&str; 2] = ["enabled", "has_run"];

/// A merged document, and what a person should know about it; each list holds dotted paths.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Merged {
    /// The document; keys in the order in which they are shipped now, local ones after them.
    pub document: Map<String, Value>,
    /// Where both changed a value and the local one won.
    pub overridden: Vec<String>,
    /// What is no longer shipped and stays because it was changed locally.
    pub retained: Vec<String>,
    /// Where a local value gave way, because it is not known whether it was shipped once.
    pub replaced: Vec<String>,
}

impl Merged {
    /// The report as sentences; empty when there is nothing to say.
    pub fn notes(&self) -> Vec<String> {
        let sentence =
            |paths: &[String], what: &str| (!paths.is_empty()).then(|| format!("{what}: {}", paths.join(", ")));
        [
            sentence(&self.overridden, "changed here and in the new version, the local value was kept"),
            sentence(&self.retained, "no longer shipped, kept because it was changed here"),
            sentence(
                &self.replaced,
                "differed from what is shipped now and was replaced, since no shipped copy was known",
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Merges `local`, which came of `base` (`None`: not known), into `new`.
pub fn merge(base: Option<&Map<String, Value>>, local: &Map<String, Value>, new: &Map<String, Value>) -> Merged {
    let mut merge = Merge(Merged::default());
    let document = merge.object("", base.map_or(Base::Unknown, Base::Known), local, new);
    Merged { document, ..merge.0 }
}

/// Dotted paths of everything in which `local` differs from `base`.
pub(super) fn changes(base: &Map<String, Value>, local: &Map<String, Value>) -> Vec<String> {
    let mut paths = Vec::new();
    collect_changes("", base, local, &mut paths);
    paths
}

/// What was shipped at the place that is being merged.
#[derive(Clone, Copy)]
enum Base<T> {
    Unknown,
    Absent,
    Known(T),
}

impl<'a> Base<&'a Map<String, Value>> {
    fn get(self, key: &str) -> Base<&'a Value> {
        match self {
            Base::Unknown => Base::Unknown,
            Base::Absent => Base::Absent,
            Base::Known(map) => map.get(key).map_or(Base::Absent, Base::Known),
        }
    }
}

impl<'a> Base<&'a Value> {
    fn narrow<T>(self, part: impl FnOnce(&'a Value) -> Option<T>) -> Base<T> {
        match self {
            Base::Unknown => Base::Unknown,
            Base::Absent => Base::Absent,
            Base::Known(value) => part(value).map_or(Base::Absent, Base::Known),
        }
    }
}

struct Merge(Merged);

impl Merge {
    fn object(
        &mut self,
        path: &str,
        base: Base<&Map<String, Value>>,
        local: &Map<String, Value>,
        new: &Map<String, Value>,
    ) -> Map<String, Value> {
        let is_code_s_own = |key: &str| path == "metadata" && CODE_S_OWN.contains(&key);
        let mut merged = Map::new();
        for (key, shipped) in new {
            let here = join(path, key);
            let value = match local.get(key) {
                _ if is_code_s_own(key) => Some(shipped.clone()),
                Some(local) => Some(self.value(&here, key, base.get(key), local, shipped)),
                None => self.only_shipped(&here, base.get(key), shipped),
            };
            if let Some(value) = value {
                merged.insert(key.clone(), value);
            }
        }
        for (key, value) in local {
            if !new.contains_key(key) && !is_code_s_own(key) && self.stays(join(path, key), base.get(key), value) {
                merged.insert(key.clone(), value.clone());
            }
        }
        merged
    }

    fn value(&mut self, path: &str, key: &str, base: Base<&Value>, local: &Value, new: &Value) -> Value {
        let both_objects = local.is_object() && new.is_object();
        // Below `metadata`, a key is looked at even where nothing seems to need a merge: some are never local.
        if path != "metadata" {
            match base {
                _ if local == new => return new.clone(),
                Base::Known(base) if local == base => return new.clone(),
                Base::Known(base) if new == base => return local.clone(),
                _ => {}
            }
        } else if !both_objects {
            return new.clone();
        }
        if let (Value::Object(local), Value::Object(new)) = (local, new) {
            return Value::Object(self.object(path, base.narrow(Value::as_object), local, new));
        }
        if let (Some(local), Some(new)) = (Elements::of(local), Elements::of(new)) {
            return Value::Array(self.list(path, base.narrow(Elements::of), &local, &new));
        }
        match base {
            Base::Unknown if SERVER_S_OWN.contains(&key) && local.is_boolean() && new.is_boolean() => local.clone(),
            Base::Unknown => {
                self.0.replaced.push(path.to_owned());
                new.clone()
            }
            Base::Absent | Base::Known(_) => {
                self.0.overridden.push(path.to_owned());
                local.clone()
            }
        }
    }

    fn list(&mut self, path: &str, base: Base<Elements<'_>>, local: &Elements<'_>, new: &Elements<'_>) -> Vec<Value> {
        let shipped_before = |id: &str| match &base {
            Base::Unknown => Base::Unknown,
            Base::Absent => Base::Absent,
            Base::Known(elements) => elements.get(id).map_or(Base::Absent, Base::Known),
        };
        let mut kept: Vec<(&str, Value)> = Vec::new();
        for (id, shipped) in &new.0 {
            let here = format!("{path}[{id}]");
            let value = match local.get(id) {
                Some(local) => Some(self.value(&here, "", shipped_before(id), local, shipped)),
                None => self.only_shipped(&here, shipped_before(id), shipped),
            };
            kept.extend(value.map(|value| (id.as_str(), value)));
        }
        // An element that is only local stands behind the element that it stands behind locally.
        let mut behind: HashMap<Option<&str>, Vec<&Value>> = HashMap::new();
        let mut anchor = None;
        for (id, value) in &local.0 {
            if new.get(id).is_some() {
                anchor = Some(id.as_str());
            } else if self.stays(format!("{path}[{id}]"), shipped_before(id), value) {
                behind.entry(anchor).or_default().push(value);
            }
        }
        let followers = |anchor| behind.get(&anchor).into_iter().flatten().map(|value| (*value).clone());
        let mut list: Vec<Value> = followers(None).collect();
        for (id, value) in kept {
            list.push(value);
            list.extend(followers(Some(id)));
        }
        list
    }

    // What to do with something that is shipped and is not there locally.
    fn only_shipped(&mut self, path: &str, base: Base<&Value>, shipped: &Value) -> Option<Value> {
        let Base::Known(base) = base else { return Some(shipped.clone()) };
        if base != shipped {
            self.0.overridden.push(path.to_owned());
        }
        None
    }

    // Whether something that is there locally and not shipped stays.
    fn stays(&mut self, path: String, base: Base<&Value>, local: &Value) -> bool {
        match base {
            Base::Unknown | Base::Absent => true,
            Base::Known(base) if base == local => false,
            Base::Known(_) => {
                self.0.retained.push(path);
                true
            }
        }
    }
}

/// A list whose elements are objects with an `id` each, none twice.
struct Elements<'a>(Vec<(String, &'a Value)>, HashMap<String, &'a Value>);

impl<'a> Elements<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        let list = value.as_array()?;
        let mut elements = Vec::with_capacity(list.len());
        let mut by_id = HashMap::with_capacity(list.len());
        for element in list {
            let id = match element.get("id")? {
                Value::String(id) => id.clone(),
                // Apart from the string of the same digits.
                Value::Number(id) => format!("#{id}"),
                _ => return None,
            };
            if by_id.insert(id.clone(), element).is_some() {
                return None;
            }
            elements.push((id, element));
        }
        Some(Self(elements, by_id))
    }

    fn get(&self, id: &str) -> Option<&'a Value> {
        self.1.get(id).copied()
    }
}

fn collect_changes(path: &str, base: &Map<String, Value>, local: &Map<String, Value>, paths: &mut Vec<String>) {
    for (key, value) in local {
        match (base.get(key), value) {
            (Some(before), value) if before == value => {}
            (Some(Value::Object(before)), Value::Object(value)) => {
                collect_changes(&join(path, key), before, value, paths);
            }
            _ => paths.push(join(path, key)),
        }
    }
    paths.extend(base.keys().filter(|key| !local.contains_key(*key)).map(|key| join(path, key)));
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
