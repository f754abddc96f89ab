//! A local apt repository with the package that was built, and others that differ from it in their version alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::container::work;

/// The package that is tested.
pub fn built() -> PathBuf {
    PathBuf::from(std::env::var_os("UPDATES_TEST_PACKAGE").unwrap())
}

/// The version of the package that was built.
pub fn version() -> String {
    output(Command::new("dpkg-deb").arg("--field").arg(built()).arg("Version"))
}

/// A version before and one after it, each as `apt` sorts them.
pub fn earlier() -> String {
    format!("{}~before", version())
}

pub fn later() -> String {
    format!("{}+after", version())
}

/// Puts the package of this version into the repository `folder`, beside those that are there.
pub fn publish(folder: &Path, version: &str) {
    fs::create_dir_all(folder).unwrap();
    let package = folder.join(format!("updates_{version}.deb"));
    if version == self::version() {
        fs::copy(built(), &package).unwrap();
    } else {
        repack(version, &package);
    }
    let index = output(Command::new("apt-ftparchive").current_dir(folder).args(["packages", "."]));
    fs::write(folder.join("Packages"), index + "\n").unwrap();
    let release = output(Command::new("apt-ftparchive").current_dir(folder).args(["release", "."]));
    fs::write(folder.join("Release"), release + "\n").unwrap();
}

/// The same content under another version, in files that are not the same.
fn repack(version: &str, package: &Path) {
    let tree = tempfile::Builder::new().prefix("package-").tempdir_in(work()).unwrap();
    let tree = tree.path();
    output(Command::new("dpkg-deb").arg("--raw-extract").arg(built()).arg(tree));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let lines = text
        .lines()
        .map(|line| if line.starts_with("Version:") { format!("Version: {version}\n") } else { format!("{line}\n") });
    fs::write(&control, lines.collect::<String>()).unwrap();
    let marked = tree.join("usr/lib/updates/python/host.py");
    let code = fs::read_to_string(&marked).unwrap();
    fs::write(&marked, format!("{code}\n# {version}\n")).unwrap();
    output(Command::new("dpkg-deb").args(["--root-owner-group", "-Znone", "--build"]).arg(tree).arg(package));
}

#[track_caller]
pub fn output(command: &mut Command) -> String {
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{command:?}: {}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap().trim().to_owned()
}
