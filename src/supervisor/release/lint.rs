//! What can be said of a module without running it: its profile, its entry, and whether its Python is Python.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use updates_protocol::{Entry, Manifest, Phase};

use super::error::ReleaseError;
use crate::catalog::{Catalog, CatalogEntry};
use crate::fs::IoContext;
use crate::supervisor::{Supervisor, modules};

/// Compiles each file that it is given, and writes none.
const COMPILE: &str = "import sys
bad = 0
for path in sys.argv[1:]:
    try:
        with open(path, 'rb') as file:
            compile(file.read(), path, 'exec', dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        bad = 1
        print(error)
sys.exit(bad)
";

/// Refuses what could not run.
pub(super) fn lint(supervisor: &Supervisor, manifest: &Manifest, code: &Path) -> Result<(), ReleaseError> {
    let wrong = |problem: String| ReleaseError::Content { module: manifest.name.clone(), problem };
    let profile = modules::profiles(supervisor).resolve(manifest).map_err(|error| wrong(error.to_string()))?;
    let module = match Catalog::read_folder(code) {
        CatalogEntry::Installed(module) => *module,
        CatalogEntry::Broken(broken) => return Err(wrong(broken.problem)),
    };
    let target = modules::target(module, profile);
    for phase in target.phases() {
        let entry = target.entry(phase, &supervisor.config.python).map_err(wrong)?;
        if let (Entry::Executable { file }, Phase::Main) = (entry, phase) {
            let file = code.join(file.strip_prefix(&target.inside).unwrap_or(&file));
            let mode = fs::metadata(&file).at("look at", &file)?.permissions().mode();
            if mode & 0o111 == 0 {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                return Err(wrong(format!("{name} is not executable: git update-index --chmod=+x {name}")));
            }
        }
    }
    let files = python_files(code)?;
    if files.is_empty() {
        return Ok(());
    }
    let python = &supervisor.config.python;
    let mut command = Command::new(python);
    command.args(["-I", "-B", "-c", COMPILE]).args(&files).current_dir(code).stdin(Stdio::null());
    let output = command.output().map_err(|reason| ReleaseError::Program { program: python.clone(), reason })?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).replace(&format!("{}/", code.display()), "");
    Err(wrong(said.lines().take(10).collect::<Vec<_>>().join("; ")))
}

fn python_files(code: &Path) -> Result<Vec<PathBuf>, ReleaseError> {
    let mut files = Vec::new();
    let mut folders = vec![code.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).at("read", &folder)? {
            let entry = entry.at("read", &folder)?;
            let (path, kind) = (entry.path(), entry.file_type().at("look at", &entry.path())?);
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "py") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
