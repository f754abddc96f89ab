//! Which steps lead units from what they are to what they were. Pure: it looks at two states of each unit and asks nobody.
//!
//! The order is the point. Sockets, timers and paths go before services, since they start them, and timers and paths come
//! after; a socket comes before its service, since systemd starts none whose service runs already. What is enabled by
//! somebody's doing is disabled before files come back, as long as there is a unit file that says what to disable. A
//! mask goes before whatever it is in the way of, and comes last for the same reason.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use updates_protocol::UnitName;

use super::step::{UnitAction, UnitStep};
use super::unit_state::{Running, UnitFile, UnitState};

/// Where systemd looks for unit files by itself (systemd.unit(5)); one that lies elsewhere is linked.
pub const UNIT_FOLDERS: [&str; 6] =
    ["/etc/systemd", "/run/systemd", "/usr/lib/systemd", "/lib/systemd", "/usr/local/lib/systemd", "/etc/init.d"];

/// One unit, as it was and as it is.
#[derive(Debug, Clone)]
pub(super) struct Pair<'a> {
    pub unit: &'a UnitName,
    pub saved: &'a UnitState,
    pub now: UnitState,
    /// Whether it is to run afterwards, though it did not.
    pub forced: bool,
}

impl Pair<'_> {
    pub fn is_wanted(&self) -> bool {
        self.forced || self.saved.is_up()
    }

    /// Whether it does not run and is to.
    fn is_coming(&self) -> bool {
        self.is_wanted() && !self.now.is_up() && !self.has_ended_by_itself()
    }

    fn is_started_by(&self, trigger: &UnitName) -> bool {
        self.saved.triggered_by.iter().any(|unit| unit.with_suffix() == trigger.with_suffix())
    }

    /// Whether it ran to its end by itself since: what it was doing is done, and to do it again is not its state back.
    pub fn has_ended_by_itself(&self) -> bool {
        !self.forced
            && self.saved.active == "activating"
            && self.saved.ends_by_itself
            && self.now.running() == Running::Down
    }

    /// Whether the machine itself stands on it: never stopped, whatever was declared.
    pub fn is_essential(&self) -> bool {
        let other_name = self.now.id.parse::<UnitName>().ok();
        self.unit.not_controllable().is_some() || other_name.is_some_and(|id| id.not_controllable().is_some())
    }

    /// Whether it runs, or does not, as it did, as far as that can be put back: nothing makes a unit failed again.
    pub fn runs_as_saved(&self) -> bool {
        let same = match (self.saved.running(), self.now.running()) {
            (Running::Failed, Running::Down) => true,
            (saved, now) => saved == now,
        };
        same || self.has_ended_by_itself()
    }

    /// Whether systemd has the same unit file for it and would do the same at boot.
    pub fn is_installed_as_saved(&self) -> bool {
        (self.saved.exists(), &self.saved.enabled) == (self.now.exists(), &self.now.enabled)
    }

    /// The unit that it is another name of, or itself: systemctl enables no alias.
    fn real(&self) -> UnitName {
        let id = if self.now.exists() { &self.now.id } else { &self.saved.id };
        id.parse().unwrap_or_else(|_| self.unit.clone())
    }
}

/// Before files come back. `disturbed` says that something below the units will change.
pub(super) fn before(pairs: &[Pair<'_>], disturbed: bool) -> Vec<UnitStep> {
    let going = |pair: &&Pair<'_>| {
        let moves = pair.now.is_up() || pair.now.active == "deactivating";
        let stays = pair.is_wanted()
            && !disturbed
            && !pair.now.was_restarted_since(pair.saved)
            // Its socket is to come back, and can't while it runs.
            && !pairs.iter().any(|other| is_socket(other.unit) && other.is_coming() && pair.is_started_by(other.unit));
        moves && !stays && !pair.is_essential()
    };
    let stopping = pairs.iter().filter(going);
    let (triggers, others): (Vec<_>, Vec<_>) = stopping.map(|pair| pair.unit.clone()).partition(is_trigger);
    let mut steps = Steps::default();
    steps.all(UnitAction::Stop, triggers);
    let mut more = Steps::default();
    more.all(UnitAction::Stop, others);
    for pair in pairs {
        if let (UnitFile::Enabled { runtime }, false) = (pair.now.unit_file(), pair.saved.is_enabled()) {
            more.one(UnitAction::Disable { runtime }, pair.real());
        }
    }
    steps.0.into_iter().chain(more.0).collect()
}

/// After files came back: masks that were not there, or keep down what is to run.
pub(super) fn unmask(pairs: &[Pair<'_>]) -> Vec<UnitStep> {
    let mut steps = Steps::default();
    for pair in pairs {
        let UnitFile::Masked { runtime } = pair.now.unit_file() else { continue };
        if pair.saved.unit_file() != pair.now.unit_file() || (pair.is_wanted() && !pair.now.is_up()) {
            steps.one(UnitAction::Unmask { runtime }, pair.unit.clone());
        }
    }
    steps.0
}

/// What is started at boot.
pub(super) fn install(pairs: &[Pair<'_>]) -> Vec<UnitStep> {
    let (mut removing, mut adding) = (Steps::default(), Steps::default());
    for pair in pairs {
        let (saved, now) = (pair.saved.unit_file(), pair.now.unit_file());
        if saved == now || pair.saved.is_masked() || pair.now.is_masked() {
            continue;
        }
        if let UnitFile::Enabled { runtime } | UnitFile::Linked { runtime } = now {
            // Enabling what is linked keeps the link.
            if !matches!((saved, now), (UnitFile::Enabled { runtime: a }, UnitFile::Linked { runtime: b }) if a == b) {
                removing.one(UnitAction::Disable { runtime }, pair.real());
            }
        }
        match saved {
            UnitFile::Enabled { runtime } => {
                if let (false, Some(file)) = (pair.now.exists(), foreign_file(pair.saved)) {
                    adding.one(UnitAction::Link { runtime, file }, pair.real());
                }
                adding.one(UnitAction::Enable { runtime }, pair.real());
            }
            UnitFile::Linked { runtime } => {
                if let Some(file) = foreign_file(pair.saved) {
                    adding.one(UnitAction::Link { runtime, file }, pair.real());
                }
            }
            UnitFile::Masked { .. } | UnitFile::Other => {}
        }
    }
    removing.0.into_iter().chain(adding.0).collect()
}

/// What is to run, and what failed and had not.
pub(super) fn start(pairs: &[Pair<'_>]) -> Vec<UnitStep> {
    let mut steps = Steps::default();
    for pair in pairs.iter().filter(|pair| pair.now.running() == Running::Failed) {
        if pair.saved.running() != Running::Failed || pair.forced {
            // Also lets one start that was started too often.
            steps.one(UnitAction::ResetFailed, pair.unit.clone());
        }
    }
    let coming = pairs.iter().filter(|pair| pair.is_coming());
    let (sockets, others): (Vec<_>, Vec<_>) = coming.partition(|pair| is_socket(pair.unit));
    let (triggers, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|pair| is_trigger(pair.unit));
    for group in [sockets, others, triggers] {
        let mut some = Steps::default();
        for pair in group {
            let action = match pair.saved.active.as_str() {
                "activating" => UnitAction::StartWithoutWaiting,
                _ if pair.saved.is_up() => UnitAction::Start,
                _ => UnitAction::ForceStart,
            };
            some.one(action, pair.unit.clone());
        }
        steps.0.extend(some.0);
    }
    steps.0
}

/// Masks that were there.
pub(super) fn mask(pairs: &[Pair<'_>]) -> Vec<UnitStep> {
    let mut steps = Steps::default();
    for pair in pairs {
        if let UnitFile::Masked { runtime } = pair.saved.unit_file()
            && pair.now.unit_file() != pair.saved.unit_file()
        {
            steps.one(UnitAction::Mask { runtime }, pair.unit.clone());
        }
    }
    steps.0
}

/// All steps as they will be if each does what it should.
pub(super) fn predict(mut pairs: Vec<Pair<'_>>, disturbed: bool) -> Vec<UnitStep> {
    let mut steps = before(&pairs, disturbed);
    for step in &steps {
        for pair in &mut pairs {
            match step.action {
                UnitAction::Stop if step.units.contains(pair.unit) => pair.now.active = "inactive".to_owned(),
                UnitAction::Disable { .. } if step.units.contains(&pair.real()) => {
                    pair.now.enabled = "disabled".to_owned();
                }
                _ => {}
            }
        }
    }
    let unmasking = unmask(&pairs);
    for pair in &mut pairs {
        // What is below a mask shows when it is gone.
        if unmasking.iter().any(|step| step.units.contains(pair.unit)) {
            pair.now.enabled = if pair.saved.is_masked() { String::new() } else { pair.saved.enabled.clone() };
        }
    }
    steps.extend(unmasking);
    steps.extend(install(&pairs));
    steps.extend(start(&pairs));
    steps.extend(mask(&pairs));
    steps
}

fn is_trigger(unit: &UnitName) -> bool {
    let name = unit.with_suffix();
    [".socket", ".timer", ".path", ".automount"].iter().any(|suffix| name.ends_with(suffix))
}

fn is_socket(unit: &UnitName) -> bool {
    unit.with_suffix().ends_with(".socket")
}

/// The unit file of one that is linked.
fn foreign_file(state: &UnitState) -> Option<PathBuf> {
    let file = Path::new(&state.fragment);
    let is_foreign = file.is_absolute() && !UNIT_FOLDERS.iter().any(|folder| file.starts_with(folder));
    is_foreign.then(|| file.to_owned())
}

/// Steps in the order of their first unit, one an action, each unit once.
#[derive(Default)]
struct Steps(Vec<UnitStep>);

impl Steps {
    fn one(&mut self, action: UnitAction, unit: UnitName) {
        let found = self.0.iter().position(|step| step.action == action);
        match found.map(|at| &mut self.0[at].units) {
            Some(units) if units.contains(&unit) => {}
            Some(units) => units.push(unit),
            None => self.0.push(UnitStep { action, units: vec![unit] }),
        }
    }

    fn all(&mut self, action: UnitAction, units: Vec<UnitName>) {
        let units: BTreeSet<UnitName> = units.into_iter().collect();
        for unit in units {
            self.one(action.clone(), unit);
        }
    }
}
