//! Long work on a slot as a bar on standard error; on a terminal only, and with neither `--json` nor `-q` nor `-v`.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use updates::state::{Progress, Size, Step};
use updates::supervisor::{Event, Observer};

use super::super::Session;
use super::super::display::Display;
use super::super::observe::working;
use super::super::run::screen;

/// Shows how far work on a slot is, and everything else as a run shows it.
pub struct Bar {
    screen: Display,
    shown: bool,
    bar: Option<(Step, ProgressBar)>,
}

impl Bar {
    /// A bar that is drawn with the first report.
    pub fn new(session: &Session<'_>) -> Self {
        let global = session.global;
        let wanted = !global.json && !global.quiet && global.verbose == 0;
        let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { screen: screen(session), shown: wanted && terminal, bar: None }
    }

    /// Shows how far it is; `what` names whose slot it is.
    pub fn show(&mut self, what: &str, progress: Progress) {
        if !self.shown {
            return;
        }
        let Progress { step, done, total, bytes } = progress;
        if self.bar.as_ref().is_none_or(|(drawn, _)| *drawn != step) {
            self.clear();
            let template = match total {
                Some(_) => "{prefix}  {bar:30}  {pos}/{len}  {msg}",
                None => "{prefix}  {spinner}  {pos}  {msg}",
            };
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            self.bar = Some((step, bar.with_style(style)));
        }
        if let Some((_, bar)) = &self.bar {
            bar.set_prefix(format!("{} {what}", working(step)));
            if let Some(total) = total {
                bar.set_length(total);
            }
            bar.set_position(done);
            bar.set_message(if bytes == 0 { String::new() } else { Size(bytes).to_string() });
        }
    }

    /// Takes it off the screen.
    pub fn clear(&mut self) {
        if let Some((_, bar)) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl Observer for Bar {
    fn observe(&mut self, event: &Event) {
        match event {
            Event::Working { module, progress } => self.show(module.as_str(), *progress),
            // The command says itself how it ended.
            Event::Ended(_) => self.clear(),
            other => {
                self.clear();
                self.screen.observe(other);
            }
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.clear();
    }
}
