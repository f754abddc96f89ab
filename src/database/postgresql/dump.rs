//! A dump in pg_dump's custom format: written, and read again to its end.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use updates_protocol::ServerDatabase;

use super::details::{Details, QUESTION};
use super::problem::Problem;
use super::rights::Ways;
use super::tools::Tools;
use crate::database::access::Bounds;
use crate::database::client::Client;
use crate::database::{Access, Dump};
use crate::fs::{Root, digest};

/// How long reading a dump may take where no server is asked.
const READING: Duration = Duration::from_secs(3600);

/// Dumps a database into the new file `db_NUMBER.dump` of `directory`.
pub(super) fn dump(
    server: &ServerDatabase,
    number: usize,
    directory: &Path,
    access: &Access<'_>,
) -> Result<Dump, Problem> {
    let (ways, content) = Ways::to_save(server, access)?;
    let answer = ways.user.ask(&server.database, &[QUESTION], "ask for its properties", access.short())?;
    let mut details: Details = serde_json::from_str(&answer)?;
    (details.owners, details.privileged) = (content.owners, content.privileged);
    let name = format!("db_{number}.dump");
    let path = directory.join(&name);
    let failed = |error| Problem::File(error, path.clone());
    let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
    // The client writes to a descriptor of ours: the user that it runs as needs no access to the slot.
    ways.user
        .client("pg_dump", &server.database)
        // A table that somebody has locked for long is an error that names it, and no hour of waiting.
        .args(["--format=custom", "--lock-wait-timeout=60000"])
        .write_to(file.try_clone().map_err(failed)?, access.long())
        .map_err(Problem::client("dump"))?;
    file.sync_all().map_err(failed)?;
    verify(&path)?;
    let status = Root::open(directory)?.status(Path::new(&name)).map_err(failed)?;
    let status = status.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
    let content = digest(&file, &status).map_err(failed)?;
    let details = crate::database::Details::Postgresql(Box::new(details));
    Ok(Dump { file: name, size: content.size, sha256: content.sha256, details })
}

/// Has pg_restore read all of a dump without a server. Its table of contents stands at the beginning, so that only
/// reading what it names finds out whether the rest is there.
pub(super) fn verify(path: &Path) -> Result<(), Problem> {
    let file = File::open(path).map_err(|error| Problem::File(error, path.to_owned()))?;
    let tools = Tools::installed();
    // The newest reads what any of them wrote.
    let tools = tools.iter().max_by_key(|tools| tools.major()).ok_or(Problem::NoClient)?;
    let nothing = File::options().write(true).open("/dev/null");
    let nothing = nothing.map_err(|error| Problem::File(error, "/dev/null".into()))?;
    Client::new(tools.program("pg_restore"), None)
        .args(["--file=-"])
        .input(file)
        .write_to(nothing, Bounds { timeout: READING, interrupt: None })
        .map_err(|error| Problem::Truncated(error.to_string()))
}

/// What was remembered beside a dump.
pub(super) fn details(dump: &Dump) -> Result<&Details, Problem> {
    match &dump.details {
        crate::database::Details::Postgresql(details) => Ok(details),
        _ => Err(Problem::Truncated("the slot describes it as that of another kind of server".to_owned())),
    }
}
