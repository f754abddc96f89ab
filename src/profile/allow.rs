//! `allow`: how far a module's manifest may loosen its profile before a person has to say yes.
//!
//! This part compares and tells; nothing is granted or refused here. What tightens a profile needs no allowance.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use updates_protocol::{DeclaredPath, FieldError, Manifest, Object, nearest};

use super::{AddressFamily, Capability, Profile, ProfileError, RunAs, SystemCallEntry, allowed, number};

/// What a manifest may ask for beyond its profile. Nothing, unless the profile says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    paths: BTreeMap<&'static str, Within>,
    /// Upper ends of numbers, by key.
    numbers: BTreeMap<&'static str, u64>,
    /// Restrictions that may be switched off.
    switches: BTreeSet<&'static str>,
    capabilities: Vec<Capability>,
    calls: Vec<SystemCallEntry>,
    families: Vec<AddressFamily>,
    users: Vec<RunAs>,
    services: Vec<String>,
}

/// Folders below which paths may be, and those in them that they may neither be, hold nor lie in, written with a `~`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Within {
    folders: Vec<DeclaredPath>,
    but: Vec<DeclaredPath>,
}

/// Something that a manifest asks for and that its profile does not allow by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excess {
    /// The key of the `sandbox` object, `backup_paths` being `read_write_paths` here.
    pub key: String,
    /// What is asked for.
    pub asked: String,
    /// What would be allowed, for a person.
    pub allowed: String,
}

const PATHS: [&str; 3] = ["read_write_paths", "read_only_paths", "volatile_paths"];
const SWITCHES: [&str; 7] = [
    "private_network",
    "protect_home",
    "restrict_suid_sgid",
    "restrict_realtime",
    "restrict_namespaces",
    "lock_personality",
    "memory_deny_write_execute",
];

impl Allowance {
    /// Whether a manifest may set the restriction `key` to false.
    pub fn switches_off(&self, key: &str) -> bool {
        self.switches.contains(key)
    }

    /// Whether a manifest may add `family` to those of its sockets.
    pub fn opens(&self, family: &AddressFamily) -> bool {
        self.families.contains(family)
    }

    /// Reads the `allow` object of a profile file.
    pub(super) fn parse(value: &Value, file: &Object<'_>) -> Result<Self, FieldError> {
        let Value::Object(_) = value else { return Err(file.error("allow", "expected an object")) };
        let allow = file.object("allow")?;
        let mut found = Self::default();
        for key in allow.keys() {
            found.read(&allow, key)?;
        }
        Ok(found)
    }

    fn read(&mut self, allow: &Object<'_>, key: &str) -> Result<(), FieldError> {
        let one_of = |keys: &[&'static str]| keys.iter().copied().find(|known| *known == key);
        if let Some(key) = one_of(&PATHS) {
            self.paths.insert(key, Within::parse(allow, key)?);
        } else if let Some(key) = one_of(&number::KEYS) {
            if let Some(value) = number::parse(allow, key)? {
                self.numbers.insert(key, value);
            }
        } else if let Some(key) = one_of(&SWITCHES) {
            match allow.boolean(key)? {
                Some(false) => self.switches.insert(key),
                _ => return Err(allow.error(key, "can only be allowed to be false; remove it to keep it true")),
            };
        } else {
            match key {
                "capability_bounding_set" => self.capabilities = allow.list(key, 100, Capability::parse)?,
                "system_call_filter" => self.calls = allow.list(key, 1000, SystemCallEntry::parse)?,
                "restrict_address_families" => self.families = allow.list(key, 100, AddressFamily::parse)?,
                "user" => self.users = allow.list(key, 100, RunAs::parse)?,
                "services" => {
                    self.services = allow.list(key, 1000, |text| Ok::<_, std::convert::Infallible>(text.to_owned()))?;
                }
                _ => {
                    let more = [
                        "capability_bounding_set",
                        "system_call_filter",
                        "restrict_address_families",
                        "user",
                        "services",
                    ];
                    let known: Vec<_> = [&PATHS[..], &number::KEYS, &SWITCHES, &more].concat();
                    let hint = nearest(key, &known).map(|key| format!("; did you mean {key}?")).unwrap_or_default();
                    return Err(allow.error(key, format!("can't be allowed beforehand{hint}")));
                }
            }
        }
        Ok(())
    }
}

impl Profile {
    /// What `manifest` asks for beyond this profile, which is the one that it names, and beyond what it allows. Nothing:
    /// the module may have what it asks for without a person's yes.
    pub fn beyond(&self, manifest: &Manifest) -> Result<Vec<Excess>, ProfileError> {
        let wanted = self.clone().adjusted(manifest)?;
        let mut excess = Vec::new();
        for key in wanted.loosened_against(self) {
            self.excess_of(key, &wanted, &mut excess);
        }
        for (path, hidden) in self.opened(&wanted) {
            let allowed = format!("{hidden} is hidden");
            excess.push(Excess { key: "inaccessible_paths".to_owned(), asked: path.to_string(), allowed });
        }
        let may_control = |unit: &str| self.allow.services.iter().any(|known| known == unit || known == "*");
        for unit in manifest.sandbox.services.iter().filter(|unit| !may_control(unit.as_str())) {
            let allowed = list(&self.allow.services);
            excess.push(Excess { key: "services".to_owned(), asked: unit.to_string(), allowed });
        }
        Ok(excess)
    }

    fn excess_of(&self, key: &'static str, wanted: &Profile, excess: &mut Vec<Excess>) {
        let mut add = |asked: String, allowed: String| {
            excess.push(Excess { key: key.to_owned(), asked, allowed });
        };
        let allow = &self.allow;
        match key {
            "read_write_paths" | "read_only_paths" | "volatile_paths" => {
                let none = Within::default();
                let within = allow.paths.get(key).unwrap_or(&none);
                let (ours, theirs) = match key {
                    "read_write_paths" => (&wanted.read_write_paths, &self.read_write_paths),
                    "read_only_paths" => (&wanted.read_only_paths, &self.read_only_paths),
                    _ => (&wanted.volatile_paths, &self.volatile_paths),
                };
                for path in ours.iter().filter(|path| !theirs.contains(path) && !within.holds(path)) {
                    add(path.to_string(), within.describe(path));
                }
            }
            // Told path by path.
            "inaccessible_paths" => {}
            "capability_bounding_set" => {
                let known = |held: &&Capability| {
                    self.capability_bounding_set.contains(held) || allow.capabilities.contains(held)
                };
                for held in wanted.capability_bounding_set.iter().filter(|held| !known(held)) {
                    add(held.to_string(), list(&allow.capabilities));
                }
            }
            "system_call_filter" => {
                let mut possible = allowed(&self.system_call_filter).as_ref().clone();
                possible.extend(allowed(&allow.calls).iter());
                for call in allowed(&wanted.system_call_filter).difference(&possible) {
                    add((*call).to_owned(), list(&allow.calls));
                }
            }
            "restrict_address_families" => {
                let held = &self.restrict_address_families;
                let known = |family: &&AddressFamily| held.contains(family) || allow.families.contains(family);
                for family in wanted.restrict_address_families.iter().filter(|family| !known(family)) {
                    add(family.to_string(), list(&allow.families));
                }
            }
            "user" | "dynamic_user" if allow.users.contains(&wanted.user) => {}
            "user" | "dynamic_user" => add(wanted.user.to_string(), list(&allow.users)),
            _ if allow.switches.contains(key) => {}
            _ => match (number::of(wanted, key), allow.numbers.get(key)) {
                (Some(asked), Some(most)) if asked <= *most => {}
                (Some(asked), most) => {
                    let most = most.copied().or(number::of(self, key)).unwrap_or_default();
                    add(number::text(key, asked), format!("up to {}", number::text(key, most)));
                }
                (None, _) if SWITCHES.contains(&key) => add("false".to_owned(), "true".to_owned()),
                (None, _) => add("more".to_owned(), "as the profile has it".to_owned()),
            },
        }
    }

    /// Paths that `wanted` opens although they are, or lie in, what this profile hides.
    fn opened<'a>(&'a self, wanted: &'a Profile) -> impl Iterator<Item = (&'a DeclaredPath, &'a DeclaredPath)> {
        let ours: BTreeSet<_> = self.writable_paths().chain(&self.read_only_paths).map(DeclaredPath::as_path).collect();
        let opened = wanted.writable_paths().chain(&wanted.read_only_paths);
        opened.filter(move |path| !ours.contains(path.as_path())).filter_map(|path| {
            self.inaccessible_paths.iter().find(|hidden| path.is_within(hidden)).map(|hidden| (path, hidden))
        })
    }
}

impl Within {
    fn parse(allow: &Object<'_>, key: &str) -> Result<Self, FieldError> {
        let entry = |text: &str| match text.strip_prefix('~') {
            Some(path) => DeclaredPath::new(path).map(|path| (true, path)),
            None => DeclaredPath::new(text).map(|path| (false, path)),
        };
        let (but, folders): (Vec<_>, Vec<_>) = allow.list(key, 1000, entry)?.into_iter().partition(|(but, _)| *but);
        let paths = |entries: Vec<(bool, DeclaredPath)>| entries.into_iter().map(|(_, path)| path).collect();
        Ok(Self { folders: paths(folders), but: paths(but) })
    }

    /// A folder written with a trailing slash allows what is in it, and not the folder as a whole.
    fn holds(&self, path: &DeclaredPath) -> bool {
        let below = |folder: &DeclaredPath| {
            path.is_within(folder) && !(folder.is_folder() && path.as_path() == folder.as_path())
        };
        self.folders.iter().any(below) && self.exception(path).is_none()
    }

    fn exception(&self, path: &DeclaredPath) -> Option<&DeclaredPath> {
        self.but.iter().find(|other| path.is_within(other) || other.is_within(path))
    }

    /// What is allowed, as far as it matters for a path that is not.
    fn describe(&self, path: &DeclaredPath) -> String {
        match self.exception(path) {
            _ if self.folders.is_empty() => "none".to_owned(),
            Some(exception) => format!("below {}, but not {exception}", list(&self.folders)),
            None => format!("below {}", list(&self.folders)),
        }
    }
}

fn list<T: ToString>(items: &[T]) -> String {
    match items {
        [] => "none".to_owned(),
        items => items.iter().map(T::to_string).collect::<Vec<_>>().join(", "),
    }
}
