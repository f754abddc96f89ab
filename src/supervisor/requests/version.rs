//! Requests for versions of the module's own code; another module's are never given.
//!
//! A checkout is granted while the module runs and carried out when it is settled: see `supervisor::versions`.

use serde::Deserialize;
use serde_json::{Value, json};
use updates_protocol::{ModuleName, Phase, SchemaVersion};

use super::{Denial, Grants, failed};
use crate::catalog::Catalog;
use crate::supervisor::versions::{Known, grant};

#[derive(Deserialize)]
pub(super) struct VersionArguments {
    module_name: ModuleName,
    #[serde(default)]
    target_version: Option<SchemaVersion>,
}

impl Grants<'_> {
    pub(super) fn version(&self, what: &str, arguments: VersionArguments) -> Result<Value, Denial> {
        if arguments.module_name != *self.module {
            let (other, own) = (arguments.module_name, self.module);
            return Err(format!("{own} may ask for its own versions only, not for those of {other}").into());
        }
        match what {
            "list" => self.list_versions(),
            _ => self.check_out(arguments.target_version.as_ref()),
        }
    }

    fn list_versions(&self) -> Result<Value, Denial> {
        let catalog = Catalog::open(&self.supervisor.layout);
        let known = Known::of(self.supervisor, &catalog, self.module).map_err(failed)?;
        let versions =
            known.tags.versions.iter().map(
                |found| json!({"tag": found.tag, "version": found.name.version, "timestamp": found.name.timestamp()}),
            );
        let mut left = LONGEST_LIST;
        let fits = versions.take_while(|version| {
            left = left.saturating_sub(version.to_string().len() + 1);
            left > 0
        });
        Ok(Value::Array(fits.collect()))
    }

    fn check_out(&self, version: Option<&SchemaVersion>) -> Result<Value, Denial> {
        if !self.target.installed || !self.journal.has_checkpoint() {
            return Err(format!("{} is not installed: there is no version of it to replace", self.module).into());
        }
        if self.phase == Phase::Maintenance {
            return Err("a version is checked out by main, not by maintenance: its code is about to run".into());
        }
        let (candidate, wanted) = grant(self.supervisor, self.target, version).map_err(failed)??;
        let pending = wanted.is_some();
        self.journal.will_check_out(wanted).map_err(failed)?;
        Ok(json!({"version": candidate.version, "tag": candidate.origin.tag(), "pending": pending}))
    }
}

/// How many bytes a module is told of, the newest versions first: they have to fit in one line of the protocol.
const LONGEST_LIST: usize = 48 << 10;
