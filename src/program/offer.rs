//! What the source's root `index.json` says of the supervisor itself; docs/self-update.md describes it.
//!
//! Older repositories keep something else in that file. Whatever does not look like an offer is none, without a word;
//! what does and is wrong is an error that names the key.

use std::path::{Component, Path};

use serde_json::{Map, Value};
use updates_protocol::SchemaVersion;

/// The most bytes of a root `index.json` that are read.
pub const MAX_INDEX: u64 = 1 << 20;
/// The most bytes that an artifact may have.
pub const MAX_ARTIFACT: u64 = 256 << 20;

/// What a source says of this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The oldest version that can work with the source's modules.
    pub minimum: Option<SchemaVersion>,
    /// The version that it carries, where it carries one.
    pub version: Option<SchemaVersion>,
    /// What to install on this platform, where there is something for it.
    pub artifact: Option<Artifact>,
}

/// One archive of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Where it is.
    pub origin: Origin,
    /// Bytes, 1 to [`MAX_ARTIFACT`].
    pub size: u64,
    /// SHA-256 of the archive, as 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file of the same commit of the source: a relative path without `..`.
    Repository(String),
    /// An https, http or file URL.
    Url(String),
}

/// Why an offer can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source's index.json: {key} {problem}")]
pub struct OfferError {
    key: String,
    problem: String,
}

/// The name of this platform in `artifacts`, as `x86_64-linux`.
pub fn platform() -> String {
    format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)
}

impl Offer {
    /// Reads a root `index.json`. `None` where it says nothing of the program.
    pub fn parse(bytes: &[u8], platform: &str) -> Result<Option<Self>, OfferError> {
        let Ok(Value::Object(index)) = serde_json::from_slice::<Value>(bytes) else { return Ok(None) };
        let metadata = index.get("metadata").and_then(Value::as_object);
        let named = |key: &str| metadata.and_then(|metadata| metadata.get(key)).and_then(Value::as_str);
        let minimum = named("minimum_version").map(|text| version("metadata.minimum_version", text)).transpose()?;
        let Some(artifacts) = index.get("artifacts").and_then(Value::as_object) else {
            return Ok(minimum.map(|minimum| Self { minimum: Some(minimum), version: None, artifact: None }));
        };
        let Some(text) = named("schema_version") else {
            return Err(wrong("metadata.schema_version", "is missing, though there are artifacts"));
        };
        let version = version("metadata.schema_version", text)?;
        let key = format!("artifacts.{platform}");
        let artifact = match artifacts.get(platform) {
            None => None,
            Some(Value::Object(artifact)) => Some(Artifact::parse(&key, artifact)?),
            Some(_) => return Err(wrong(&key, "must be an object")),
        };
        Ok(Some(Self { minimum, version: Some(version), artifact }))
    }
}

impl Artifact {
    fn parse(key: &str, object: &Map<String, Value>) -> Result<Self, OfferError> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        let origin = match (text("path"), text("url")) {
            (Some(path), None) => {
                let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
                if path.is_empty() || !normal {
                    return Err(wrong(&format!("{key}.path"), "must be a relative path without `..`"));
                }
                Origin::Repository(path.to_owned())
            }
            (None, Some(url)) => {
                let known = ["https://", "http://", "file:///"].iter().any(|scheme| url.starts_with(scheme));
                if !known || url.chars().any(|c| c.is_control() || c == ' ') {
                    return Err(wrong(&format!("{key}.url"), "must be an https, http or file URL"));
                }
                Origin::Url(url.to_owned())
            }
            _ => return Err(wrong(key, "must have either `path` or `url`")),
        };
        let size = object.get("size").and_then(Value::as_u64).filter(|size| (1..=MAX_ARTIFACT).contains(size));
        let Some(size) = size else {
            return Err(wrong(&format!("{key}.size"), &format!("must be a number of bytes from 1 to {MAX_ARTIFACT}")));
        };
        let sha256 = text("sha256").map(str::to_ascii_lowercase).unwrap_or_default();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong(&format!("{key}.sha256"), "must be 64 hexadecimal digits"));
        }
        Ok(Self { origin, size, sha256 })
    }
}

fn version(key: &str, text: &str) -> Result<SchemaVersion, OfferError> {
    text.parse().map_err(|error: updates_protocol::VersionError| wrong(key, &format!("is wrong: {error}")))
}

fn wrong(key: &str, problem: &str) -> OfferError {
    OfferError { key: key.to_owned(), problem: problem.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(index: &Value) -> Result<Option<Offer>, OfferError> {
        Offer::parse(index.to_string().as_bytes(), "x86_64-linux")
    }

    fn with(artifact: &Value) -> Value {
        json!({"metadata": {"schema_version": "2.0.0"}, "artifacts": {"x86_64-linux": artifact}})
    }

    #[test]
    fn what_an_older_repository_keeps_in_its_index_is_no_offer_and_no_error() {
        for text in ["", "nonsense", "[]", "7", "{}", r#"{"metadata": {"schema_version": "9"}, "packages": {}}"#] {
            assert_eq!(Offer::parse(text.as_bytes(), "x86_64-linux"), Ok(None), "{text}");
        }
        assert_eq!(parse(&json!({"metadata": "x", "artifacts": []})), Ok(None));
    }

    #[test]
    fn an_offer_names_the_artifact_of_this_platform_alone() {
        let sha256 = "A".repeat(64);
        let index = with(&json!({"path": "artifacts/a.tar.gz", "size": 7, "sha256": sha256}));
        let offer = parse(&index).unwrap().unwrap();
        assert_eq!(offer.version.unwrap().to_string(), "2.0.0");
        let artifact = offer.artifact.unwrap();
        assert_eq!(artifact.origin, Origin::Repository("artifacts/a.tar.gz".to_owned()));
        assert_eq!((artifact.size, artifact.sha256), (7, "a".repeat(64)));
        assert_eq!(Offer::parse(index.to_string().as_bytes(), "mips-linux").unwrap().unwrap().artifact, None);
    }

    #[test]
    fn a_wrong_offer_is_an_error_that_names_the_key() {
        let sha256 = "a".repeat(64);
        for (artifact, key) in [
            (json!({"size": 7, "sha256": sha256}), "path"),
            (json!({"path": "../a", "size": 7, "sha256": sha256}), "path"),
            (json!({"path": "/a", "size": 7, "sha256": sha256}), "path"),
            (json!({"url": "ftp://example.org/a", "size": 7, "sha256": sha256}), "url"),
            (json!({"url": "file://host/a", "size": 7, "sha256": sha256}), "url"),
            (json!({"path": "a", "size": 0, "sha256": sha256}), "size"),
            (json!({"path": "a", "size": MAX_ARTIFACT + 1, "sha256": sha256}), "size"),
            (json!({"path": "a", "size": 7, "sha256": "short"}), "sha256"),
            (json!("a"), "artifacts.x86_64-linux"),
        ] {
            let error = parse(&with(&artifact)).unwrap_err().to_string();
            assert!(error.contains(key), "{artifact}: {error}");
        }
        let error = parse(&json!({"metadata": {"minimum_version": "new"}})).unwrap_err().to_string();
        assert!(error.contains("minimum_version"), "{error}");
    }
}
