//! What an attempt may know: where it may write, and what the test has put up outside to be reached. Everything comes
//! as `key=value` arguments, because arguments pass through every sandbox that is compared.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The surroundings of all attempts.
#[derive(Debug, Clone)]
pub struct Context {
    values: BTreeMap<String, String>,
    /// A directory that may be written: the module's state directory, or the temporary one.
    pub writable: PathBuf,
    /// The parent of the first process, which is outside or init.
    pub parent: i32,
    /// Descriptors beyond the three standard ones that were open at the start.
    pub inherited: Vec<i32>,
}

impl Context {
    /// `arguments` are `key=value`; a key without a value is a switch.
    pub fn new(arguments: &[String]) -> Self {
        let values = arguments
            .iter()
            .map(|argument| argument.split_once('=').unwrap_or((argument, "")))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let writable = ["STATE_DIRECTORY", "TMPDIR"]
            .iter()
            .filter_map(std::env::var_os)
            .map(PathBuf::from)
            .find(|path| path.is_dir())
            .unwrap_or_else(|| PathBuf::from("/tmp"));
        // /proc may be hidden, so each possible number is asked for; before anything else is opened.
        let inherited = (3..4096).filter(|descriptor| crate::raw::is_open(*descriptor)).collect();
        Self { values, writable, parent: std::os::unix::process::parent_id() as i32, inherited }
    }

    /// The value of an argument.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// The same as a number.
    pub fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    /// Several paths, separated by colons.
    pub fn paths(&self, key: &str) -> Vec<PathBuf> {
        self.get(key).map(|list| list.split(':').map(PathBuf::from).collect()).unwrap_or_default()
    }

    /// A name that is free in the writable directory.
    pub fn scratch(&self, name: &str) -> PathBuf {
        self.writable.join(format!(".attempt-{}-{name}", std::process::id()))
    }
}
