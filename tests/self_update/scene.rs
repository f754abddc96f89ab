//! A machine with a module, and a source that carries versions of the program.

use serde_json::{Value, json};

use crate::programs::Artifact;
use crate::support::{Module, Ran, Root, Source};

pub struct Scene {
    pub root: Root,
    pub source: Source,
}

impl Scene {
    /// A machine and a source with one module each run of which adds a line to `/srv/m/runs`.
    pub fn new() -> Self {
        let scene = Self { root: Root::new(), source: Source::new() };
        scene.root.folder("/srv/m");
        let module = Module::executable("m", "1.0.0", "#!/bin/sh\necho run >>/srv/m/runs\n").declares(&["/srv/m/"]);
        scene.source.publish(&[&module]);
        scene
    }

    /// A source that carries `artifact` as `version`.
    pub fn offering(version: &str, artifact: &Artifact) -> Self {
        let scene = Self::new();
        scene.offer(version, artifact);
        scene
    }

    /// Has the source carry `artifact` as `version`.
    pub fn offer(&self, version: &str, artifact: &Artifact) {
        let path = format!("artifacts/updates-{version}.tar.gz");
        self.source.write(&path, &artifact.bytes);
        self.index(version, &artifact.stanza(&path));
    }

    /// Has the source's index say this of `version`, and commits.
    pub fn index(&self, version: &str, stanza: &Value) {
        let platform = format!("{}-linux", std::env::consts::ARCH);
        let index = json!({"metadata": {"schema_version": version}, "artifacts": {platform: stanza}});
        self.source.write("index.json", index.to_string());
        self.source.commit();
    }

    #[track_caller]
    pub fn run(&self) -> Ran {
        self.root.updates(&["--json", "run", "--source", self.source.path()])
    }

    /// A run that has to end well, and its record.
    #[track_caller]
    pub fn run_well(&self) -> Value {
        self.run().expect(0).json()
    }

    /// What `updates --version` says, which is handed over like any command.
    #[track_caller]
    pub fn version(&self) -> String {
        let ran = self.root.updates(&["--version"]);
        ran.expect(0).stdout.trim().strip_prefix("updates ").unwrap().to_owned()
    }

    /// What `updates self show` says.
    #[track_caller]
    pub fn program(&self) -> Value {
        self.root.updates(&["--json", "self", "show"]).expect(0).json()
    }

    /// How often the module has run to its end.
    pub fn module_runs(&self) -> usize {
        std::fs::read_to_string(self.root.at("/srv/m/runs")).map_or(0, |text| text.lines().count())
    }

    pub fn link(&self) -> Option<String> {
        let link = std::fs::read_link(self.root.at("/usr/local/lib/updates/current")).ok()?;
        Some(link.to_str().unwrap().to_owned())
    }

    /// Nothing half is left: no trial, no folder without a version's name, none that nobody goes back to.
    #[track_caller]
    pub fn assert_tidy(&self, what: &str) {
        assert!(!self.root.exists("/var/lib/updates/self-update/trial"), "{what}: a trial is left");
        let names = |folder: &str| -> Vec<String> {
            let entries = std::fs::read_dir(self.root.at(folder)).into_iter().flatten();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        for name in names("/usr/local/lib/updates/versions") {
            assert!(name.starts_with(|first: char| first.is_ascii_digit()), "{what}: {name} is left");
        }
        for name in names("/usr/local/lib/updates") {
            let known = ["modules", "index.json", "versions", "current"].contains(&name.as_str());
            assert!(known, "{what}: {name} is left");
        }
        if let Some(link) = self.link() {
            assert!(self.root.exists(&format!("/usr/local/lib/updates/{link}/bin/updates")), "{what}: {link}");
        }
    }

    /// The guard, as systemd calls it.
    #[track_caller]
    pub fn guard(&self, action: &str) -> String {
        let guard = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/guard/updates-guard");
        let output =
            std::process::Command::new(guard).arg("--root").arg(self.root.path()).arg(action).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        stderr
    }
}
