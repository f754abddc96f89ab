//! The settings as they stand in a file: every key optional, none unknown.

use serde::{Deserialize, Serialize};

/// `config.toml` and each file of `config.d/`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default)]
    pub(super) source: RawSource,
    #[serde(default)]
    pub(super) run: RawRun,
}

/// `[source]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) url: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) ssh_key: Option<String>,
    pub(super) timeout_sec: Option<u64>,
}

/// `[run]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRun {
    pub(super) jobs: Option<u64>,
    pub(super) python: Option<String>,
    pub(super) systemctl: Option<String>,
}
