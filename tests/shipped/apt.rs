//! A real apt repository, made on the spot with dpkg-deb and apt-ftparchive, and a system of packages that is apt's
//! whole world: it lies in `/srv/machine` of a root, and nothing of this machine's own packages is named anywhere.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::http::Web;
use super::support::Root;

const MACHINE: &str = "/srv/machine";

/// Read by apt before every other setting, so that nothing of this machine's own is seen.
const SETTINGS: &str = r#"Dir "/srv/machine";
Dir::State::status "/srv/machine/var/lib/dpkg/status";
Dir::Etc::Parts "/srv/machine/etc/apt/apt.conf.d";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
"#;

/// A package to be.
pub struct Package<'a> {
    pub name: &'a str,
    pub version: &'a str,
    /// Further lines of its control file.
    pub control: &'a str,
    /// The body of its postinst, if it has one.
    pub postinst: Option<&'a str>,
    /// A file in it and its content.
    pub file: Option<(&'a str, &'a str)>,
}

impl<'a> Package<'a> {
    pub fn new(name: &'a str, version: &'a str) -> Self {
        Self { name, version, control: "", postinst: None, file: None }
    }
}

/// Makes the empty system and an empty repository.
pub fn make(root: &Root) {
    for program in ["apt-get", "dpkg-deb", "apt-ftparchive"] {
        assert!(Path::new("/usr/bin").join(program).exists(), "{program} is not installed: run packaging/setup test");
    }
    for folder in [
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/sources.list.d",
        "etc/apt/trusted.gpg.d",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/info",
        "var/log/apt",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "boot",
        "usr/lib/modules",
        "usr/share",
    ] {
        root.folder(&format!("{MACHINE}/{folder}"));
    }
    root.write("/srv/machine/var/lib/dpkg/status", "").write("/srv/machine/apt.conf", SETTINGS);
    root.write("/srv/machine/etc/apt/sources.list", "deb [trusted=yes] file:/srv/repository ./\n");
    root.folder("/srv/repository");
    publish(root, &[]);
}

/// The settings of the module that keep it to that system.
pub fn settings() -> Value {
    json!({"configuration": {
        "environment": {"APT_CONFIG": "/srv/machine/apt.conf"},
        "apt_options": ["Dpkg::Options::=--root=/srv/machine"],
        "dpkg_options": ["--root=/srv/machine"],
        "dpkg_force": ["confdef", "confold", "script-chrootless", "unsafe-io"],
        "dpkg_admin_dir": "/srv/machine/var/lib/dpkg",
        "reboot_markers": ["/srv/machine/run/reboot-required"],
        "boot_dir": "/srv/machine/boot",
        "kernel_modules_dir": "/srv/machine/usr/lib/modules",
        "refresh_attempts": 1, "refresh_wait": 0,
    }})
}

/// The number of the user as whom apt fetches.
pub fn user() -> String {
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let own = users.lines().find_map(|line| line.strip_prefix("_apt:")).expect("apt has a user of its own");
    own.split(':').nth(1).unwrap().to_owned()
}

/// Builds `packages` into the repository and writes its index anew.
pub fn publish(root: &Root, packages: &[Package<'_>]) {
    for package in packages {
        build(root, package);
    }
    let index = command(Command::new("apt-ftparchive").current_dir(root.at("/srv/repository")).args(["packages", "."]));
    root.write("/srv/repository/Packages", index);
}

/// Builds packages and installs them into the system, as an earlier day would have.
pub fn installed(root: &Root, packages: &[Package<'_>]) {
    by_dpkg(root, "--install", packages);
}

/// Leaves packages in the system as an interrupted dpkg does: unpacked, not configured.
pub fn unpacked(root: &Root, packages: &[Package<'_>]) {
    by_dpkg(root, "--unpack", packages);
}

fn by_dpkg(root: &Root, how: &str, packages: &[Package<'_>]) {
    for package in packages {
        let file = build(root, package);
        let place = root.at(MACHINE);
        // Without a log of its own it would write into this machine's.
        let log = root.at("/srv/machine/var/log/dpkg.log");
        let options = [format!("--root={}", place.display()), format!("--log={}", log.display())];
        command(Command::new("dpkg").args(options).args([
            "--force-script-chrootless",
            "--force-unsafe-io",
            how,
            &file,
        ]));
    }
    publish(root, &[]);
}

/// Serves the repository as it is, and has the system fetch from there.
pub fn serve(root: &Root, web: &Web) {
    for entry in fs::read_dir(root.at("/srv/repository")).unwrap().map(Result::unwrap) {
        web.put(&format!("/{}", entry.file_name().display()), fs::read(entry.path()).unwrap());
    }
    root.write("/srv/machine/etc/apt/sources.list", format!("deb [trusted=yes] {} ./\n", web.url("/")));
}

/// `name version` of what dpkg has in the system.
pub fn versions(root: &Root) -> Vec<String> {
    let text = fs::read_to_string(root.at("/srv/machine/var/lib/dpkg/status")).unwrap();
    let value = |paragraph: &str, key: &str| {
        paragraph.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned()
    };
    let entries = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    let mut versions: Vec<String> =
        entries.map(|each| format!("{} {}", value(each, "Package:"), value(each, "Version:"))).collect();
    versions.sort();
    versions
}

fn build(root: &Root, package: &Package<'_>) -> String {
    let Package { name, version, control, postinst, file } = package;
    let folder = tempfile::tempdir().unwrap();
    let inside = |path: &str| {
        let place = folder.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        place
    };
    let text = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n{control}\
         Description: a package of a test\n"
    );
    fs::write(inside("DEBIAN/control"), text).unwrap();
    if let Some(body) = postinst {
        let script = inside("DEBIAN/postinst");
        fs::write(&script, format!("#!/bin/sh\nset -e\n{body}\n")).unwrap();
        command(Command::new("chmod").arg("755").arg(script));
    }
    if let Some((path, content)) = file {
        fs::write(inside(path), content).unwrap();
    }
    let target = root.at(&format!("/srv/repository/{name}_{version}_all.deb"));
    let target = target.to_str().unwrap().to_owned();
    command(Command::new("dpkg-deb").args(["-Znone", "--root-owner-group", "-b"]).arg(folder.path()).arg(&target));
    target
}

#[track_caller]
fn command(command: &mut Command) -> Vec<u8> {
    let output = command.env("SOURCE_DATE_EPOCH", "1000000000").output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
