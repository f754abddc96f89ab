//! Rot: each run reads one slot again, chosen at random, so that one that can't be used is known before it is needed.
//!
//! A retained checkpoint that is found out is removed, since the next run would rely upon it where nothing has changed.
//! A backup that a module or a person made is only told of.

use std::time::Duration;

use updates_protocol::ModuleName;

use super::Supervisor;
use super::checkpoints::Checkpoints;
use super::dispatcher::Dispatcher;
use super::event::Event;
use super::stores::stores;
use crate::fs::PathError;
use crate::state::Store;

/// How long a run looks.
const TIME: Duration = Duration::from_millis(300);

/// Reads a slot again, and tells what is wrong with it. Checkpoints of modules in `held` are left alone: a person decides
/// about them.
pub(super) fn look(
    supervisor: &Supervisor,
    checkpoints: &Checkpoints,
    held: impl Fn(&ModuleName) -> bool,
    dispatcher: &mut Dispatcher<'_>,
) {
    let places = stores(&supervisor.layout);
    let stores: Vec<Store> = match places.and_then(|places| places.iter().map(|place| Store::open(place)).collect()) {
        Ok(stores) => stores,
        Err(error) => return dispatcher.event(Event::Problem(error.to_string())),
    };
    let retained = checkpoints.retained();
    let found = candidates(retained, &stores, held);
    let (store, name) = match found.as_ref().map(|found| draw(found)) {
        Ok(Some(drawn)) => drawn,
        Ok(None) => return,
        Err(error) => return dispatcher.event(Event::Problem(error.to_string())),
    };
    let looked = match store.load(name) {
        Ok(Some(backup)) => backup.verify_within(TIME).map(drop),
        Ok(None) => return,
        Err(error) => Err(error),
    };
    let Err(error) = looked else { return };
    let is_checkpoint = std::ptr::eq(*store, retained);
    let text = match &error {
        // It is sound to the program that wrote it.
        error if error.is_newer_format() => error.to_string(),
        _ if is_checkpoint => match retained.remove(name) {
            Ok(_) => format!("{error}; it was removed, and `updates rollback {name}` works again after its next run"),
            Err(left) => format!("{error}; it can't be removed either: {left}"),
        },
        _ => format!(
            "{error}; `updates backup create` makes a new one of what is there now, or `updates backup remove` removes it"
        ),
    };
    dispatcher.event(Event::Problem(text));
}

fn candidates<'s>(
    retained: &'s Store,
    stores: &'s [Store],
    held: impl Fn(&ModuleName) -> bool,
) -> Result<Vec<(&'s Store, ModuleName)>, PathError> {
    let mut found: Vec<(&Store, ModuleName)> =
        retained.names()?.into_iter().filter(|name| !held(name)).map(|name| (retained, name)).collect();
    for store in stores {
        found.extend(store.names()?.into_iter().map(|name| (store, name)));
    }
    Ok(found)
}

fn draw<T>(from: &[T]) -> Option<&T> {
    let mut random = [0; 8];
    // Without randomness it is the first one, which is better than none.
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).ok();
    let at = u64::from_ne_bytes(random) % u64::try_from(from.len().max(1)).unwrap_or(1);
    from.get(usize::try_from(at).unwrap_or(0))
}
