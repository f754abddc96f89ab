//! `updates self-test`: whether this program works on this machine, without touching anything of it.
//!
//! Everything happens in a folder of its own: the database is a copy, and the module runs below a root that is empty.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use crate::config::Layout;
use crate::fs::IoContext;
use crate::history::{self, History};
use crate::program::{Probed, version};
use crate::record::{ExitStatus, RunRecord};
use crate::supervisor::event::{Event, Observer};
use crate::supervisor::{OneModule, OneOptions, Supervisor};

struct Silent;

impl Observer for Silent {
    fn observe(&mut self, _: &Event) {}
}

impl Supervisor {
    /// Tries each part in turn, up to the first that fails. That the settings can be read is known already: they are
    /// this value's.
    pub fn self_test(&self) -> Probed {
        let mut probed = Probed { version: version().to_owned(), passed: vec!["settings".to_owned()], failed: None };
        if let Err(error) = self.try_all(&mut probed.passed) {
            probed.failed = Some(error);
        }
        probed
    }

    fn try_all(&self, passed: &mut Vec<String>) -> Result<(), String> {
        let temporary = std::env::temp_dir();
        let scratch = tempfile::Builder::new()
            .prefix("updates-self-test-")
            .tempdir_in(&temporary)
            .at("create a folder in", &temporary)
            .map_err(|error| error.to_string())?;
        let database = scratch.path().join("updates.db");
        history::copy(&self.layout.database(), &database).map_err(|error| error.to_string())?;
        History::open(&database).map_err(|error| error.to_string())?;
        passed.push("a copy of the database".to_owned());
        self.one(scratch.path(), "executable", "index", "#!/bin/sh\nexit 0\n")?;
        passed.push("an executable module in a sandbox".to_owned());
        // Where there is no Python here, modules that need it fail with this version and with any other.
        if self.config.python.exists() {
            self.one(scratch.path(), "python", "index.py", "def main(args=None):\n    return {\"success\": True}\n")?;
            passed.push("a Python module in a sandbox".to_owned());
        }
        Ok(())
    }

    fn one(&self, scratch: &Path, name: &str, file: &str, code: &str) -> Result<(), String> {
        let root = scratch.join(format!("{name}.root"));
        let module = scratch.join(name);
        write_module(&root, &module, name, file, code).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let inner = Supervisor {
            layout: Layout::new(&root),
            config: self.config.clone(),
            installation: self.installation.clone(),
            cancel: self.cancel.clone(),
        };
        let options = OneOptions {
            module: OneModule::Folder(module),
            arguments: Vec::new(),
            check: false,
            explain_denials: false,
            wait: Duration::ZERO,
        };
        let record = inner.run_one(&options, &mut Silent).map_err(|error| error.to_string())?;
        match record.status {
            Some(ExitStatus::Success) => Ok(()),
            _ => Err(format!("the {name} module failed: {}", why(&record))),
        }
    }
}

fn write_module(root: &Path, module: &Path, name: &str, file: &str, code: &str) -> std::io::Result<()> {
    for folder in [root, module] {
        fs::create_dir_all(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    }
    let index = json!({
        "metadata": {"schema_version": "1.0.0", "name": name, "description": "Tries whether modules run"},
        "sandbox": {"profile": "strict"},
    });
    fs::write(module.join("index.json"), index.to_string())?;
    fs::write(module.join(file), code)?;
    fs::set_permissions(module.join(file), fs::Permissions::from_mode(0o755))
}

fn why(record: &RunRecord) -> String {
    let messages = record.modules.iter().filter_map(|module| module.message.clone());
    messages.chain(record.problems.iter().cloned()).collect::<Vec<_>>().join("; ")
}
