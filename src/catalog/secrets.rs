//! Passwords of declared databases: taken out of whatever is written down or shown, and put in again from the module's
//! own file where they are needed.

use serde_json::{Map, Value};
use updates_protocol::Database;

/// The key of the databases in `configuration`, and that of the password of each.
pub(super) const DATABASES: &str = "databases";
const PASSWORD: &str = "password";

/// An `index.json` as it may be shown: without the passwords of its databases.
pub fn without_passwords(document: &Map<String, Value>) -> Map<String, Value> {
    let mut document = document.clone();
    for key in ["configuration", "config"] {
        if let Some(databases) = document.get_mut(key).and_then(|configuration| configuration.get_mut(DATABASES)) {
            strip(databases);
        }
    }
    document
}

/// Takes the passwords out of a list of databases, or out of what should be one.
pub(super) fn strip(databases: &mut Value) {
    match databases {
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Object(database) => {
            database.shift_remove(PASSWORD);
        }
        _ => {}
    }
}

/// Granted databases, each with the password that `asked` has for the same one.
pub(super) fn fill_in(granted: &Value, asked: &Value) -> Value {
    let mut granted = granted.clone();
    strip(&mut granted);
    let asked: Vec<(Database, &Value)> = asked
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|value| Some((Database::parse(value).ok()?, value.get(PASSWORD)?)))
        .collect();
    for value in granted.as_array_mut().into_iter().flatten() {
        let Ok(database) = Database::parse(value) else { continue };
        let password = asked.iter().find(|(known, _)| *known == database).map(|(_, password)| (*password).clone());
        if let (Some(object), Some(password)) = (value.as_object_mut(), password) {
            object.insert(PASSWORD.to_owned(), password);
        }
    }
    granted
}
