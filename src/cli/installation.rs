//! Where the program's own parts lie: the runner, the SDK and the shipped profiles, found from the program's own place.
//! A program that was built and not installed has the runner beside it, and takes the rest from the checkout that it was
//! built from. An installed one never does: on another machine that path is whoever's who can make it.

use std::path::{Path, PathBuf};

use updates::supervisor::Installation;

/// A part that is nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{part} was not found beside {}: looked for {looked}; `make install` puts everything in place", program.display())]
pub struct NotInstalled {
    part: &'static str,
    program: PathBuf,
    looked: String,
}

/// The guard of self-updates, where it is installed.
pub fn guard() -> Option<PathBuf> {
    let program = std::env::current_exe().ok()?;
    let beside = program.parent()?;
    let candidates =
        [Some(beside.join("../lib/updates/updates-guard")), in_checkout(beside, "packaging/guard/updates-guard")];
    candidates.iter().flatten().find_map(|candidate| candidate.canonicalize().ok())
}

/// Finds the parts of this very program, so that two installed versions never mix.
pub fn find() -> Result<Installation, NotInstalled> {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/updates"));
    let beside = program.parent().unwrap_or(Path::new("/")).to_owned();
    let library = beside.join("../lib/updates");
    let first = |part, candidates: [Option<PathBuf>; 2]| {
        let found = candidates.iter().flatten().find_map(|candidate| candidate.canonicalize().ok());
        found.ok_or_else(|| NotInstalled {
            part,
            program: program.clone(),
            looked: candidates.iter().flatten().map(|c| c.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    };
    Ok(Installation {
        runner: first("the runner", [Some(library.join("updates-runner")), built_runner(&beside)])?,
        sdk: first("the Python SDK", [Some(library.join("python")), in_checkout(&beside, "runner/python")])?,
        profiles: first(
            "the sandbox profiles",
            [Some(library.join("sandbox-profiles")), in_checkout(&beside, "sandbox-profiles")],
        )?,
    })
}

fn built_runner(beside: &Path) -> Option<PathBuf> {
    let runner = beside.join("updates-runner");
    runner.exists().then_some(runner)
}

fn in_checkout(beside: &Path, part: &str) -> Option<PathBuf> {
    built_runner(beside).map(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join(part))
}
