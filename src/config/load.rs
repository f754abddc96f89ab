//! Reading settings: `config.toml`, then `config.d/*.toml` by name, a later value over an earlier one.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::raw::RawConfig;
use super::{Config, Layout};
use crate::fs::{IoContext, PathError};

/// Where a value came from: the file, by dotted key.
pub type Origin = BTreeMap<String, PathBuf>;

/// Settings, and where they came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The checked settings.
    pub config: Config,
    /// Keys that a file set; every other has its default.
    pub origin: Origin,
    /// The files that were read, in order.
    pub files: Vec<PathBuf>,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file can't be read.
    #[error(transparent)]
    Read(#[from] PathError),
    /// A file is no TOML, has an unknown key, or a value of the wrong type.
    #[error("{}: {reason}", file.display())]
    Syntax {
        /// Which file.
        file: PathBuf,
        /// What the parser said, with line and key.
        reason: String,
    },
    /// A value is outside its range.
    #[error("{}: {key}: {problem}", file.display())]
    Value {
        /// The file that set it.
        file: PathBuf,
        /// Dotted key.
        key: String,
        /// What is allowed.
        problem: String,
    },
}

/// Reads the settings below `layout`, or from `only` when a file is named with `--config`.
pub fn load(layout: &Layout, only: Option<&Path>) -> Result<Loaded, ConfigError> {
    let files = match only {
        Some(file) => vec![file.to_owned()],
        None => settings_files(layout)?,
    };
    let mut merged = toml::Table::new();
    let mut origin = Origin::new();
    for file in &files {
        let text = fs::read_to_string(file).at("read", file)?;
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            file: file.clone(),
            reason: error.to_string().trim_end().to_owned(),
        };
        // Each file is checked alone first, so that an unknown key is named with its file and line.
        toml::from_str::<RawConfig>(&text).map_err(syntax)?;
        let table = toml::from_str::<toml::Table>(&text).map_err(syntax)?;
        note_origin(&table, "", file, &mut origin);
        merge(&mut merged, table);
    }
    let file = files.last().cloned().unwrap_or_else(|| layout.config_file());
    let raw = RawConfig::try_from_table(merged, &file)?;
    let config = Config::check(raw).map_err(|(key, problem)| ConfigError::Value {
        file: origin.get(key).cloned().unwrap_or(file),
        key: key.to_owned(),
        problem,
    })?;
    Ok(Loaded { config, origin, files })
}

impl RawConfig {
    fn try_from_table(table: toml::Table, file: &Path) -> Result<Self, ConfigError> {
        table
            .try_into()
            .map_err(|error: toml::de::Error| ConfigError::Syntax { file: file.to_owned(), reason: error.to_string() })
    }
}

fn settings_files(layout: &Layout) -> Result<Vec<PathBuf>, PathError> {
    let mut files = Vec::new();
    if layout.config_file().try_exists().at("read", &layout.config_file())? {
        files.push(layout.config_file());
    }
    let directory = layout.config_directory();
    match fs::read_dir(&directory) {
        Ok(entries) => {
            let mut extra = Vec::new();
            for entry in entries {
                let path = entry.at("read", &directory)?.path();
                if path.extension().is_some_and(|extension| extension == "toml") {
                    extra.push(path);
                }
            }
            extra.sort();
            files.extend(extra);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).at("read", &directory),
    }
    Ok(files)
}

fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

fn note_origin(table: &toml::Table, prefix: &str, file: &Path, origin: &mut Origin) {
    for (key, value) in table {
        let dotted = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            toml::Value::Table(inner) => note_origin(inner, &dotted, file, origin),
            _ => {
                origin.insert(dotted, file.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().unwrap();
        let layout = Layout::new(root.path());
        fs::create_dir_all(layout.config_directory()).unwrap();
        for (name, text) in files {
            fs::write(root.path().join("etc/updates").join(name), text).unwrap();
        }
        (root, layout)
    }

    #[test]
    fn later_files_win_key_by_key() {
        let (_root, layout) = layout(&[
            ("config.toml", "[source]\nurl = \"/srv/a\"\nbranch = \"stable\"\n"),
            ("config.d/20-b.toml", "[source]\nurl = \"/srv/c\"\n"),
            ("config.d/10-a.toml", "[source]\nurl = \"/srv/b\"\n[run]\njobs = 3\n"),
            ("config.d/ignored.conf", "not toml ["),
        ]);
        let loaded = load(&layout, None).unwrap();
        assert_eq!(loaded.config.source.url.as_deref(), Some("/srv/c"));
        assert_eq!(loaded.config.source.branch, "stable");
        assert_eq!(loaded.config.jobs, 3);
        assert!(loaded.origin["source.url"].ends_with("20-b.toml"));
    }

    #[test]
    fn without_any_file_every_value_has_its_default() {
        let root = tempfile::tempdir().unwrap();
        let config = load(&Layout::new(root.path()), None).unwrap().config;
        assert_eq!(config.source.url, None);
        assert_eq!(config.source.branch, "main");
        assert!((1..=4).contains(&config.jobs));
    }

    #[test]
    fn mistakes_are_named_with_file_and_key() {
        for (text, expected) in [
            ("[source]\nurll = 1\n", "urll"),
            ("[run]\njobs = 0\n", "run.jobs: 0 is outside 1 to 64"),
            ("[run]\njobs = \"two\"\n", "jobs"),
            ("[source]\nbranch = \"a b\"\n", "source.branch"),
            ("[run]\nwindow = [\"02:00-04:00\", \"4-5\"]\n", "run.window: \"4-5\" is no window"),
            ("[run]\nwindow = \"02:00-04:00\"\n", "window"),
            ("[run\n", "line 1"),
        ] {
            let (_root, layout) = layout(&[("config.toml", text)]);
            let error = load(&layout, None).unwrap_err().to_string();
            assert!(error.contains("etc/updates/config.toml") && error.contains(expected), "{text}: {error}");
        }
    }
}
