//! The settings as they stand in a file: every key optional, none unknown.

use serde::{Deserialize, Serialize};

use super::Verify;

/// `config.toml` and each file of `config.d/`.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default)]
    pub(super) source: RawSource,
    #[serde(default)]
    pub(super) run: RawRun,
    #[serde(default)]
    pub(super) self_update: RawSelfUpdate,
}

/// `[source]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSource {
    pub(super) url: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) ssh_key: Option<String>,
    pub(super) known_hosts: Option<String>,
    pub(super) credentials: Option<String>,
    pub(super) credential_helper: Option<String>,
    pub(super) timeout_sec: Option<u64>,
    pub(super) verify: Option<Verify>,
    pub(super) allowed_signers: Option<String>,
    pub(super) keyring: Option<String>,
    pub(super) allow_non_fast_forward: Option<bool>,
    pub(super) stale_after: Option<u64>,
}

/// `[run]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRun {
    pub(super) jobs: Option<u64>,
    pub(super) python: Option<String>,
    pub(super) systemctl: Option<String>,
    pub(super) window: Option<Vec<String>>,
}

/// `[self_update]`
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSelfUpdate {
    pub(super) enabled: Option<bool>,
    pub(super) tries: Option<u64>,
}
