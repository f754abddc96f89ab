//! Where the program's own parts lie: the runner, the SDK and the shipped profiles, found from the program's own place.

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
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let candidates = [beside.join("../lib/updates/updates-guard"), checkout.join("packaging/guard/updates-guard")];
    candidates.iter().find_map(|candidate| candidate.canonicalize().ok())
}

/// Finds the parts of this very program, so that two installed versions never mix.
pub fn find() -> Result<Installation, NotInstalled> {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/local/bin/updates"));
    let beside = program.parent().unwrap_or(Path::new("/")).to_owned();
    let library = beside.join("../lib/updates");
    // Built and not installed: the checkout that it was built from.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let first = |part, candidates: Vec<PathBuf>| {
        let found = candidates.iter().find_map(|candidate| candidate.canonicalize().ok());
        found.ok_or_else(|| NotInstalled {
            part,
            program: program.clone(),
            looked: candidates.iter().map(|c| c.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    };
    Ok(Installation {
        runner: first("the runner", vec![library.join("updates-runner"), beside.join("updates-runner")])?,
        sdk: first("the Python SDK", vec![library.join("python"), checkout.join("runner/python")])?,
        profiles: first(
            "the sandbox profiles",
            vec![library.join("sandbox-profiles"), checkout.join("sandbox-profiles")],
        )?,
    })
}
