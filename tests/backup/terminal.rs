//! On a terminal: the question, its answers, and its end by a signal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::pty::openpty;
use rustix::process::{Pid, Signal, kill_process};

use super::support::Root;
use super::{change, root};

/// The program on a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<String>,
    seen: String,
}

impl Terminal {
    fn start(root: &Root, arguments: &[&str]) -> Self {
        let pty = openpty(None, None).unwrap();
        let end = |slave: &OwnedFd| Stdio::from(slave.try_clone().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_updates"))
            .arg("--root")
            .arg(root.path())
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("TERM", "xterm")
            .env("TZ", "UTC")
            .stdin(end(&pty.slave))
            .stdout(end(&pty.slave))
            .stderr(end(&pty.slave))
            .spawn()
            .unwrap();
        drop(pty.slave);
        let keyboard = File::from(pty.master);
        let mut reader = keyboard.try_clone().unwrap();
        let (send, screen) = channel();
        // Ends with EIO when the program has closed its side.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count) = reader.read(&mut bytes)
                && count > 0
                && send.send(String::from_utf8_lossy(&bytes[..count]).into_owned()).is_ok()
            {}
        });
        Self { child, keyboard, screen, seen: String::new() }
    }

    #[track_caller]
    fn wait_for(&mut self, text: &str) {
        while !self.seen.contains(text) {
            match self.screen.recv_timeout(Duration::from_secs(60)) {
                Ok(more) => self.seen.push_str(&more),
                Err(error) => panic!("{text:?} never came ({error}): {}", self.seen),
            }
        }
    }

    fn type_in(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    /// The exit code, and all that was on the screen.
    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        while let Ok(more) = self.screen.recv_timeout(Duration::from_secs(1)) {
            self.seen.push_str(&more);
        }
        (status.code(), self.seen)
    }
}

fn changed() -> Root {
    let root = root();
    root.updates(&["backup", "create", "web"]).expect(0);
    change(&root);
    root
}

#[test]
fn a_yes_restores_and_what_will_change_is_shown_before_the_question() {
    let root = changed();
    let mut terminal = Terminal::start(&root, &["backup", "restore", "web"]);
    terminal.wait_for("[y/N]");
    assert!(terminal.seen.contains("/srv/web/added"), "{}", terminal.seen);
    assert_eq!(root.read("/srv/web/page"), "changed\n");
    terminal.type_in("y\n");
    let (code, seen) = terminal.end();
    assert_eq!((code, root.read("/srv/web/page").as_str()), (Some(0), "hello\n"), "{seen}");
}

#[test]
fn anything_else_changes_nothing_and_is_no_error() {
    let root = changed();
    for answer in ["\n", "n\n", "yess\n", "\u{4}"] {
        let mut terminal = Terminal::start(&root, &["backup", "restore", "web"]);
        terminal.wait_for("[y/N]");
        terminal.type_in(answer);
        let (code, seen) = terminal.end();
        assert_eq!(code, Some(0), "{answer:?}: {seen}");
        assert!(seen.contains("nothing was changed"), "{seen}");
    }
    assert_eq!(root.read("/srv/web/page"), "changed\n");
}

#[test]
fn a_signal_ends_the_question_and_the_lock_is_free_while_it_stands() {
    let root = changed();
    let mut terminal = Terminal::start(&root, &["backup", "restore", "web"]);
    terminal.wait_for("[y/N]");
    root.updates(&["run", "--no-sync"]).expect(0);
    kill_process(Pid::from_child(&terminal.child), Signal::INT).unwrap();
    let (code, seen) = terminal.end();
    assert_eq!(code, Some(130), "{seen}");
    assert_eq!(root.read("/srv/web/page"), "changed\n");
}

#[test]
fn a_backup_that_was_made_anew_while_a_person_thought_is_not_put_back() {
    let root = changed();
    let mut terminal = Terminal::start(&root, &["backup", "restore", "web"]);
    terminal.wait_for("[y/N]");
    root.updates(&["backup", "create", "web"]).expect(0);
    root.write("/srv/web/page", "later\n");
    terminal.type_in("y\n");
    let (code, seen) = terminal.end();
    assert_eq!(code, Some(1), "{seen}");
    assert!(seen.contains("made anew meanwhile"), "{seen}");
    assert_eq!(root.read("/srv/web/page"), "later\n");
}

#[test]
fn how_far_a_checkpoint_is_can_be_seen_while_a_run_takes_it() {
    let root = root();
    for number in 0..200 {
        root.write(&format!("/srv/web/many/{number}"), "");
    }
    let mut terminal = Terminal::start(&root, &["run", "--no-sync"]);
    terminal.wait_for("looking at ");
    assert_eq!(terminal.end().0, Some(0));
}
