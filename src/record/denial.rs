//! What the sandbox refused a traced module, in words: the part of a record that `--explain-denials` asks for.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that was refused in one attempt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Denials {
    /// Each once, in the order of rules and then of paths.
    pub refused: Vec<Denial>,
    /// How many refusals are left out because they mean nothing: a look for files that are nowhere, caches of Python.
    pub left_out: usize,
    /// Whether there was more than could be followed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// One thing that was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Denial {
    /// The system calls that tried it, sorted.
    pub calls: Vec<String>,
    /// The path as the module meant it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// An address or a capability, as `tcp 192.0.2.1:443`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What the kernel said, as `EROFS`.
    pub error: String,
    /// The rule: a key of profiles such as `protect_home`, or whose rule it is otherwise.
    pub rule: String,
    /// What the rule is about, in a sentence.
    pub why: String,
    /// What would allow it in `index.json`; absent when nothing there can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Value>,
}
