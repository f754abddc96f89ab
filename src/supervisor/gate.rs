//! Whether a run may begin something new: the maintenance window of the settings, asked by a clock that is given.
//!
//! What has begun goes on to its end, and putting back is never kept waiting.

use jiff::Zoned;

use crate::config::{MaintenanceWindow, WindowState};

/// What the time is, in the time zone that windows are meant in; [`Zoned::now`] but in tests.
pub type Clock = fn() -> Zoned;

/// The window, and the clock to hold it against.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    window: MaintenanceWindow,
    clock: Clock,
}

impl Gate {
    /// A gate that follows `window`.
    pub(super) fn new(window: MaintenanceWindow, clock: Clock) -> Self {
        Self { window, clock }
    }

    /// A gate that nothing shuts.
    pub(super) fn open() -> Self {
        Self::new(MaintenanceWindow::default(), Zoned::now)
    }

    /// When it opens next, where it is shut now.
    pub(super) fn shut(&self) -> Option<Shut> {
        match self.window.is_restricted().then(|| self.window.at(&(self.clock)()))? {
            WindowState::Open => None,
            WindowState::Closed { opens } => Some(Shut { window: self.window.to_string(), opens }),
        }
    }
}

/// It is outside of every window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shut {
    pub(super) window: String,
    pub(super) opens: Option<Zoned>,
}
