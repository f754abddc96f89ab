//! What every part of a run needs: places, settings, the program's own parts, and the token that ends it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use updates_protocol::{RunId, Turn, UnitName};

use super::checkpoints::Checkpoints;
use super::gate::Gate;
use super::lock::RunLock;
use crate::catalog::Catalog;
use crate::config::{Config, Layout, Machine};
use crate::fs::{IoContext, PathError};
use crate::process::{CancelToken, CgroupHierarchy, NetworkNamespaces};
use crate::profile::TopLevel;
use crate::service::Systemd;

/// Where the program's own parts lie, as absolute paths.
#[derive(Debug, Clone)]
pub struct Installation {
    /// The runner.
    pub runner: PathBuf,
    /// The folder of the Python SDK and its host.
    pub sdk: PathBuf,
    /// The folder of the shipped sandbox profiles.
    pub profiles: PathBuf,
}

/// One supervisor: what stays the same for the whole process.
#[derive(Debug, Clone)]
pub struct Supervisor {
    /// Where everything lies.
    pub layout: Layout,
    /// The administrator's settings.
    pub config: Config,
    /// The program's own parts.
    pub installation: Installation,
    /// Set when the process was asked to end.
    pub cancel: CancelToken,
}

impl Supervisor {
    /// The systemd that modules may ask for. Below a root that is not this machine's: a configured program's answers, or a
    /// sentence that says so.
    pub(super) fn systemd(&self) -> Result<Systemd, String> {
        match (&self.config.systemctl, self.layout.machine()) {
            (Some(program), _) => Ok(Systemd::new(program.clone())),
            (None, Machine::Host) => Ok(Systemd::system()),
            (None, Machine::Root(_)) => Err("below --root the services of this machine are neither looked at nor \
                 controlled; run.systemctl in config.toml can name a program to ask instead"
                .to_owned()),
        }
    }

    /// Which of `units` are active. Without systemd none is, and the reason is returned beside.
    pub(super) fn active_units(&self, units: &[UnitName]) -> (BTreeMap<UnitName, bool>, Option<String>) {
        if units.is_empty() {
            return (BTreeMap::new(), None);
        }
        let systemd = self.config.systemctl.clone().map_or_else(Systemd::system, Systemd::new);
        match systemd.states(units) {
            Ok(states) => (states.into_iter().map(|(unit, state)| (unit, state.is_active())).collect(), None),
            Err(error) => (BTreeMap::new(), Some(error.to_string())),
        }
    }
}

/// What stays the same for every module of one run.
#[derive(Debug)]
pub(super) struct RunContext<'a> {
    pub(super) supervisor: &'a Supervisor,
    pub(super) run_id: RunId,
    pub(super) catalog: &'a Catalog,
    checkpoints: Option<&'a Checkpoints>,
    /// What runners have to hold; in everything but a check.
    pub(super) turn: Option<Turn>,
    pub(super) cgroups: CgroupHierarchy,
    /// Lent to the modules without a network.
    pub(super) networks: NetworkNamespaces,
    /// What is in `/` of this machine: read once a run.
    pub(super) host_top: Vec<TopLevel>,
    /// What reaches `main(args)`.
    pub(super) arguments: Vec<String>,
    /// Whether another module may begin.
    pub(super) gate: Gate,
    /// Whether nothing may be changed.
    pub(super) check: bool,
    /// Whether modules are traced, to explain what is refused.
    pub(super) trace: bool,
    /// An empty folder that belongs to nobody; in a check.
    pub(super) empty: Option<PathBuf>,
    /// The machine's host name, which modules see too.
    pub(super) hostname: String,
    _scratch: Option<tempfile::TempDir>,
}

impl<'a> RunContext<'a> {
    /// Gathers what the machine says; without the lock and `checkpoints` it is a check, and nothing may be changed.
    pub(super) fn new(
        supervisor: &'a Supervisor,
        run_id: RunId,
        catalog: &'a Catalog,
        held: Option<(&RunLock, &'a Checkpoints)>,
        arguments: Vec<String>,
    ) -> Result<Self, PathError> {
        let checkpoints = held.map(|(_, checkpoints)| checkpoints);
        // Only a check shows it, and a run that is killed would leave it behind.
        let scratch = match checkpoints {
            Some(_) => None,
            None => Some(scratch()?),
        };
        Ok(Self {
            supervisor,
            run_id,
            catalog,
            check: checkpoints.is_none(),
            checkpoints,
            turn: held.map(|(lock, _)| lock.turn().clone()),
            cgroups: CgroupHierarchy::find(),
            networks: NetworkNamespaces::default(),
            host_top: TopLevel::list(Path::new("/"))?,
            arguments,
            gate: Gate::open(),
            trace: false,
            empty: scratch.as_ref().map(|folder| folder.path().to_owned()),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            _scratch: scratch,
        })
    }

    /// Where checkpoints are kept. There are none in a check.
    pub(super) fn checkpoints(&self) -> Result<&'a Checkpoints, String> {
        self.checkpoints.ok_or_else(|| "a check takes no checkpoint".to_owned())
    }
}

fn scratch() -> Result<tempfile::TempDir, PathError> {
    let temporary = std::env::temp_dir();
    tempfile::Builder::new().prefix("updates-").tempdir_in(&temporary).at("create a folder in", &temporary)
}
