//! Requests for versions of the module's own code. This release has none to give; another module's are never given.

use serde::Deserialize;
use serde_json::Value;
use updates_protocol::ModuleName;

use super::{Denial, Grants};

#[derive(Deserialize)]
pub(super) struct VersionArguments {
    module_name: ModuleName,
}

impl Grants<'_> {
    pub(super) fn version(&self, arguments: VersionArguments) -> Result<Value, Denial> {
        if arguments.module_name != *self.module {
            let (other, own) = (arguments.module_name, self.module);
            return Err(format!("{own} may ask for its own versions only, not for those of {other}").into());
        }
        Err("versions can't be listed or checked out by this release of updates".into())
    }
}
