//! Why something is not trusted, each with the way out.

use std::path::PathBuf;

use crate::fs::PathError;

/// Why a commit, a tag or a module is not trusted. Nothing of it is installed.
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The rule itself can't be applied.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// There is no signature.
    #[error("{what} is not signed; sign it with `{how}` and push it, or set source.verify to what this source does")]
    Unsigned {
        /// The commit or tag, for people.
        what: String,
        /// The command that signs such a thing.
        how: &'static str,
    },
    /// There is a signature, and it does not count.
    #[error("{what} is not trusted: {why}")]
    Signature {
        /// The commit or tag, for people.
        what: String,
        /// What is wrong with the signature, and what to do.
        why: String,
    },
    /// No signed tag covers the commit.
    #[error(
        "no trusted tag covers {what}{why}; tag it with `git tag -s` and push the tag, or sign each module's own tag \
         (MODULE-vVERSION-YYYYMMDD)"
    )]
    NoTag {
        /// The commit or the module's version, for people.
        what: String,
        /// What is wrong with the tags that there are; begins with what follows in the sentence.
        why: String,
    },
    /// A tag that is served under a name that was not signed.
    #[error(
        "the tag {reference:?} is not trusted: what was signed is named {signed:?}; push the tag under its own name"
    )]
    Renamed {
        /// The name under which the source has it.
        reference: String,
        /// The name that was signed.
        signed: String,
    },
    /// The tag does not lead to the commit.
    #[error("the tag {tag:?} is not trusted for commit {commit}: it does not point there")]
    Elsewhere {
        /// The tag's own name.
        tag: String,
        /// The commit, shortened.
        commit: String,
    },
    /// An object that can't be read, or is no commit or tag as git writes them.
    #[error("{what} can't be verified: {reason}")]
    Unreadable {
        /// The commit or tag, for people.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Why the rule can't be applied: nothing is installed until it can.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Nobody may sign.
    #[error(
        "source.verify asks for a signature, and nobody is trusted to make one; set source.allowed_signers (SSH keys) or \
         source.keyring (OpenPGP keys)"
    )]
    Nobody,
    /// A file that can't be read.
    #[error("{key}: {source}; nothing is installed without it")]
    File {
        /// The setting.
        key: &'static str,
        /// What is wrong.
        source: PathError,
    },
    /// A file that can't be relied on.
    #[error("{key}: {} {problem}", file.display())]
    Content {
        /// The setting.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A verifying program that is not there or does not answer.
    #[error("signatures can't be verified: {reason}; {key} needs {program}, of the package {package}")]
    Program {
        /// The setting that needs it.
        key: &'static str,
        /// The program.
        program: &'static str,
        /// Debian's package.
        package: &'static str,
        /// What happened.
        reason: String,
    },
    /// No place for the verifier's files.
    #[error("signatures can't be verified: {0}")]
    Path(#[from] PathError),
}
