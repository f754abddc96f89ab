//! Applying a plan: the slot is verified whole, then only what differs is written, and what was not there goes last.
//!
//! Every file is made under a temporary name beside its place and renamed over it, so a kill at any instruction leaves
//! each path old or new, and applying again goes on. The order: directories from the top, files, links, removals, and
//! last the attributes of directories from the bottom, whose times the work below had changed.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, StatVfsMountFlags, mkdirat, unlinkat};

use super::MAX_FAILURES;
use super::backup::machine_root;
use super::beside::BesideRestore;
use super::entry::{Attributes, SavedNode};
use super::error::{RestoreError, RestoreProblem, StateError};
use super::manifest::Parent;
use super::place::{Placer, put, set_attributes, temporary};
use super::plan::{Change, Difference, RestorePlan, removals};
use super::progress::{Meter, Progress, Step};
use crate::fs::{Flags, IoContext, Kind, Node, PathError, Root, Status, is_absence, remove_all, remove_all_at};

/// What a restore did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// Paths that were put back or removed, in the order of the walk.
    pub changed: Vec<PathBuf>,
    /// What was done beside files, each in words: `stop web.service`, `restore PostgreSQL app`.
    pub steps: Vec<String>,
}

/// Up to how many changed paths are synced one by one; with more, one syncfs(2) a file system is cheaper.
const FEW: usize = 16;

impl RestorePlan<'_> {
    /// Puts everything back, and returns when it is durable.
    ///
    /// # Errors
    /// [`RestoreError::Refused`] before anything was changed; [`RestoreError::Incomplete`] after all that could be put
    /// back was put back.
    pub fn apply(self) -> Result<Restored, RestoreError> {
        self.apply_with(&mut |_| {})
    }

    /// As [`RestorePlan::apply`], and tells `report` how far it has come: first the slot is verified, then put back.
    pub fn apply_with(self, report: &mut dyn FnMut(Progress)) -> Result<Restored, RestoreError> {
        let gone = absent_parents(&self);
        if self.is_empty() && gone.is_empty() && !self.forced_start {
            return Ok(Restored::default());
        }
        let refused = |error: PathError| RestoreError::Refused(error.into());
        self.backup.verify_with(report).map_err(RestoreError::Refused)?;
        let mut beside =
            BesideRestore::begin(self.backup, self.live, self.forced_start).map_err(RestoreError::Refused)?;
        let disturbed = !self.differences.is_empty() || !gone.is_empty() || !self.databases.is_empty();
        let root = machine_root(self.live.machine).map_err(refused)?;
        let files = self.backup.files().map_err(refused)?;
        let batch = self.differences.len() > FEW;
        let mut work = Restorer {
            plan: &self,
            root: &root,
            placer: Placer::new(&root, &files, self.backup.name(), batch),
            touched: BTreeMap::new(),
            directories: HashMap::new(),
            restored: Restored::default(),
            failures: Vec::new(),
            total: 0,
            removed: false,
        };
        match self.require_writable(&root) {
            // What the module has added is most likely what fills the disk, and taking it away needs no room.
            Err(RestoreError::Refused(StateError::NoSpace { .. })) => {
                work.remove_added();
                self.require_writable(&root)?;
            }
            other => other?,
        }
        beside.before_files(disturbed);
        let mut meter = Meter::new(report, Step::Restore, Some(self.differences.len() as u64));
        // The manifest was read as a whole just now; if it can't be read again, what was not put back is told.
        let told = work.run(&mut meter);
        meter.finish();
        for path in gone.into_iter().rev() {
            work.remove_empty(&path);
        }
        work.settle();
        let (steps, problems) = beside.after_files(&self.databases, work.total == 0);
        work.settle_holders();
        work.restored.steps = steps;
        if let Err(error) = told {
            work.total += 1;
            work.failures.push(RestoreProblem::Slot(Box::new(error)));
        }
        work.total += problems.len();
        work.failures.extend(problems);
        if work.total == 0 {
            return Ok(work.restored);
        }
        Err(RestoreError::Incomplete { failures: work.failures, total: work.total, restored: work.restored })
    }

    /// Says before any change that a file system is read-only or too full.
    fn require_writable(&self, root: &Root) -> Result<(), RestoreError> {
        let refused = |error: PathError| RestoreError::Refused(error.into());
        let mut need: BTreeMap<u64, (u64, u64, PathBuf)> = BTreeMap::new();
        let mut last: Option<&Path> = None;
        for (Difference { path, .. }, size) in self.differences.iter().zip(&self.sizes) {
            // Most lie in the directory of the one before.
            if *size == 0 && last.is_some() && path.parent() == last {
                continue;
            }
            last = path.parent();
            let Some((existing, directory)) =
                path.ancestors().skip(1).find_map(|above| Some((above, root.directory(above).ok()?)))
            else {
                continue;
            };
            let space = rustix::fs::fstatvfs(&directory).at("look at", existing).map_err(refused)?;
            if space.f_flag.contains(StatVfsMountFlags::RDONLY) {
                return Err(rustix::io::Errno::ROFS).at("restore", path).map_err(refused);
            }
            let free = space.f_bfree.saturating_mul(space.f_frsize);
            let device = Status::at(&directory, "".as_ref()).at("look at", existing).map_err(refused)?.device;
            let (total, ..) = need.entry(device).or_insert((0, free, existing.to_owned()));
            *total = total.saturating_add(*size);
        }
        for (need, have, store) in need.into_values() {
            if need > have {
                let module = self.backup.name().clone();
                return Err(RestoreError::Refused(StateError::NoSpace { module, need, have, store }));
            }
        }
        Ok(())
    }
}

/// Directories above declared paths that exist now and did not then.
fn absent_parents(plan: &RestorePlan<'_>) -> Vec<PathBuf> {
    let Ok(root) = machine_root(plan.live.machine) else { return Vec::new() };
    let parents = plan.backup.manifest().header.parents.iter();
    parents
        .filter(|parent| parent.owner_and_mode.is_none())
        .map(|parent| parent.path.as_path().to_owned())
        .filter(|path| matches!(root.status(path), Ok(Some(status)) if status.kind == Kind::Directory))
        .collect()
}

struct Restorer<'a> {
    plan: &'a RestorePlan<'a>,
    root: &'a Root,
    placer: Placer<'a>,
    /// Directories whose entries were changed, with the flags they had.
    touched: BTreeMap<PathBuf, Flags>,
    /// What the saved ones among the directories concerned were like.
    directories: HashMap<PathBuf, Attributes>,
    restored: Restored,
    failures: Vec<RestoreProblem>,
    total: usize,
    /// Whether what was added is gone already.
    removed: bool,
}

impl Restorer<'_> {
    fn run(&mut self, meter: &mut Meter<'_, '_>) -> Result<(), StateError> {
        self.make_parents();
        let mut links: Vec<(PathBuf, u32)> = Vec::new();
        let mut first_of: HashMap<u32, PathBuf> = HashMap::new();
        let has_links = self.plan.differences.iter().any(|difference| difference.change == Change::Link);
        // The saved directories on the way down to where the work is.
        let mut above: Vec<(PathBuf, Attributes)> = Vec::new();
        let mut entries = self.plan.backup.entries()?.peekable();
        for (Difference { path, change }, size) in self.plan.differences.iter().zip(&self.plan.sizes) {
            let mut found = None;
            while let Some(entry) = entries.next_if(|entry| entry.as_ref().map_or(true, |entry| entry.path <= *path)) {
                let entry = entry?;
                if let (SavedNode::Directory, Some(attributes)) = (&entry.node, &entry.attributes) {
                    above.truncate(above.iter().take_while(|(above, _)| entry.path.starts_with(above)).count());
                    above.push((entry.path.clone(), attributes.clone()));
                }
                if let Some(group) = entry.node.link_group()
                    && has_links
                {
                    first_of.entry(group).or_insert_with(|| entry.path.clone());
                }
                found = (entry.path == *path).then_some(entry);
            }
            for (directory, attributes) in &above {
                let concerned = path == directory || path.parent() == Some(directory);
                if concerned && !self.directories.contains_key(directory) {
                    self.directories.insert(directory.clone(), attributes.clone());
                }
            }
            let Some(entry) = found else { continue };
            let done = match change {
                Change::Remove => continue,
                Change::Covered => Err(rustix::io::Errno::BUSY).at("put back, below a mount,", path),
                Change::Link => {
                    if let Some(group) = entry.node.link_group() {
                        links.push((entry.path, group));
                    }
                    continue;
                }
                Change::Attributes if entry.node == SavedNode::Directory => self.touch(path),
                Change::Attributes => self.placer.fix(&entry),
                Change::Create | Change::Replace | Change::Content => {
                    let is_directory = entry.node == SavedNode::Directory;
                    let placed = self.touch_above(path).and_then(|()| self.placer.place(entry));
                    // Its own attributes come when everything in it is back.
                    if is_directory { placed.and_then(|()| self.touch(path)) } else { placed }
                }
            };
            meter.advance(*size);
            self.note(path, done);
        }
        self.flush();
        for (path, group) in links {
            let Some(first) = first_of.get(&group) else { continue };
            let done = self.touch_above(&path).and_then(|()| self.placer.link(first, &path));
            meter.advance(0);
            self.note(&path, done);
        }
        self.placer.set_flags(&mut self.failures, &mut self.total);
        self.remove_added();
        Ok(())
    }

    /// Removes what was not there when the backup was made; last, unless the room is needed first.
    fn remove_added(&mut self) {
        if std::mem::replace(&mut self.removed, true) {
            return;
        }
        for path in removals(&self.plan.differences).into_iter().rev() {
            let done = self.touch_above(path).and_then(|()| self.remove(path));
            self.note(path, done);
        }
    }

    fn flush(&mut self) {
        for error in self.placer.flush() {
            self.fail(error);
        }
    }

    fn make_parents(&mut self) {
        for Parent { path, owner_and_mode, xattrs } in &self.plan.backup.manifest().header.parents {
            let Some((uid, gid, mode)) = *owner_and_mode else { continue };
            let path = path.as_path();
            if !matches!(self.root.status(path), Ok(None)) {
                continue;
            }
            let made = self.touch_above(path).and_then(|()| {
                let (directory, name) = self.root.parent(path).at("open", path)?;
                let temporary = temporary(self.plan.backup.name(), path);
                remove_all_at(directory.as_fd(), temporary.as_ref()).at("clear the way of", path)?;
                mkdirat(&directory, temporary.as_str(), Mode::RWXU).at("create", path)?;
                let node = Node::open(&directory, temporary.as_ref()).at("open", path)?;
                node.set_owner(uid, gid).at("set the owner of", path)?;
                node.set_mode(mode).at("set the mode of", path)?;
                let xattrs = xattrs.iter().map(|(name, value)| (name.0.clone(), value.0.clone())).collect();
                node.set_xattrs(&xattrs).at("set the attributes of", path)?;
                put(directory.as_fd(), &temporary, name, true).at("put back", path)
            });
            self.note(path, made);
        }
    }

    /// Makes the directory above a path ready to be changed.
    fn touch_above(&mut self, path: &Path) -> Result<(), PathError> {
        self.touch(path.parent().unwrap_or(Path::new("/")))
    }

    fn touch(&mut self, path: &Path) -> Result<(), PathError> {
        if self.touched.contains_key(path) {
            return Ok(());
        }
        let (directory, name) = self.root.parent(path).at("open", path)?;
        let node = Node::open(directory, name).at("open", path)?;
        let status = node.status().at("look at", path)?;
        if status.flags.forbid_changes() {
            node.set_flags(Flags::default()).at("make changeable", path)?;
        }
        // Removals and new directories go through no placer, and have to be durable as well.
        self.placer.remember(path)?;
        self.touched.insert(path.to_owned(), status.flags);
        Ok(())
    }

    fn remove(&mut self, path: &Path) -> Result<(), PathError> {
        let header = &self.plan.backup.manifest().header;
        // A database that was not there goes with the folder that came for it.
        let absent = self.plan.backup.absent_databases();
        let mut kept = header.left_out.iter().filter(|out| !absent.contains(out));
        if kept.any(|out| out.as_path().starts_with(path)) {
            return Err(rustix::io::Errno::BUSY).at("remove", path);
        }
        remove_all(self.root, path).at("remove", path)
    }

    /// Removes a directory that was not there, unless something else has moved in.
    fn remove_empty(&mut self, path: &Path) {
        if let Err(error) = self.touch_above(path) {
            return self.fail(error);
        }
        let removed =
            self.root.parent(path).and_then(|(directory, name)| Ok(unlinkat(directory, name, AtFlags::REMOVEDIR)?));
        match removed {
            Ok(()) => self.restored.changed.push(path.to_owned()),
            Err(error) if is_absence(&error) || error.kind() == std::io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => {
                if let Err(error) = Err::<(), _>(error).at("remove", path) {
                    self.fail(error);
                }
            }
        }
        self.touched.remove(path);
    }

    /// Gives directories their attributes, the deepest first, and makes everything durable.
    fn settle(&mut self) {
        for (path, flags) in std::mem::take(&mut self.touched).into_iter().rev() {
            let attributes = self.directories.get(&path);
            let settled = self.root.parent(&path).and_then(|(directory, name)| Node::open(directory, name));
            let settled = match settled {
                // Removed with what was above it.
                Err(error) if is_absence(&error) => continue,
                other => other.at("open", &path),
            };
            let settled = settled.and_then(|node| {
                if let Some(attributes) = attributes {
                    set_attributes(&node, attributes, &path)?;
                }
                let flags = attributes.map_or(flags, |attributes| attributes.flags);
                if node.status().at("look at", &path)?.flags != flags {
                    node.set_flags(flags).at("set the flags of", &path)?;
                }
                let directory = node.read().at("open", &path)?;
                let many = self.plan.differences.len() > FEW;
                if many { Ok(()) } else { rustix::fs::fsync(&directory).at("sync", &path) }
            });
            if let Err(error) = settled {
                self.fail(error);
            }
        }
        if self.plan.differences.len() > FEW
            && let Err(error) = self.placer.sync_all()
        {
            self.fail(error);
        }
        self.restored.changed.sort_unstable();
    }

    /// Gives directories that hold databases their times again, which the work on those has changed.
    fn settle_holders(&mut self) {
        if self.plan.databases.is_empty() {
            return;
        }
        for (path, attributes) in self.holders() {
            let node = self.root.parent(&path).and_then(|(directory, name)| Node::open(directory, name));
            let settled = node.and_then(|node| match node.status()? {
                status if status.kind == Kind::Directory && status.mtime != attributes.mtime => {
                    node.set_times(status.atime, attributes.mtime)
                }
                _ => Ok(()),
            });
            match settled {
                Err(error) if is_absence(&error) => {}
                other => {
                    if let Err(error) = other.at("set the times of", &path) {
                        self.fail(error);
                    }
                }
            }
        }
    }

    /// What was saved of those directories. Their lines were read soundly before the first change.
    fn holders(&self) -> Vec<(PathBuf, Attributes)> {
        let holders = self.plan.backup.holders();
        let entries = self.plan.backup.entries().into_iter().flatten().flatten();
        let entries = entries.filter(|entry| entry.node == SavedNode::Directory && holders.contains(&entry.path));
        entries.filter_map(|entry| Some((entry.path, entry.attributes?))).collect()
    }

    fn note(&mut self, path: &Path, done: Result<(), PathError>) {
        match done {
            Ok(()) => self.restored.changed.push(path.to_owned()),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: PathError) {
        self.total += 1;
        if self.failures.len() < MAX_FAILURES {
            self.failures.push(error.into());
        }
    }
}
