//! Where a conversation stands in time: which stage it is in, and when that stage is over.
//!
//! Pure: instants come in, what is due comes out.

use std::time::{Duration, Instant};

use super::Deadline;
use super::runner::DEATH;

/// How long a runner may take from its start until the sandbox stands: milliseconds, where the machine is not overloaded.
/// It is a bound for what hangs, as an interpreter on a file server that is away, and no judgement on a slow machine.
pub(super) const SETUP: Duration = Duration::from_secs(60);
/// How long a runner may take beyond a module's own grace to end everything and say so.
const RUNNER_GRACE: Duration = Duration::from_secs(2);

/// The stages of a conversation, in their order; any may be the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The runner builds the sandbox.
    SettingUp { until: Instant },
    /// The module runs.
    Running { since: Instant, slow_at: Option<Instant>, until: Instant },
    /// It was told to end.
    Stopping { until: Instant },
    /// The result is here; the runner has only to exit.
    Ending { until: Instant },
    /// The runner was killed and has only to be gone.
    Killed { until: Instant },
}

/// What the clock demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// The sandbox did not stand in time.
    SetupOver,
    /// Half of the deadline is over.
    Slow(Duration),
    /// The deadline is over.
    Deadline,
    /// The runner has not ended when it should have: kill it.
    Kill,
    /// Even the killed runner is not gone: leave it.
    Leave,
}

impl Stage {
    pub(super) fn setting_up(now: Instant) -> Self {
        Stage::SettingUp { until: now + SETUP }
    }

    pub(super) fn running(now: Instant, deadline: Deadline) -> Self {
        let slow_at = Some(now + deadline.runtime_max / 2);
        Stage::Running { since: now, slow_at, until: now + deadline.runtime_max }
    }

    pub(super) fn stopping(now: Instant, deadline: Deadline) -> Self {
        Stage::Stopping { until: now + deadline.timeout_stop + RUNNER_GRACE }
    }

    pub(super) fn ending(now: Instant) -> Self {
        Stage::Ending { until: now + RUNNER_GRACE }
    }

    pub(super) fn killed(now: Instant) -> Self {
        Stage::Killed { until: now + DEATH }
    }

    /// When [`Stage::due`] will next have something to say.
    pub(super) fn next(self) -> Instant {
        match self {
            Stage::Running { slow_at, until, .. } => slow_at.map_or(until, |slow_at| slow_at.min(until)),
            Stage::SettingUp { until }
            | Stage::Stopping { until }
            | Stage::Ending { until }
            | Stage::Killed { until } => until,
        }
    }

    /// What is due at `now`. `Slow` is said once.
    pub(super) fn due(&mut self, now: Instant) -> Option<Due> {
        if now < self.next() {
            return None;
        }
        match self {
            Stage::SettingUp { .. } => Some(Due::SetupOver),
            Stage::Running { until, .. } if now >= *until => Some(Due::Deadline),
            Stage::Running { since, slow_at, .. } => {
                *slow_at = None;
                Some(Due::Slow(now - *since))
            }
            Stage::Stopping { .. } | Stage::Ending { .. } => Some(Due::Kill),
            Stage::Killed { .. } => Some(Due::Leave),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEADLINE: Deadline =
        Deadline { runtime_max: Duration::from_secs(300), timeout_stop: Duration::from_secs(10) };

    #[test]
    fn slow_is_said_once_at_half_of_the_deadline() {
        let start = Instant::now();
        let mut stage = Stage::running(start, DEADLINE);
        let half = start + Duration::from_secs(150);
        assert_eq!(stage.next(), half);
        assert_eq!(stage.due(half - Duration::from_millis(1)), None);
        assert_eq!(stage.due(half), Some(Due::Slow(Duration::from_secs(150))));
        assert_eq!(stage.due(half), None);
        assert_eq!(stage.due(start + Duration::from_secs(300)), Some(Due::Deadline));
    }

    #[test]
    fn a_stopped_runner_is_killed_two_seconds_after_the_modules_own_grace() {
        let start = Instant::now();
        let mut stage = Stage::stopping(start, DEADLINE);
        assert_eq!(stage.due(start + Duration::from_secs(11)), None);
        assert_eq!(stage.due(start + Duration::from_secs(12)), Some(Due::Kill));
        assert_eq!(Stage::killed(start).due(start + DEATH), Some(Due::Leave));
    }
}
