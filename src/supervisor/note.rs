//! What workers send to the dispatcher: things to show and store, and the one thing that they wait for.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};

use serde_json::Value;
use updates_protocol::{ModuleName, Phase};

use super::Event;
use crate::record::ModuleRecord;

/// A message to the dispatcher.
#[derive(Debug)]
pub(super) enum Note {
    /// Something to show, and to remember where it belongs into the log.
    Event(Box<Event>),
    /// A module is about to run: to be written down durably before the answer.
    Begin { module: ModuleName, phase: Phase, payload: Value, done: SyncSender<Result<(), String>> },
    /// What it takes to put a running module back, beside its files: to be written down durably before the answer.
    Remember { module: ModuleName, payload: Value, done: SyncSender<Result<(), String>> },
    /// A module is settled: nothing of it is to be put back at the next start. Whoever waits for an answer needs it durable.
    Settled { module: ModuleName, done: Option<SyncSender<Result<(), String>>> },
    /// A worker is done.
    Done(Box<ModuleRecord>),
}

/// A worker's end of the channel.
#[derive(Debug, Clone)]
pub(super) struct Notes {
    sender: Sender<Note>,
}

impl Notes {
    pub(super) fn channel() -> (Self, Receiver<Note>) {
        let (sender, receiver) = std::sync::mpsc::channel();
        (Self { sender }, receiver)
    }

    pub(super) fn event(&self, event: Event) {
        self.send(Note::Event(Box::new(event)));
    }

    /// Returns when the row is durable, or with the reason why the module must not run.
    pub(super) fn begin(&self, module: &ModuleName, phase: Phase, payload: Value) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.send(Note::Begin { module: module.clone(), phase, payload, done });
        answer.recv().unwrap_or_else(|_| Err("the supervisor is ending".to_owned()))
    }

    /// Returns when the payload is durable, or with the reason why what it would take back must not be done.
    pub(super) fn remember(&self, module: &ModuleName, payload: Value) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.send(Note::Remember { module: module.clone(), payload, done });
        answer.recv().unwrap_or_else(|_| Err("the supervisor is ending".to_owned()))
    }

    pub(super) fn settled(&self, module: &ModuleName) {
        self.send(Note::Settled { module: module.clone(), done: None });
    }

    /// Returns when that is durable, or with the reason why a power cut may bring the row back.
    pub(super) fn settled_durably(&self, module: &ModuleName) -> Result<(), String> {
        let (done, answer) = sync_channel(1);
        self.send(Note::Settled { module: module.clone(), done: Some(done) });
        answer.recv().unwrap_or_else(|_| Err("the supervisor is ending".to_owned()))
    }

    pub(super) fn done(&self, record: ModuleRecord) {
        self.send(Note::Done(Box::new(record)));
    }

    // The dispatcher outlives every worker; were it gone, there would be nobody left to tell.
    fn send(&self, note: Note) {
        self.sender.send(note).ok();
    }
}
