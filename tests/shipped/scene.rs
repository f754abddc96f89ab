//! One shipped module on one machine: a git repository that holds a copy of it, local settings, and what a run and a
//! check of it amount to.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::files::{Files, Without};
use super::support::{Ran, Root, Source, Tree, normal, normal_text};

/// A root, a source with one shipped module, and settings that name both.
pub struct Scene {
    pub root: Root,
    pub source: Source,
    module: &'static str,
    replaced: Vec<(String, String)>,
    without: Without,
}

/// What one command did.
pub struct Step {
    exit: i32,
    status: String,
    message: Option<String>,
    pub result: Value,
    log: Vec<String>,
    changed: Vec<String>,
}

impl Scene {
    /// A machine whose source has the module `module` as it is shipped.
    pub fn new(module: &'static str) -> Self {
        let (root, source) = (Root::new(), Source::new());
        copy(&shipped(module), &source.modules().join(module));
        source.commit();
        root.folder("/usr/local/lib");
        root.write("/etc/updates/config.toml", format!("[source]\nurl = {:?}\n", source.path()));
        Self { root, source, module, replaced: Vec::new(), without: Without::default() }
    }

    /// Runs the module for the first time, as it is shipped: it must have nothing to do and leave nothing behind.
    #[track_caller]
    pub fn installed(&self) -> &Self {
        let step = self.run();
        assert_eq!((step.exit, step.status.as_str()), (0, "succeeded"), "{step}");
        assert!(step.changed.is_empty(), "{step}");
        self
    }

    /// Lays `settings` over the module's `index.json`, as an administrator does.
    pub fn settings(&self, settings: &Value) -> &Self {
        let text = format!("{settings:#}\n");
        self.root.write(&format!("/etc/updates/modules.d/{}.json", self.module), text);
        self
    }

    /// Shows `text`, which differs from run to run, as `shown` everywhere.
    pub fn replace(&mut self, text: impl Into<String>, shown: &str) -> &mut Self {
        self.replaced.push((text.into(), shown.to_owned()));
        self
    }

    /// What the lists of changed files leave out: it is somebody else's, or follows what differs from run to run.
    pub fn without(&mut self, without: Without) -> &mut Self {
        self.without = without;
        self
    }

    /// A file in the module's folder of the source; executable when it starts with `#!`.
    pub fn script(&self, path: &str, content: &str) -> &Self {
        use std::os::unix::fs::PermissionsExt;
        let path = format!("modules/{}/{path}", self.module);
        self.source.write(&path, content);
        if content.starts_with("#!") {
            let file = Path::new(self.source.path()).join(path);
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        self
    }

    /// Commits what the source holds as this version of the module.
    pub fn publish(&self, version: &str) -> &Self {
        let file = self.source.modules().join(self.module).join("index.json");
        let mut index: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        index["metadata"]["schema_version"] = json!(version);
        fs::write(file, format!("{index:#}\n")).unwrap();
        self.source.commit();
        self
    }

    /// `updates run`.
    #[track_caller]
    pub fn run(&self) -> Step {
        self.step(&["--json", "run"])
    }

    /// `updates check`, which must leave no trace.
    #[track_caller]
    pub fn check(&self) -> Step {
        let before = Tree::of(self.root.path(), &["run/updates"]);
        let step = self.step(&["--json", "check"]);
        before.assert_same(&Tree::of(self.root.path(), &["run/updates"]), "the check changed something");
        step
    }

    /// `updates run` that fails, after which every file, the module's code and its state are as they were.
    #[track_caller]
    pub fn failing_run(&self) -> Step {
        let before = self.everything();
        let step = self.run();
        assert_eq!(step.exit, 20, "{step}");
        for (before, after) in before.iter().zip(self.everything()) {
            before.assert_same(&after, "the failure left something behind");
        }
        step
    }

    // The machine, the module's code, and what is in its state. Whether an empty state directory is there makes no
    // difference; neither does when modules were last swapped.
    fn everything(&self) -> [Tree; 3] {
        let state = self.root.tree(&self.state());
        let nothing = Tree::of(&self.root.at("/no/such/folder"), &[]);
        [
            Tree::of(self.root.path(), &["run/updates", "var/lib/updates", "usr/local/lib/updates"]),
            self.root.tree(&format!("/usr/local/lib/updates/modules/{}", self.module)),
            if state.paths() == ["."] { nothing } else { state },
        ]
    }

    fn state(&self) -> String {
        format!("/var/lib/updates/state/{}", self.module)
    }

    #[track_caller]
    fn step(&self, arguments: &[&str]) -> Step {
        let before = self.files();
        let ran = self.root.updates(arguments);
        let record = ran.json();
        let modules = record["modules"].as_array().unwrap();
        let module = modules.iter().find(|each| each["module"] == self.module);
        let module = module.unwrap_or_else(|| panic!("{} did not run: {record:#}\n{}", self.module, ran.stderr));
        let text = |key: &str| module[key].as_str().map(|text| self.normal(text));
        let result = normal(&module["result"], self.root.path());
        let mut changed: Vec<String> = before.changes(&self.files()).iter().map(|line| self.normal(line)).collect();
        changed.sort_by(|left, right| left[2..].cmp(&right[2..]));
        Step {
            exit: ran.code,
            status: text("status").unwrap_or_default(),
            message: text("message"),
            result: serde_json::from_str(&self.normal(&result.to_string())).unwrap(),
            log: self.log(&ran),
            changed,
        }
    }

    fn files(&self) -> Files {
        let state = self.state();
        let own = ["run", "etc/updates", "usr/local/lib/updates", "var/lib/updates"];
        let mut files = Files::of(self.root.path(), &own, &self.without);
        files.add(self.root.path(), state.trim_start_matches('/'), &self.without);
        // Whether an empty state directory is there makes no difference.
        files.remove(state.trim_start_matches('/'));
        files
    }

    // `[time] [LEVEL] module: text` without the time; what git says of commits is told elsewhere.
    fn log(&self, ran: &Ran) -> Vec<String> {
        let own = format!("{}: ", self.module);
        ran.stderr
            .lines()
            .map(|line| line.split_once("] ").map_or(line, |(_, rest)| rest))
            .filter(|line| line.split_once("] ").is_none_or(|(_, text)| text.starts_with(&own)))
            .map(|line| self.normal(line))
            .collect()
    }

    fn normal(&self, text: &str) -> String {
        let text = normal_text(text, self.root.path());
        self.replaced.iter().fold(text, |text, (from, to)| text.replace(from, to))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit {}, {}", self.exit, self.status)?;
        if let Some(message) = &self.message {
            writeln!(f, "message: {message}")?;
        }
        writeln!(f, "result: {:#}", self.result)?;
        let list = |f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]| {
            let none = if lines.is_empty() { " none" } else { "" };
            writeln!(f, "{title}:{none}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {}", line.replace('\n', "\n  ").trim_end()))
        };
        list(f, "log", &self.log)?;
        list(f, "changed files", &self.changed)
    }
}

/// Compares a step with its snapshot, durations and times taken out.
macro_rules! assert_step {
    ($name:expr, $step:expr) => {
        insta::with_settings!({filters => [
            (r"done in \d+\.\d s", "done in [n] s"),
            (r#""seconds": \d+(\.\d+)?"#, r#""seconds": [n]"#),
            // Newer Pythons bring no setuptools.
            (r#",?\s+"(pip|setuptools)": "none -> [0-9.]+""#, ""),
            (r"\d+ packages changed, \d+ installed", "[n] packages changed, [n] installed"),
            (r"Fetched (.+) in \d+s \([^)]+\)", "Fetched $1 in [n] s"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]"),
        ]}, {
            insta::assert_snapshot!($name, $step.to_string())
        })
    };
}
pub(crate) use assert_step;

/// Where a shipped module lies in this repository.
pub fn shipped(module: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("modules").join(module)
}

/// Copies a folder of plain files, without what Python leaves beside them.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if entry.file_name() == "__pycache__" => {}
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
