//! What happens during a run, as values: workers send them, one dispatcher writes them down and shows them.

use std::time::Duration;

use updates_protocol::{CancelReason, ModuleName, Phase};

use crate::record::{LogLine, ModuleRecord, RollbackRecord, SyncRecord, UpdateRecord};
use crate::state::Progress;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A module that an earlier, interrupted run left behind was put back.
    Recovered(RollbackRecord),
    /// The source is being asked.
    Syncing {
        /// URL or path, without credentials.
        source: String,
    },
    /// The source was asked.
    Synced(SyncRecord),
    /// The source has a newer version of this program; what becomes of it.
    Program(UpdateRecord),
    /// A module's code was looked at, and perhaps replaced.
    Update(UpdateRecord),
    /// These modules will run, in this order.
    Planned(Vec<ModuleName>),
    /// An attempt begins.
    Started {
        /// Which module.
        module: ModuleName,
        /// Which part.
        phase: Phase,
        /// 1, or 2 after a restart.
        attempt: u32,
    },
    /// A line of a module's log.
    Log(LogLine),
    /// How far a module is.
    Progress {
        /// Which module.
        module: ModuleName,
        /// What it does.
        step: String,
        /// How many are done.
        current: Option<f64>,
        /// Of how many.
        total: Option<f64>,
        /// Of what.
        unit: Option<String>,
    },
    /// How far work on a slot of a module is.
    Working {
        /// Which module.
        module: ModuleName,
        /// How far.
        progress: Progress,
    },
    /// Half of a module's time is over.
    Slow {
        /// Which module.
        module: ModuleName,
        /// When it will be stopped.
        limit: Duration,
    },
    /// A module is told to end.
    Stopping {
        /// Which module.
        module: ModuleName,
        /// Why.
        reason: CancelReason,
    },
    /// Something odd about a module that does not stop it.
    Warning {
        /// Which module.
        module: ModuleName,
        /// What is odd, with file and field.
        text: String,
    },
    /// A module asked to be started afresh.
    Restarting {
        /// Which module.
        module: ModuleName,
    },
    /// What a module did is being taken back.
    RollingBack {
        /// Which module.
        module: ModuleName,
        /// Why.
        reason: String,
    },
    /// A module is done.
    Ended(Box<ModuleRecord>),
    /// Something that belongs to no module.
    Problem(String),
    /// The run was asked to end.
    Interrupted,
}

impl Event {
    pub(super) fn working(module: &ModuleName, progress: Progress) -> Self {
        Event::Working { module: module.clone(), progress }
    }
}

/// Whoever shows a run to a person. Called by the dispatcher alone.
pub trait Observer {
    /// Shows one event.
    fn observe(&mut self, event: &Event);
}
