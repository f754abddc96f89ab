//! Putting a version beside those that are there: fetched, verified, unpacked, made durable, named, and tried.
//!
//! Nothing here changes which version is in use. Whatever fails leaves at most a folder that no link names, and the next
//! start removes it.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{Seek, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use updates_protocol::SchemaVersion;

use crate::fs::{IoContext, PathError, exchange, remove_tree, rename_new, sync_file_system};
use crate::program::{
    Artifact, DownloadError, MAX_ARTIFACT, Mistrust, Origin, Place, ProbeError, UnpackError, download, probe, unpack,
};
use crate::source::{Revision, SourceError, SourceFile};
use crate::supervisor::Supervisor;

/// Why a version was not put in place.
#[derive(Debug, thiserror::Error)]
pub(super) enum InstallError {
    #[error(transparent)]
    Mistrust(#[from] Mistrust),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the source's index.json names {path}, {problem}")]
    NotThere { path: String, problem: String },
    #[error("the artifact is not what the source's index.json says: its SHA-256 is {found}, not {announced}")]
    Digest { found: String, announced: String },
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    #[error(transparent)]
    Probe(ProbeError),
    #[error("{failure}; this version's own self-test fails here as well ({own}), so it may be this machine's fault")]
    Machine { failure: ProbeError, own: ProbeError },
    #[error(transparent)]
    Path(#[from] PathError),
}

impl InstallError {
    /// Whether the same artifact would fail again.
    pub(super) fn is_of_the_artifact(&self) -> bool {
        match self {
            InstallError::Unpack(error) => error.is_of_the_artifact(),
            InstallError::Probe(_) => true,
            _ => false,
        }
    }
}

/// Puts `version` in place, so that the link could name it.
pub(super) fn install(
    supervisor: &Supervisor,
    revision: &Revision,
    version: &SchemaVersion,
    artifact: &Artifact,
    config: Option<&PathBuf>,
) -> Result<(), InstallError> {
    let place = Place::new(&supervisor.layout);
    place.prepare()?;
    place.examine_way()?;
    // What a killed installation left has no version's name.
    place.sweep(&place.list()?)?;
    if place.artifact(version) != artifact.sha256 || place.examine(version).is_err() || is_current(&place, version) {
        let mut archive = fetch(supervisor, revision, artifact, &place)?;
        put(&place, version, artifact, &mut archive)?;
    }
    place.examine(version)?;
    let tried = try_out(supervisor, &place, version, config);
    if tried.is_err() && !is_current(&place, version) {
        remove_tree(&place.folder(version))?;
    }
    tried
}

// What the link names, and this is not it: it can't be executed, so it is made anew.
fn is_current(place: &Place, version: &SchemaVersion) -> bool {
    matches!(place.current(), Ok(Some(current)) if current == *version)
}

fn fetch(
    supervisor: &Supervisor,
    revision: &Revision,
    artifact: &Artifact,
    place: &Place,
) -> Result<File, InstallError> {
    // Without a name: nothing is left of it, whatever happens.
    let mut file = tempfile::tempfile_in(place.versions()).at("create a file in", place.versions())?;
    match &artifact.origin {
        Origin::Url(url) => {
            let silence = Duration::from_secs(supervisor.config.source.timeout_sec);
            download(url, artifact.size, silence, &mut file, &|| supervisor.cancel.reason().is_some())?;
        }
        Origin::Repository(path) => {
            let not_there = |problem: String| InstallError::NotThere { path: path.clone(), problem };
            let content = match revision.file(path, MAX_ARTIFACT)? {
                SourceFile::Content(content) if content.len() as u64 == artifact.size => content,
                SourceFile::Content(content) => {
                    let found = content.len();
                    return Err(not_there(format!("which has {found} bytes instead of {}", artifact.size)));
                }
                SourceFile::TooLarge(size) => {
                    return Err(not_there(format!("which has {size} bytes instead of {}", artifact.size)));
                }
                SourceFile::Absent => return Err(not_there("which is not there".to_owned())),
                SourceFile::NoFile => return Err(not_there("which is no regular file".to_owned())),
            };
            file.write_all(&content).at("write an artifact to", place.versions())?;
        }
    }
    file.rewind().at("read an artifact in", place.versions())?;
    let found = digest(&mut file).at("read an artifact in", place.versions())?;
    if found != artifact.sha256 {
        return Err(InstallError::Digest { found, announced: artifact.sha256.clone() });
    }
    file.rewind().at("read an artifact in", place.versions())?;
    Ok(file)
}

fn digest(file: &mut File) -> std::io::Result<String> {
    let mut writer = crate::fs::HashingWriter::new(std::io::sink());
    std::io::copy(file, &mut writer)?;
    Ok(writer.finish().0)
}

fn put(place: &Place, version: &SchemaVersion, artifact: &Artifact, archive: &mut File) -> Result<(), InstallError> {
    let new = tempfile::Builder::new()
        .prefix(".new-")
        .tempdir_in(place.versions())
        .at("create a folder in", place.versions())?;
    unpack(archive, new.path())?;
    std::fs::set_permissions(new.path(), Permissions::from_mode(0o755)).at("set the mode of", new.path())?;
    Place::mark(new.path(), &artifact.sha256)?;
    sync_file_system(new.path())?;
    let folder = place.folder(version);
    if folder.symlink_metadata().is_ok() {
        // Where what is there is the one in use, there is one at every moment; the old one goes with `new`.
        return Ok(exchange(new.path(), &folder)?);
    }
    rename_new(new.path(), &folder)?;
    // Nothing is left to remove at the old name.
    drop(new.keep());
    Ok(())
}

fn try_out(
    supervisor: &Supervisor,
    place: &Place,
    version: &SchemaVersion,
    config: Option<&PathBuf>,
) -> Result<(), InstallError> {
    let mut arguments: Vec<OsString> = vec!["--root".into(), supervisor.layout.root().into()];
    if let Some(config) = config {
        arguments.extend(["--config".into(), config.into()]);
    }
    let failure = match probe(&place.program(version), &arguments, &[]) {
        Ok(probed) if probed.version.parse().ok().as_ref() == Some(version) => return Ok(()),
        Ok(probed) => {
            return Err(InstallError::Probe(ProbeError::Version {
                found: probed.version.chars().take(80).collect(),
                promised: version.to_string(),
            }));
        }
        Err(failure) => failure,
    };
    // A machine that is out of memory fails everybody.
    let own = std::env::current_exe().map_err(ProbeError::Start).and_then(|own| probe(&own, &arguments, &[]));
    match own {
        Ok(_) => Err(InstallError::Probe(failure)),
        Err(own) => Err(InstallError::Machine { failure, own }),
    }
}
