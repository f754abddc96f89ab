//! The version of this very program.
//!
//! It stands in the program once, behind a mark, and is read at run time: the tests of self-update make a program of
//! another version by writing over it, so that what such a program says of itself is true.

use updates_protocol::SchemaVersion;

const MARK: &str = "updates-program-version=";
/// The blanks are room for a longer version.
static MARKED: &str = concat!("updates-program-version=", env!("CARGO_PKG_VERSION"), ";                ");

/// The version as it is printed.
pub fn version() -> &'static str {
    // Read, and not known to the compiler: it must exist only once.
    let marked: &'static str = std::hint::black_box(MARKED);
    marked[MARK.len()..].split(';').next().unwrap_or_default()
}

/// The version as it is compared.
pub fn program_version() -> SchemaVersion {
    // Cargo takes nothing else for a package's version; 0 would only mean that every release is newer.
    version().parse().or_else(|_| "0".parse()).unwrap_or_else(|_| unreachable!("0 is a version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_packages() {
        assert_eq!(version(), env!("CARGO_PKG_VERSION"));
        assert_eq!(program_version().to_string(), version());
    }
}
