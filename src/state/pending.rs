//! A backup on its way to becoming a slot: what is to be saved is added, and sealing does everything at once.
//!
//! The former slot stays valid until the new one stands complete and durable in its place. Where nothing has changed
//! since the former one, it is kept as it is and nothing is written.

use std::fmt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::backup::{Backup, machine_root};
use super::beside::{self, Beside};
use super::entry::SavedNode;
use super::error::StateError;
use super::live::Live;
use super::manifest::{self, FORMAT, Header, Manifest};
use super::progress::{Progress, Report};
use super::save::{Former, MANY, Saver};
use super::slot::{MANIFEST, Places, SERVICES, Staging};
use super::store::Store;
use super::survey::{Found, TRIES, Territory, What};
use crate::database;
use crate::fs::{IoContext, Kind, Root, Time};

/// A backup that is not yet one. Dropped, it leaves nothing behind.
#[must_use = "nothing is saved before it is sealed"]
pub struct PendingBackup<'a> {
    store: &'a Store,
    name: ModuleName,
    owner: ModuleName,
    description: String,
    paths: Vec<DeclaredPath>,
    left_out: Vec<DeclaredPath>,
    beside: Beside,
    further: Vec<Backup>,
    report: Box<Report<'a>>,
}

impl fmt::Debug for PendingBackup<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.paths.iter().map(|path| path.as_path());
        write!(f, "PendingBackup of {} by {}: ", self.name, self.owner)?;
        f.debug_list().entries(paths).finish()
    }
}

/// A slot that holds what is live now.
#[derive(Debug)]
#[must_use = "a module runs only when its checkpoint stands"]
pub enum Sealed {
    /// Something had changed: a new slot took the place of the former.
    Written(Backup),
    /// The former slot says exactly what is live now, and was kept, time of its making included.
    Reused(Backup),
}

impl Sealed {
    /// The slot.
    pub fn into_backup(self) -> Backup {
        match self {
            Sealed::Written(backup) | Sealed::Reused(backup) => backup,
        }
    }
}

impl<'a> PendingBackup<'a> {
    pub(super) fn new(store: &'a Store, name: ModuleName, owner: ModuleName, description: &str) -> Self {
        let description = description.to_owned();
        let (paths, left_out, beside) = (Vec::new(), Vec::new(), Beside::default());
        let (further, report) = (Vec::new(), Box::new(|_: Progress| {}));
        Self { store, name, owner, description, paths, left_out, beside, further, report }
    }

    /// Adds paths of the machine that modules see. Duplicates and nested paths are saved once; a path where nothing is
    /// is recorded as absent, and restoring removes what came there.
    pub fn paths(mut self, paths: impl IntoIterator<Item = DeclaredPath>) -> Self {
        self.paths.extend(paths);
        self
    }

    /// Leaves out places of the supervisor itself (slots, checkpoints, its database) where a declared path holds them.
    /// A restore leaves them alone too. A declared path inside of such a place is saved nevertheless.
    pub fn leave_out(mut self, places: impl IntoIterator<Item = DeclaredPath>) -> Self {
        self.left_out.extend(places);
        self
    }

    /// Adds units, whose state is saved.
    pub fn services(mut self, units: impl IntoIterator<Item = UnitName>) -> Self {
        self.beside.units.extend(units);
        self
    }

    /// Adds databases. The files of an SQLite database are left out of the paths: they are saved in its own way.
    pub fn databases(mut self, databases: impl IntoIterator<Item = Database>) -> Self {
        for database in databases {
            if !self.beside.databases.contains(&database) {
                self.left_out.extend(database::own_files(&database));
                self.beside.databases.push(database);
            }
        }
        self
    }

    /// Names a further slot, of this store or another one on its file system: content that is unchanged since is linked
    /// from it as from the former slot. Where it says exactly what is live, it is what is returned, and nothing is written.
    pub fn link_from(mut self, slot: &Backup) -> Self {
        self.further.push(slot.clone());
        self
    }

    /// Tells `report` how far it has come, at most some twenty times a second, from the thread that seals.
    pub fn progress(mut self, report: impl FnMut(Progress) + 'a) -> Self {
        self.report = Box::new(report);
        self
    }

    /// Saves everything that was added, and returns when it is durable.
    ///
    /// # Errors
    /// Whatever keeps a single path from being saved whole. The former slot then stands as before.
    pub fn seal<'l>(mut self, live: impl Into<Live<'l>>) -> Result<Sealed, StateError> {
        let live = live.into();
        self.beside.require(&live)?;
        let root = machine_root(live.machine)?;
        // Declared as a path as well, it is saved in its own way all the same.
        let own: Vec<_> = self.beside.databases.iter().flat_map(database::own_files).collect();
        self.paths.retain(|path| !own.iter().any(|own| own.as_path() == path.as_path()));
        let territory = Territory::new(self.paths.clone(), self.left_out.clone());
        let mut tries = 0;
        loop {
            tries += 1;
            match self.attempt(&live, &root, &territory) {
                Err(StateError::Vanishing(_)) if tries < TRIES => {}
                other => return other,
            }
        }
    }

    fn attempt(&self, live: &Live<'_>, root: &Root, territory: &Territory) -> Result<Sealed, StateError> {
        let began = now();
        let found = territory.survey(root, |_| true)?;
        let header = Header {
            format: FORMAT,
            module: self.name.clone(),
            owner: self.owner.clone(),
            description: self.description.clone(),
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            began,
            paths: territory.paths.clone(),
            left_out: territory.left_out.clone(),
            parents: territory.parents(root)?,
            services: self.beside.units(live)?,
            databases: Vec::new(),
        };
        // A former slot that can't be read is replaced; it is no use to anybody, and the live files are there.
        let former = self.store.load(&self.name).ok().flatten();
        let former = match former {
            Some(backup) if self.beside.databases.is_empty() && says_the_same(backup.manifest(), &header, &found) => {
                return Ok(Sealed::Reused(backup));
            }
            other => other,
        };
        if let Some(same) = self
            .further
            .iter()
            .find(|slot| self.beside.databases.is_empty() && says_the_same(slot.manifest(), &header, &found))
        {
            return Ok(Sealed::Reused(same.clone()));
        }
        let files = former.as_ref().and_then(|backup| backup.files().ok());
        let former = former.as_ref().zip(files.as_ref());
        let former = former.map(|(backup, files)| Former { manifest: backup.manifest(), files });
        self.write(live, root, header, &found, former.as_ref())
    }

    fn write(
        &self,
        live: &Live<'_>,
        root: &Root,
        mut header: Header,
        found: &[Found],
        former: Option<&Former<'_>>,
    ) -> Result<Sealed, StateError> {
        let places = Places::new(self.store.root(), &self.name);
        let copies = self.require_space(found, former)?;
        if copies > MANY {
            sync_live(root, found)?;
        }
        let staging = Staging::create(&places)?;
        let mut saver = Saver::new(root, former, &staging, copies <= MANY);
        for found in found {
            saver.save(found)?;
        }
        let (entries, written) = (saver.entries, saver.written);
        header.databases = self.beside.dump(live, &staging.path())?;
        if !header.services.is_empty() {
            let path = staging.path().join(SERVICES);
            let text = beside::services_file(&header.services).map_err(std::io::Error::from);
            text.and_then(|text| std::fs::write(&path, text)).at("write", &path)?;
        }
        let file = staging.manifest()?;
        let at = places.slot().join(MANIFEST);
        let checksum = manifest::write(&header, &entries, std::io::BufWriter::new(&file)).at("write", &at)?;
        staging.publish(&file, &written)?;
        let backup = Backup::new(places.slot(), Manifest { header, entries, checksum });
        self.store.note(&self.name, Some(backup.info()));
        Ok(Sealed::Written(backup))
    }

    /// Counts what has to be copied and asks for its space before anything is written.
    fn require_space(&self, found: &[Found], former: Option<&Former<'_>>) -> Result<usize, StateError> {
        let (mut need, mut inodes, mut copies) = (0u64, 4u64, 0);
        for Found { path, what } in found {
            let What::Inode(status) = what else { continue };
            // The manifest's line, with room.
            need = need.saturating_add(512 + path.as_os_str().len() as u64);
            match status.kind {
                Kind::File if former.is_some_and(|former| former.unmoved(path, status).is_some()) => {}
                Kind::File => {
                    copies += 1;
                    inodes += 1;
                    need = need.saturating_add(status.allocated.min(status.size.next_multiple_of(4096)));
                }
                Kind::Directory | Kind::Symlink => {
                    inodes += 1;
                    need = need.saturating_add(4096);
                }
                _ => {}
            }
        }
        let store = self.store.root().to_owned();
        let space = rustix::fs::statvfs(&store).at("look at", &store)?;
        let (module, have) = (self.name.clone(), space.f_bavail.saturating_mul(space.f_frsize));
        if need > have {
            return Err(StateError::NoSpace { module, need, have, store });
        }
        // Some file systems make inodes as they go and count none.
        if space.f_files > 0 && inodes > space.f_favail {
            return Err(StateError::NoInodes { module, need: inodes, have: space.f_favail, store });
        }
        Ok(copies)
    }
}

/// Whether a slot describes exactly this: the same request by the same module, and not one inode moved since.
fn says_the_same(former: &Manifest, header: &Header, found: &[Found]) -> bool {
    let Header {
        format,
        module,
        owner,
        description,
        timestamp: _,
        began: _,
        paths,
        left_out,
        parents,
        services,
        databases,
    } = &former.header;
    (format, module, owner, description) == (&header.format, &header.module, &header.owner, &header.description)
        && (paths, left_out, parents) == (&header.paths, &header.left_out, &header.parents)
        && *services == header.services
        // What a database holds is told by dumping it.
        && databases.is_empty()
        && former.entries.len() == found.len()
        && former.entries.iter().zip(found).all(|(entry, found)| {
            entry.path == found.path
                && match &found.what {
                    What::Absent => entry.node == SavedNode::Absent,
                    What::Mount => entry.node == SavedNode::Mount,
                    What::Inode(status) => entry.is_unmoved(status, former.header.began),
                }
        })
}

/// Writes out the live file systems, once each.
fn sync_live(root: &Root, found: &[Found]) -> Result<(), StateError> {
    let mut synced = Vec::new();
    for Found { path, what } in found {
        let What::Inode(status) = what else { continue };
        if status.kind == Kind::File && !synced.contains(&status.device) {
            synced.push(status.device);
            let parent = path.parent().unwrap_or(Path::new("/"));
            root.readable(parent).and_then(|directory| Ok(rustix::fs::syncfs(directory)?)).at("sync", parent)?;
        }
    }
    Ok(())
}

/// The clock that file systems stamp with, so that a comparison with a ctime means something.
fn now() -> Time {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    Time { seconds: now.tv_sec, nanoseconds: u32::try_from(now.tv_nsec).unwrap_or(0) }
}
