//! Whether the source answers, with the credentials that runs use: its branches are listed, and nothing is fetched.

use super::Finding;
use crate::config::Verify;
use crate::source::{SourceUrl, probe};
use crate::supervisor::{Supervisor, sync};

const CHECK: &str = "source";

pub(super) fn look(supervisor: &Supervisor) -> Vec<Finding> {
    let settings = &supervisor.config.source;
    let Some(url) = &settings.url else {
        let mend = "set source.url in /etc/updates/config.toml; without it the installed modules run as they are";
        return vec![Finding::warning(CHECK, "no source is configured", mend)];
    };
    let url = match SourceUrl::new(url) {
        Ok(url) => url,
        Err(error) => return vec![Finding::problem(CHECK, format!("source.url: {error}"), "mend source.url")],
    };
    let signed = match settings.verify {
        Verify::None => "signatures are not asked for (source.verify)",
        Verify::Commit => "commits have to be signed",
        Verify::Tag => "tags have to be signed",
    };
    match probe(&sync::config(supervisor, url.clone())) {
        Ok(commit) => {
            let text =
                format!("{url} answers: {} is at {}; {signed}", settings.branch, &commit[..commit.len().min(12)]);
            vec![Finding::ok(CHECK, text)]
        }
        Err(error) => vec![Finding::problem(
            CHECK,
            error.to_string(),
            "mend the network, source.url or the credentials; until then the installed modules run as they are",
        )],
    }
}
