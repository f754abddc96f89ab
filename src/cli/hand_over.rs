//! Before anything else: which command this is, and whether another version of this program is to do it.
//!
//! The command line is not parsed for that, since a newer version may know words that this one does not. What is looked
//! for is the root and the first word that is no option, and both are the same in every version.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};

use updates::config::Layout;
use updates::record::ExitStatus;
use updates::supervisor::{HandOver, Start, hand_over, take_back};

use super::installation;

/// What is known of a command line that is not parsed.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    root: PathBuf,
    command: Option<OsString>,
}

/// Those of this process.
pub fn words() -> Words {
    read(std::env::args_os().skip(1))
}

impl Words {
    /// Becomes the version in use, if that is another one, and says what is wrong where that can't be.
    pub fn hand_over(&self) {
        let Some(layout) = self.layout() else { return };
        let what = HandOver { layout, start: self.start(), guard: installation::guard() };
        if let Some(problem) = hand_over(&what) {
            // Nobody to tell when the terminal is gone.
            writeln!(std::io::stderr().lock(), "{problem}").ok();
        }
    }

    /// Takes a start of a version on trial back that says nothing about it.
    pub fn settle(&self, code: u8) {
        let said_nothing = match self.command.as_deref().and_then(OsStr::to_str) {
            Some("run") => [ExitStatus::Usage, ExitStatus::Locked].iter().any(|status| status.code() == code),
            // A recovery proves too little to end a trial, and machines start more often than runs do.
            Some("recover") => code != ExitStatus::InternalError.code(),
            _ => false,
        };
        if said_nothing && let Some(layout) = self.layout() {
            take_back(&layout);
        }
    }

    fn layout(&self) -> Option<Layout> {
        // A root that can't be used is said when the command line is parsed.
        self.root.canonicalize().ok().map(|root| Layout::new(&root))
    }

    fn start(&self) -> Start {
        match self.command.as_deref().and_then(OsStr::to_str) {
            Some("run" | "recover") => Start::Counted,
            Some("self" | "self-test") => Start::Own,
            _ => Start::Plain,
        }
    }
}

fn read(arguments: impl Iterator<Item = OsString>) -> Words {
    let mut words = Words { root: Path::new("/").to_owned(), command: None };
    let mut arguments = arguments.take_while(|argument| argument != "--");
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            Some("--root") => words.root = arguments.next().map_or(words.root, PathBuf::from),
            Some("--config" | "--color") => drop(arguments.next()),
            Some(text) if text.starts_with("--root=") => words.root = PathBuf::from(&text["--root=".len()..]),
            Some(text) if text.starts_with('-') => {}
            _ if words.command.is_none() => words.command = Some(argument),
            _ => {}
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, Option<String>, Start) {
        let words = read(text.split(' ').map(OsString::from));
        let start = words.start();
        (words.root.display().to_string(), words.command.map(|word| word.to_string_lossy().into_owned()), start)
    }

    #[test]
    fn root_and_command_are_found_wherever_they_stand() {
        let expected = |root: &str, command: &str, start| (root.to_owned(), Some(command.to_owned()), start);
        assert_eq!(of("--root /r --config run -v run web"), expected("/r", "run", Start::Counted));
        assert_eq!(of("recover --root=/r"), expected("/r", "recover", Start::Counted));
        assert_eq!(of("--color always self show --root /r"), expected("/r", "self", Start::Own));
        assert_eq!(of("runner web -- --root /r"), expected("/", "runner", Start::Plain));
        assert_eq!(of("-vv --json status"), expected("/", "status", Start::Plain));
        assert_eq!(of("--version").1, None);
    }
}
