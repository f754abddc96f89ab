//! How a module's manifest adjusts its profile. Every wish that can be understood is followed here; whether it goes
//! beyond what the profile allows is told by [`Profile::beyond`], and whether it is granted is the supervisor's to decide.

use updates_protocol::{FieldError, Manifest, SandboxRequest};

use super::provenance::Origin;
use super::{AddressFamily, Capability, Profile, ProfileError, RunAs, SystemCallEntry, contradiction};

/// Sets a field of the profile that has the key's name, where the manifest has a value for it.
macro_rules! set {
    ($profile:ident, $request:ident, $($key:ident),*) => {
        $(if let Some(value) = $request.$key {
            $profile.$key = value;
            $profile.provenance.replace(stringify!($key), &field(stringify!($key)));
        })*
    };
    ($profile:ident, $request:ident, optional $($key:ident),*) => {
        $(if let Some(value) = &$request.$key {
            $profile.$key = Some(value.clone());
            $profile.provenance.replace(stringify!($key), &field(stringify!($key)));
        })*
    };
}

impl Profile {
    /// Lets the manifest's declarations and its `sandbox` object adjust the profile.
    pub(super) fn adjusted(mut self, manifest: &Manifest) -> Result<Self, ProfileError> {
        let refuse = |field| ProfileError::Request { module: manifest.name.clone(), field };
        self.adjust_paths(manifest).map_err(refuse)?;
        self.adjust_settings(&manifest.sandbox);
        self.adjust_privileges(&manifest.sandbox).map_err(refuse)?;
        if manifest.exclusive {
            self.exclusive = true;
            self.provenance.replace("exclusive", &Origin::Manifest { field: "metadata.exclusive".to_owned() });
        }
        Ok(self)
    }

    fn adjust_paths(&mut self, manifest: &Manifest) -> Result<(), FieldError> {
        let request = &manifest.sandbox;
        // What a module declares for itself is open to it, though the profile hides the same path from the others.
        let declared: Vec<_> = manifest.declared_paths().chain(&request.volatile_paths).cloned().collect();
        // Whoever has to read a key only should not have to ask to write it.
        let opened = declared.iter().chain(&request.read_only_paths);
        self.inaccessible_paths.retain(|hidden| !opened.clone().any(|path| path.as_path() == hidden.as_path()));
        let backed_up = Origin::Manifest { field: "configuration.backup_paths".to_owned() };
        for path in &manifest.backup_paths {
            self.provenance.add("read_write_paths", path.to_string(), &backed_up);
            self.read_write_paths.push(path.clone());
        }
        for (key, asked, list) in [
            ("read_write_paths", &request.read_write_paths, &mut self.read_write_paths),
            ("read_only_paths", &request.read_only_paths, &mut self.read_only_paths),
            ("inaccessible_paths", &request.inaccessible_paths, &mut self.inaccessible_paths),
            ("volatile_paths", &request.volatile_paths, &mut self.volatile_paths),
        ] {
            for path in asked {
                self.provenance.add(key, path.to_string(), &field(key));
                list.push(path.clone());
            }
        }
        for path in self.writable_paths() {
            if let Some(problem) = contradiction::not_writable(path.as_path()) {
                return Err(wrong("read_write_paths", format!("{path} {problem}")));
            }
        }
        contradiction::hidden_and_writable(&request.inaccessible_paths, &declared)
            .map_err(|problem| wrong("inaccessible_paths", problem))
    }

    fn adjust_settings(&mut self, request: &SandboxRequest) {
        set!(self, request, protect_home, protect_proc, private_network, restrict_suid_sgid, restrict_realtime);
        set!(self, request, restrict_namespaces, lock_personality, memory_deny_write_execute);
        set!(self, request, runtime_max_sec, timeout_stop_sec, memory_max, tasks_max, limit_nofile, tmp_size);
        set!(self, request, optional limit_fsize, cpu_quota, bind_tcp_ports, connect_tcp_ports);
        for (key, value) in &request.environment {
            self.provenance.add("environment", key.clone(), &field("environment"));
            self.environment.insert(key.clone(), value.clone());
        }
    }

    fn adjust_privileges(&mut self, request: &SandboxRequest) -> Result<(), FieldError> {
        let user = match (&request.user, request.dynamic_user) {
            (Some(_), Some(true)) => {
                return Err(wrong(
                    "dynamic_user",
                    "is a user of its own, and user names another; remove one".to_owned(),
                ));
            }
            (Some(user), _) => {
                let parsed = RunAs::parse(user);
                Some(("user", parsed.map_err(|problem| wrong("user", format!("{user:?} {problem}")))?))
            }
            (None, Some(true)) => Some(("dynamic_user", RunAs::Dynamic)),
            (None, Some(false)) if self.user == RunAs::Dynamic => Some(("dynamic_user", RunAs::Root)),
            (None, _) => None,
        };
        if let Some((key, user)) = user {
            // A user that is not root has no use for the profile's capabilities, and asked to be bound more.
            if user != RunAs::Root {
                self.capability_bounding_set.clear();
                self.provenance.replace("capability_bounding_set", &field(key));
            }
            self.user = user;
            self.provenance.replace("user", &field(key));
        }
        if let Some(names) = &request.capability_bounding_set {
            self.capability_bounding_set = parsed("capability_bounding_set", names, Capability::parse)?;
            self.provenance.replace("capability_bounding_set", &field("capability_bounding_set"));
        }
        if let Some(problem) = contradiction::useless_capabilities(self) {
            return Err(wrong("capability_bounding_set", problem));
        }
        for entry in parsed("system_call_filter", &request.system_call_filter, SystemCallEntry::parse)? {
            self.provenance.add("system_call_filter", entry.to_string(), &field("system_call_filter"));
            self.system_call_filter.push(entry);
        }
        let families = &request.restrict_address_families;
        for (taken_away, family) in parsed("restrict_address_families", families, AddressFamily::entry)? {
            self.provenance.add("restrict_address_families", family.to_string(), &field("restrict_address_families"));
            AddressFamily::apply(&mut self.restrict_address_families, taken_away, family);
        }
        Ok(())
    }
}

pub(super) fn parsed<T>(
    key: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, FieldError> {
    let one = |(index, text): (usize, &String)| {
        parse(text).map_err(|problem| wrong(&format!("{key}[{index}]"), format!("{text:?} {problem}")))
    };
    texts.iter().enumerate().map(one).collect()
}

fn field(key: &str) -> Origin {
    Origin::Manifest { field: format!("sandbox.{key}") }
}

fn wrong(key: &str, problem: String) -> FieldError {
    FieldError { field: format!("sandbox.{key}"), problem }
}
