//! Why a profile can't be used: each names the file or the module, the key, and the way out.

use std::path::PathBuf;

use updates_protocol::{FieldError, ModuleName, ProfileName};

/// A profile that can't be loaded, extended or given to a module. Stops the modules that use it, and no other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A file or folder of profiles can't be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The file is no JSON object.
    #[error("{}: not a JSON object: {reason}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What the parser said, with line and column.
        reason: String,
    },
    /// The name of a file is not one a profile can have.
    #[error("{}: {reason}", path.display())]
    Name {
        /// Which file.
        path: PathBuf,
        /// What is wrong with its name.
        reason: String,
    },
    /// A key that no profile has.
    #[error("{}: {key} is not known{}", path.display(), nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default())]
    UnknownKey {
        /// Which file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The known key that is nearest.
        nearest: Option<&'static str>,
    },
    /// A key with a value of the wrong shape.
    #[error("{}: {field}", path.display())]
    Field {
        /// Which file.
        path: PathBuf,
        /// Key and problem.
        field: FieldError,
    },
    /// Nobody knows a profile of this name.
    #[error("there is no sandbox profile {name:?}; there are {}", known.join(", "), name = name.as_str())]
    Unknown {
        /// The name that was asked for.
        name: ProfileName,
        /// The names there are.
        known: Vec<String>,
    },
    /// A profile extends itself over others.
    #[error("sandbox profiles extend each other in a circle: {}", names.join(" extends "))]
    Circle {
        /// The way round.
        names: Vec<String>,
    },
    /// A module's manifest asks for what its sandbox can't give.
    #[error("module {module}: {field}")]
    Request {
        /// Which module.
        module: ModuleName,
        /// Key and problem.
        field: FieldError,
    },
}
