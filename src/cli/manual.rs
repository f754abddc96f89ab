//! The manual: a page for each command from the command line's own description, what else belongs into updates(1), and
//! updates-config.toml(5) from the settings file as it is shipped, so that neither is told in two places.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;
use roff::{Inline, Roff, bold, italic, roman};
use updates::fs::{IoContext, PathError};

use super::args::Cli;

/// Read by people in /etc/updates/config.toml, and by this module for the page about it.
const SETTINGS: &str = include_str!("../../packaging/config/config.toml");

/// Exit codes as README.md has them.
const EXIT_STATUS: [(&str, &str); 9] = [
    ("0", "All is well."),
    ("1", "Something inside of updates failed."),
    ("2", "The command line or the settings are wrong."),
    ("3", "No module was selected: none is installed and enabled, or none of those that were named."),
    ("10", "Updates are pending (check --exit-code)."),
    ("20", "A module failed, and everything is as it was before it ran."),
    ("21", "A rollback failed, and a person is needed; updates status says for what."),
    ("75", "Another run holds the lock; --wait waits for it."),
    ("130", "Interrupted, and settled."),
];

const FILES: [(&str, &str); 10] = [
    ("/etc/updates/config.toml", "The settings; see updates-config.toml(5)."),
    ("/etc/updates/config.d/*.toml", "More settings, read after it by name."),
    ("/etc/updates/modules.d/NAME.json", "Local settings of a module: a JSON Merge Patch on its index.json."),
    ("/etc/updates/sandbox-profiles/", "Local sandbox profiles, before the shipped ones."),
    ("/usr/local/lib/updates/modules/NAME/", "Installed modules."),
    (
        "/usr/local/lib/updates/versions/",
        "Versions of this program that came by self-update; current is a link to the one in use.",
    ),
    ("/var/lib/updates/", "The mirror of the source, checkpoints, what modules keep, and the database of runs."),
    ("/var/backups/updates/", "Backups. They are plain files, and outlive the removal of the package."),
    ("/run/updates/lock", "Held while a run is under way."),
    (
        "/usr/share/updates/modules/",
        "Modules to begin with: run one with updates runner PATH, or copy it into your source.",
    ),
];

const ENVIRONMENT: [(&str, &str); 3] = [
    ("NO_COLOR", "No colour, when it is set and not empty."),
    ("TERM", "No colour and no bars, when it is dumb."),
    ("SSL_CERT_FILE", "The certificates by which servers are trusted, instead of the machine's."),
];

const EXAMPLES: [(&str, &str); 4] = [
    ("updates check", "See what a run would change; nothing is."),
    ("updates run", "Sync, update and run, as the timer does every night."),
    ("updates logs last web", "Read why the module web failed."),
    ("systemctl edit updates.timer", "Run at another time."),
];

const SEE_ALSO: &str = "updates-config.toml(5), systemd.timer(5), journalctl(1), systemctl(1)";

/// Writes every page into `folder`, which has to exist.
pub fn write(folder: &Path) -> Result<(), PathError> {
    clap_mangen::generate_to(Cli::command(), folder).at("write manual pages into", folder)?;
    let main = folder.join("updates.1");
    let page = main_page().at("write", &main)?;
    fs::write(&main, page).at("write", &main)?;
    let settings = folder.join("updates-config.toml.5");
    fs::write(&settings, settings_page()).at("write", &settings)
}

fn main_page() -> io::Result<Vec<u8>> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    man.render_subcommands_section(&mut page)?;
    let mut own = Roff::new();
    list(&mut own, "EXIT STATUS", &EXIT_STATUS);
    list(&mut own, "FILES", &FILES);
    list(&mut own, "ENVIRONMENT", &ENVIRONMENT);
    list(&mut own, "EXAMPLES", &EXAMPLES);
    own.control("SH", ["SEE ALSO"]).text([roman(SEE_ALSO)]);
    page.extend(own.render().into_bytes());
    Ok(page)
}

fn list(page: &mut Roff, title: &str, entries: &[(&str, &str)]) {
    page.control("SH", [title]);
    for (term, text) in entries {
        page.control("TP", []).text([bold(*term)]).text([roman(*text)]);
    }
}

fn settings_page() -> String {
    let mut page = Roff::new();
    let version = concat!("updates ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["updates-config.toml", "5", "", version, ""]);
    page.control("SH", ["NAME"]).text([roman("updates-config.toml - settings of updates")]);
    page.control("SH", ["SYNOPSIS"]).text([roman("/etc/updates/config.toml")]);
    page.control("br", []).text([roman("/etc/updates/config.d/*.toml")]);
    let mut about: Vec<&str> = Vec::new();
    let mut begun = false;
    for line in SETTINGS.lines() {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            page.control("SH", [format!("[{section}]").as_str()]).text(words(&about));
            about.clear();
        } else if let Some(text) = line.strip_prefix("# ") {
            about.push(text);
        } else if let Some(setting) = line.strip_prefix('#') {
            entry(&mut page, setting, &mut about);
        } else if !begun {
            page.control("SH", ["DESCRIPTION"]).text(words(&about));
            about.clear();
            begun = true;
        }
    }
    page.control("SH", ["SEE ALSO"]).text([roman("updates(1), updates-config(1), updates-sandbox(1)")]);
    page.render()
}

fn entry(page: &mut Roff, setting: &str, about: &mut Vec<&str>) {
    let (key, value) = setting.split_once('=').map_or((setting, ""), |(key, value)| (key.trim(), value.trim()));
    let label = if about.last() == Some(&"Example:") {
        about.pop();
        "Example: "
    } else {
        "Default: "
    };
    page.control("TP", []).text([bold(key), roman("=")]).text(words(about));
    page.control("IP", []).text([roman(label), italic(value)]);
    about.clear();
}

fn words(lines: &[&str]) -> Vec<Inline> {
    vec![roman(lines.join(" "))]
}
