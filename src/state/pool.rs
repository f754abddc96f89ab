//! Work that is done on all processors and comes back in the order in which it was given.
//!
//! What is on its way is bounded, so a million files need no more memory than a thousand. Work is handed over some dozens
//! at a time: a file of a few kilobytes takes less time than waking a thread for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, available_parallelism};
use std::time::Duration;

/// The most threads: storage is the limit before there are more, and each holds half a dozen descriptors.
const MOST: usize = 8;

/// So many things are handed over at once, or fewer that are this heavy together, in bytes.
const BATCH: usize = 32;
const HEAVY: u64 = 1 << 20;

/// So many batches may be on their way.
const WINDOW: usize = 64;

/// So many batches a source is ahead of whoever asks.
const AHEAD: usize = 16;

/// How often whoever waits looks whether it should go on.
const LOOK: Duration = Duration::from_millis(20);

/// Becomes true when what is being done is no longer wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type Batch<J> = (usize, Vec<J>);

/// Things on their way through the threads of a scope. Dropped, it lets what was not begun be.
pub(super) struct Pool<J, R> {
    jobs: Option<Sender<Batch<J>>>,
    results: Receiver<(usize, Vec<R>)>,
    stop: Stop,
    filling: Vec<J>,
    weight: u64,
    /// Batches on their way, the oldest first; `None` while one is being worked on.
    window: VecDeque<Option<Vec<R>>>,
    /// The number of the oldest.
    first: usize,
}

/// How many threads are worth it for so many things.
pub(super) fn threads(things: u64) -> usize {
    let most = available_parallelism().map_or(1, usize::from).min(MOST);
    most.min(usize::try_from(things / BATCH as u64).unwrap_or(most)).max(1)
}

impl<J: Send, R: Send> Pool<J, R> {
    /// Starts `threads` threads, each with its own worker.
    pub fn start<'scope, W>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        stop: &Stop,
        mut worker: impl FnMut() -> W,
    ) -> Self
    where
        J: 'scope,
        R: 'scope,
        W: FnMut(J) -> R + Send + 'scope,
    {
        let (jobs, taken) = channel::<Batch<J>>();
        let (done, results) = channel();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..threads {
            let (taken, done, stop, mut work) = (Arc::clone(&taken), done.clone(), stop.clone(), worker());
            scope.spawn(move || {
                loop {
                    let next = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((number, batch)) = next else { return };
                    let mut finished = Vec::with_capacity(batch.len());
                    for job in batch {
                        if stop.is_set() {
                            return;
                        }
                        finished.push(work(job));
                    }
                    if done.send((number, finished)).is_err() {
                        return;
                    }
                }
            });
        }
        let (filling, window) = (Vec::new(), VecDeque::new());
        Self { jobs: Some(jobs), results, stop: stop.clone(), filling, weight: 0, window, first: 0 }
    }

    /// Hands over one thing, and takes what has become ready in its order.
    pub fn push<E>(&mut self, job: J, weight: u64, take: &mut impl FnMut(R) -> Result<(), E>) -> Result<(), Taken<E>> {
        self.filling.push(job);
        self.weight = self.weight.saturating_add(weight);
        if self.filling.len() < BATCH && self.weight < HEAVY {
            return Ok(());
        }
        self.hand_over();
        while self.window.len() > WINDOW {
            self.take_one(take)?;
        }
        Ok(())
    }

    /// Waits for everything that was handed over.
    pub fn drain<E>(&mut self, take: &mut impl FnMut(R) -> Result<(), E>) -> Result<(), Taken<E>> {
        self.hand_over();
        while !self.window.is_empty() {
            self.take_one(take)?;
        }
        Ok(())
    }

    fn hand_over(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let number = self.first + self.window.len();
        self.window.push_back(None);
        self.weight = 0;
        if let Some(jobs) = &self.jobs {
            // It fails when every thread has ended, and then waiting for the results says so.
            drop(jobs.send((number, std::mem::take(&mut self.filling))));
        }
    }

    fn take_one<E>(&mut self, take: &mut impl FnMut(R) -> Result<(), E>) -> Result<(), Taken<E>> {
        while !matches!(self.window.front(), Some(Some(_))) {
            match self.results.recv_timeout(LOOK) {
                Ok((number, results)) => {
                    if let Some(slot) = number.checked_sub(self.first).and_then(|at| self.window.get_mut(at)) {
                        *slot = Some(results);
                    }
                }
                Err(RecvTimeoutError::Timeout) if !self.stop.is_set() => {}
                Err(_) => return Err(Taken::Stopped),
            }
        }
        self.first += 1;
        for result in self.window.pop_front().flatten().unwrap_or_default() {
            take(result).map_err(Taken::Error)?;
        }
        Ok(())
    }
}

impl<J, R> Drop for Pool<J, R> {
    fn drop(&mut self) {
        if !self.window.is_empty() {
            self.stop.set();
        }
        self.jobs = None;
    }
}

/// Goes through `source` on a thread of its own, some way ahead of whoever asks.
pub(super) fn ahead<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    source: impl Iterator<Item = T> + Send + 'scope,
) -> impl Iterator<Item = T> {
    let (sender, receiver) = sync_channel::<Vec<T>>(AHEAD);
    scope.spawn(move || {
        let mut batch = Vec::with_capacity(BATCH * 4);
        for item in source {
            batch.push(item);
            if batch.len() == BATCH * 4 {
                // Nobody asks any more.
                if sender.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH * 4))).is_err() {
                    return;
                }
            }
        }
        drop(sender.send(batch));
    });
    receiver.into_iter().flatten()
}

/// Why not everything was taken.
#[derive(Debug)]
pub(super) enum Taken<E> {
    /// Whoever took it failed.
    Error(E),
    /// It was to stop.
    Stopped,
}
