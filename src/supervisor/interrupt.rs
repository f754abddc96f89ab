//! SIGINT and SIGTERM, turned into a value that the run looks at and a wake-up for the modules that are running.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};
use updates_protocol::CancelReason;

type Listener = Box<dyn Fn(CancelReason) + Send>;

/// Whether the run was asked to end. Cheap to clone; every clone sees the same.
#[derive(Clone, Default)]
pub struct Interrupt {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    raised: AtomicBool,
    reason: Mutex<Option<CancelReason>>,
    listeners: Mutex<Vec<Listener>>,
}

impl Interrupt {
    /// Blocks SIGINT, SIGTERM and SIGHUP in this thread and every one started later, and lets one thread wait for
    /// them. Must be called before any other thread is started.
    pub fn install() -> nix::Result<Self> {
        let interrupt = Self::default();
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGINT);
        signals.add(Signal::SIGTERM);
        signals.add(Signal::SIGHUP);
        signals.thread_block()?;
        let waiting = interrupt.clone();
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                waiting.raise(if signal == Signal::SIGINT { CancelReason::User } else { CancelReason::Shutdown });
            }
        });
        Ok(interrupt)
    }

    /// Asks the run to end, as a signal does.
    pub fn raise(&self, reason: CancelReason) {
        lock(&self.shared.reason).get_or_insert(reason);
        self.shared.raised.store(true, Ordering::SeqCst);
        for listener in lock(&self.shared.listeners).iter() {
            listener(reason);
        }
    }

    /// Whether the run was asked to end.
    pub fn is_raised(&self) -> bool {
        self.shared.raised.load(Ordering::SeqCst)
    }

    /// Calls `listener` at each signal, and at once when one came already.
    pub fn on_raise(&self, listener: impl Fn(CancelReason) + Send + 'static) {
        let mut listeners = lock(&self.shared.listeners);
        if self.is_raised() {
            listener(lock(&self.shared.reason).unwrap_or(CancelReason::Shutdown));
        }
        listeners.push(Box::new(listener));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
