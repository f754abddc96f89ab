//! What the state of one module is saved from and put back to: the machine, its systemd, and the passwords of the
//! module's databases, which are kept in memory alone.

use std::cell::RefCell;
use std::os::fd::AsFd;

use updates_protocol::{Database, ModuleName};

use super::Supervisor;
use crate::catalog::{Catalog, CatalogEntry};
use crate::config::Machine;
use crate::database::Passwords;
use crate::process::CancelToken;
use crate::service::Systemd;
use crate::state::Live;

/// The surroundings of one module, for one run of it.
pub(super) struct Surroundings<'a> {
    machine: Machine,
    systemd: Option<Systemd>,
    passwords: RefCell<Passwords>,
    cancel: &'a CancelToken,
    by_content: bool,
}

impl<'a> Surroundings<'a> {
    /// Those of a module that declares `databases`.
    pub(super) fn new(supervisor: &'a Supervisor, databases: &[Database]) -> Self {
        let mut passwords = Passwords::default();
        passwords.remember(databases);
        Self {
            machine: supervisor.layout.machine(),
            systemd: supervisor.systemd().ok(),
            passwords: RefCell::new(passwords),
            cancel: &supervisor.cancel,
            by_content: false,
        }
    }

    /// Those of `module`, with the passwords that it declares where it is installed: they stand nowhere else.
    pub(super) fn of_module(supervisor: &'a Supervisor, module: &ModuleName) -> Self {
        match Catalog::open(&supervisor.layout).module(module) {
            Some(CatalogEntry::Installed(installed)) => Self::new(supervisor, &installed.manifest.databases),
            _ => Self::new(supervisor, &[]),
        }
    }

    /// The systemd to be asked, where there is one; that it answers is another matter.
    pub(super) fn systemd(&self) -> Option<&Systemd> {
        self.systemd.as_ref()
    }

    /// Remembers passwords that a module has told.
    pub(super) fn remember<'d>(&self, databases: impl IntoIterator<Item = &'d Database>) {
        self.passwords.borrow_mut().remember(databases);
    }

    /// For a backup, which is given up when the run is interrupted.
    pub(super) fn while_saving<T>(&self, work: impl FnOnce(Live<'_>) -> T) -> T {
        let passwords = self.passwords.borrow().clone();
        work(Live { interrupt: Some(self.cancel.as_fd()), ..self.live(&passwords) })
    }

    /// For a restore, which never is: half a way back is worse than a late end.
    pub(super) fn while_restoring<T>(&self, work: impl FnOnce(Live<'_>) -> T) -> T {
        let passwords = self.passwords.borrow().clone();
        work(self.live(&passwords))
    }

    /// For a restore after the machine went down: what a file's status says may not be true of its content.
    pub(super) fn after_a_boot(self) -> Self {
        Self { by_content: true, ..self }
    }

    fn live<'l>(&'l self, passwords: &'l Passwords) -> Live<'l> {
        Live {
            machine: &self.machine,
            systemd: self.systemd.as_ref(),
            passwords,
            interrupt: None,
            by_content: self.by_content,
        }
    }
}
