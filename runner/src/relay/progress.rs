//! Bounds how often progress is passed on: ten times a second, the last word always.

use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_millis(100);

/// How far a module is, in its own words.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    pub(super) step: String,
    pub(super) current: Option<f64>,
    pub(super) total: Option<f64>,
    pub(super) unit: Option<String>,
}

/// Holds back what comes too fast.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// From when on the next one may pass; none before the first.
    free_from: Option<Instant>,
    waiting: Option<Step>,
}

impl Progress {
    /// Takes the newest step, in place of one that still waits.
    pub(super) fn note(&mut self, step: Step) {
        self.waiting = Some(step);
    }

    /// Until when nothing can pass, if something waits.
    pub(super) fn due(&self) -> Option<Instant> {
        self.waiting.as_ref().and(self.free_from)
    }

    /// The waiting one, when it may pass.
    pub(super) fn take(&mut self, now: Instant) -> Option<Step> {
        if self.free_from.is_some_and(|from| now < from) {
            return None;
        }
        let step = self.waiting.take()?;
        self.free_from = Some(now + INTERVAL);
        Some(step)
    }

    /// The waiting one, when nothing follows any more.
    pub(super) fn take_last(&mut self) -> Option<Step> {
        self.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_step_passes_ten_times_a_second_and_the_last_always() {
        let step = |n: u32| Step { step: n.to_string(), current: None, total: None, unit: None };
        let (mut progress, start) = (Progress::default(), Instant::now());
        let mut passed = Vec::new();
        for n in 0..=1000 {
            let now = start + Duration::from_millis(n.into());
            progress.note(step(n));
            passed.extend(progress.take(now).map(|step| step.step));
        }
        assert_eq!(passed.len(), 11);
        progress.note(step(2000));
        assert!(progress.due().is_some());
        assert_eq!(progress.take_last(), Some(step(2000)));
        assert_eq!(progress.due(), None);
    }
}
