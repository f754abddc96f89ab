//! A backup on its way to becoming a slot: what is to be saved is added, and sealing does everything at once.
//!
//! The former slot stays valid until the new one stands complete and durable in its place. Where nothing has changed
//! since the former one, it is kept as it is and nothing is written.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use updates_protocol::{Database, DeclaredPath, ModuleName, UnitName};

use super::backup::{Backup, machine_root};
use super::beside::{self, Beside};
use super::entry::Entry;
use super::error::StateError;
use super::former::Former;
use super::live::Live;
use super::look::{self, Look};
use super::manifest::{self, FORMAT, Header, Manifest};
use super::pool::{self, Pool, Stop, Taken};
use super::progress::{Meter, Progress, Report, Step};
use super::save::{Done, Job, MANY, Order, Worker};
use super::slot::{MANIFEST, Places, SERVICES, Staging};
use super::store::Store;
use super::survey::{TRIES, Territory, What};
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
    keep_former: bool,
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
    Written(Backup, Shared),
    /// The former slot says exactly what is live now, and was kept, time of its making included.
    Reused(Backup),
}

/// How much of a new slot was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared {
    /// Files of the slot, each name counted.
    pub files: u64,
    /// Those whose content no former slot had; the others are linked from there.
    pub copied: u64,
}

impl Sealed {
    /// The slot.
    pub fn into_backup(self) -> Backup {
        match self {
            Sealed::Written(backup, _) | Sealed::Reused(backup) => backup,
        }
    }
}

impl<'a> PendingBackup<'a> {
    pub(super) fn new(store: &'a Store, name: ModuleName, owner: ModuleName, description: &str) -> Self {
        let description = description.to_owned();
        let (paths, left_out, beside) = (Vec::new(), Vec::new(), Beside::default());
        let (further, report) = (Vec::new(), Box::new(|_: Progress| {}));
        Self { store, name, owner, description, paths, left_out, beside, further, keep_former: false, report }
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

    /// Keeps the slot that it takes the place of, until [`Store::put_back_former`] or [`Store::drop_former`]. One that is
    /// kept already stays.
    pub fn keep_former(mut self) -> Self {
        self.keep_former = true;
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

    fn attempt(&mut self, live: &Live<'_>, root: &Root, territory: &Territory) -> Result<Sealed, StateError> {
        let header = Header {
            format: FORMAT,
            began: Time::now(),
            module: self.name.clone(),
            owner: self.owner.clone(),
            description: self.description.clone(),
            timestamp: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
            paths: territory.paths.clone(),
            left_out: territory.left_out.clone(),
            parents: territory.parents(root)?,
            services: self.beside.units(live)?,
            databases: Vec::new(),
        };
        // A former slot that can't be read is replaced; it is no use to anybody, and the live files are there.
        let own = Backup::open(&Places::new(self.store.root(), &self.name).slot(), &self.name).ok().flatten();
        let slots: Vec<Backup> = own.into_iter().chain(self.further.iter().cloned()).collect();
        let look = look::look(live, root, territory, &slots, &header, &mut *self.report)?;
        let mut same = look.same.iter().map(|at| &slots[*at]);
        if let Some(same) = same.find(|slot| self.beside.is_unmoved(live, &slot.manifest().header.databases)) {
            return Ok(Sealed::Reused(same.clone()));
        }
        let slots: Vec<Backup> = look.sound.iter().map(|at| slots[*at].clone()).collect();
        self.write(live, root, territory, header, &look, &slots)
    }

    fn write(
        &mut self,
        live: &Live<'_>,
        root: &Root,
        territory: &Territory,
        mut header: Header,
        look: &Look,
        slots: &[Backup],
    ) -> Result<Sealed, StateError> {
        let places = Places::new(self.store.root(), &self.name);
        // Dumps are taken over from the first slot alone: the others are further ones, which are seldom newer.
        let former = slots.first();
        self.require_space(look, self.beside.estimate(live, former))?;
        if look.copies > MANY {
            for (_, directory) in &look.devices {
                let synced = root.readable(directory).and_then(|open| Ok(rustix::fs::syncfs(open)?));
                synced.at("sync", directory)?;
            }
        }
        let staging = Staging::create(&places)?;
        header.databases = self.beside.dump(live, &staging.path(), former)?;
        if !header.services.is_empty() {
            let path = staging.path().join(SERVICES);
            let text = beside::services_file(&header.services).map_err(std::io::Error::from);
            text.and_then(|text| std::fs::write(&path, text)).at("write", &path)?;
        }
        let file = staging.manifest()?;
        let at = places.slot().join(MANIFEST);
        let out = std::io::BufWriter::with_capacity(256 << 10, &file);
        let mut manifest = manifest::Writer::new(&header, out).at("write", &at)?;
        let mut meter = Meter::new(&mut *self.report, Step::Copy, Some(look.found));
        let mut order = Order::new(&staging);
        let mut add = |entry: &Entry| Ok(manifest.add(entry).at("write", &at)?);
        fill(live, root, territory, look, slots, &staging, &mut order, &mut add, &mut meter)
            .map_err(|error| error.unwrap_or(StateError::Interrupted(self.name.clone())))?;
        meter.finish();
        let checksum = manifest.finish().at("write", &at)?;
        let written = order.written();
        staging.publish(&file, &written, self.keep_former)?;
        let backup = Backup::new(places.slot(), Manifest { header, checksum });
        self.store.note(&self.name, Some(backup.info()));
        Ok(Sealed::Written(backup, Shared { files: look.files, copied: look.copies as u64 }))
    }

    /// Asks for the space before anything is written.
    fn require_space(&self, look: &Look, beside: u64) -> Result<(), StateError> {
        let need = look.need.saturating_add(beside);
        let inodes = look.inodes.saturating_add(self.beside.databases.len() as u64);
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
        Ok(())
    }
}

/// Walks once more and saves on all processors. The error is `None` when it was interrupted.
#[expect(clippy::too_many_arguments, reason = "it is the meeting of everything that a backup has")]
fn fill(
    live: &Live<'_>,
    root: &Root,
    territory: &Territory,
    look: &Look,
    slots: &[Backup],
    staging: &Staging,
    order: &mut Order<'_>,
    add: &mut impl FnMut(&Entry) -> Result<(), StateError>,
    meter: &mut Meter<'_, '_>,
) -> Result<(), Option<StateError>> {
    let (mut formers, mut files) = (Vec::new(), Vec::new());
    for slot in slots {
        if let (Some(former), Ok(root)) = (Former::begin(slot, None), slot.files()) {
            formers.push(former);
            files.push(root);
        }
    }
    let stop = Stop::default();
    let files = files.as_slice();
    std::thread::scope(|scope| {
        let worker = || {
            let mut worker = Worker::new(root, files, staging, look.copies <= MANY, &stop);
            move |job| worker.save(job)
        };
        let mut pool = Pool::start(scope, pool::threads(look.found), &stop, worker);
        // What the workers have done, in order: completed here, because later ones build on it.
        let order = std::cell::RefCell::new(order);
        let mut take = |done: Result<Done, StateError>| {
            if live.is_interrupted() {
                stop.set();
                return Err(None);
            }
            let done = done.map_err(Some)?;
            let bytes = if let Done::Saved(_, bytes) = &done { *bytes } else { 0 };
            let entry = order.borrow_mut().complete(done).map_err(Some)?;
            add(&entry).map_err(Some)?;
            meter.advance(bytes);
            Ok(())
        };
        let taken = |taken| match taken {
            Taken::Error(error) => error,
            Taken::Stopped => None,
        };
        for found in territory.survey(root) {
            let found = found.map_err(Some)?;
            let rewritten = match &found.what {
                What::Inode(status) => look.rewritten.contains(&(status.device, status.inode)),
                What::Absent | What::Mount => false,
            };
            let known =
                formers.iter_mut().enumerate().map(|(at, former)| Some((former.unmoved(&found, |_| rewritten)?, at)));
            // Each is asked, so that all of them go on.
            let known = known.fold(None, Option::or);
            let again = order.borrow_mut().prepare(&found).map_err(Some)?;
            let weight = match &found.what {
                What::Inode(status) if known.is_none() && status.kind == Kind::File => status.size,
                _ => 0,
            };
            pool.push(Job { found, known, again }, weight, &mut take).map_err(taken)?;
        }
        pool.drain(&mut take).map_err(taken)
    })
}
