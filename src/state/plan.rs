//! What differs now from a slot: computed by looking alone, printable, and then applied.
//!
//! A plan is a plain value. It goes stale when the machine changes; applying it again, or a fresh one, ends the same.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::backup::{Backup, machine_root};
use super::beside::BesideRestore;
use super::entry::{Attributes, Entry, Identity, SavedNode};
use super::error::{RestoreError, StateError};
use super::live::Live;
use super::place::temporary;
use super::pool;
use super::survey::{Found, TRIES, Territory, What};
use super::unstamped::Unstamped;
use crate::database::SavedDatabase;
use crate::fs::{self, IoContext, Kind, Node, Root, Status, Time};
use crate::service::{UnitDifference, UnitStep};

/// What it takes to make the declared paths what they were.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RestorePlan<'a> {
    pub(super) backup: &'a Backup,
    pub(super) live: Live<'a>,
    pub(super) differences: Vec<Difference>,
    /// How many bytes each of them has to write.
    pub(super) sizes: Vec<u64>,
    pub(super) units: Vec<UnitDifference>,
    unit_steps: Vec<UnitStep>,
    forced_unit_steps: Vec<UnitStep>,
    pub(super) databases: Vec<&'a SavedDatabase>,
    pub(super) forced_start: bool,
}

/// One path that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The path on the machine that modules see.
    pub path: PathBuf,
    /// What has to be done.
    pub change: Change,
}

/// What has to be done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is gone and comes back.
    Create,
    /// Something of another type took its place.
    Replace,
    /// Its content differs.
    Content,
    /// Mode, owner, times, flags or extended attributes differ.
    Attributes,
    /// It was another name of an inode, and is not any more.
    Link,
    /// It was not there.
    Remove,
    /// Something is mounted over it, so that it can be neither seen nor put back.
    Covered,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.change {
            Change::Create => "create",
            Change::Replace => "replace",
            Change::Content => "content",
            Change::Attributes => "attributes",
            Change::Link => "link",
            Change::Remove => "remove",
            Change::Covered => "covered",
        };
        write!(f, "{word:<10} {}", self.path.display())
    }
}

impl Backup {
    /// Compares the machine with the slot. Files that have not moved since are not read, unless the live machine says so.
    pub fn plan<'a>(&'a self, live: impl Into<Live<'a>>) -> Result<RestorePlan<'a>, StateError> {
        let live = live.into();
        let root = machine_root(live.machine)?;
        let mut tries = 0;
        let differences = loop {
            tries += 1;
            match Comparison::new(self, &root, live.by_content).differences() {
                Err(StateError::Vanishing(_)) if tries < TRIES => {}
                other => break other?,
            }
        };
        let beside = BesideRestore::begin(self, live, false)?;
        let (units, databases) = (beside.units(), beside.databases()?);
        let disturbed = !differences.is_empty() || !databases.is_empty();
        let [unit_steps, forced_unit_steps] = [false, true].map(|forced| beside.unit_steps(disturbed, forced));
        let (differences, sizes) = differences.into_iter().unzip();
        Ok(RestorePlan {
            backup: self,
            live,
            differences,
            sizes,
            units,
            unit_steps,
            forced_unit_steps,
            databases,
            forced_start: false,
        })
    }

    /// Plans and applies: afterwards the declared paths are what they were.
    pub fn restore<'a>(&'a self, live: impl Into<Live<'a>>) -> Result<super::Restored, RestoreError> {
        self.plan(live).map_err(RestoreError::Refused)?.apply()
    }

    pub(super) fn territory(&self) -> Territory {
        let header = &self.manifest().header;
        Territory { paths: header.paths.clone(), left_out: header.left_out.clone() }
    }
}

impl<'a> RestorePlan<'a> {
    /// What differs, a directory before what it holds, removals in their places.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Units that are not as they were.
    pub fn units(&self) -> &[UnitDifference] {
        &self.units
    }

    /// What will be done with units around the files, in order, if each step does what it should. Units that are as they
    /// were are in it too, where they have to be stopped for the files below them.
    pub fn unit_steps(&self) -> &[UnitStep] {
        if self.forced_start { &self.forced_unit_steps } else { &self.unit_steps }
    }

    /// Databases that are not as they were, or of which only a restore would tell.
    pub fn databases(&self) -> &[&'a SavedDatabase] {
        &self.databases
    }

    /// Starts every saved unit afterwards, whether it ran then or not, but for those that were masked or not there.
    pub fn with_forced_service_start(mut self) -> Self {
        self.forced_start = true;
        self
    }

    /// Whether everything is as it was.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty() && self.units.is_empty() && self.databases.is_empty()
    }
}

/// The entries that one live inode with several names stands for.
struct Names {
    count: u32,
    group: Option<u32>,
    /// Whether they were not all names of one inode when they were saved.
    mixed: bool,
}

/// The first name of a link group.
struct First {
    /// The inode that it leads to now.
    live: Option<(u64, u64)>,
    /// Whether it has to be written anew; `None` until that is known.
    rewritten: Option<bool>,
}

/// Goes through the machine and the slot side by side.
struct Comparison<'a> {
    backup: &'a Backup,
    root: &'a Root,
    began: Time,
    found: Vec<(Difference, u64)>,
    /// Of live inodes with several names alone.
    names: HashMap<(u64, u64), Names>,
    /// Directories where databases come and go with files of their own, so that a time says nothing.
    holders: HashSet<PathBuf>,
    firsts: HashMap<u32, First>,
    /// What is told only when all names are known.
    later: Vec<(Entry, What)>,
    unstamped: RefCell<Unstamped>,
}

impl<'a> Comparison<'a> {
    fn new(backup: &'a Backup, root: &'a Root, by_content: bool) -> Self {
        Self {
            backup,
            root,
            began: backup.manifest().header.began,
            found: Vec::new(),
            names: HashMap::new(),
            firsts: HashMap::new(),
            later: Vec::new(),
            holders: backup.holders(),
            unstamped: RefCell::new(Unstamped::new(by_content)),
        }
    }

    /// Everything that differs, and the size of what has to be written for it.
    fn differences(mut self) -> Result<Vec<(Difference, u64)>, StateError> {
        let territory = self.backup.territory();
        let entries = self.backup.entries()?;
        std::thread::scope(|scope| {
            let mut entries = pool::ahead(scope, entries).peekable();
            let mut walk = territory.survey(self.root);
            while let Some(found) = walk.next() {
                let Found { path, what } = found?;
                let enters = matches!(&what, What::Inode(status) if status.kind == Kind::Directory);
                while let Some(gone) = entries.next_if(|entry| entry.as_ref().map_or(true, |entry| entry.path < path)) {
                    self.take(gone?, What::Absent)?;
                }
                let same = entries.next_if(|entry| entry.as_ref().is_ok_and(|entry| entry.path == path));
                match same.transpose()? {
                    Some(entry) => {
                        if enters && !is_directory(&entry) {
                            walk.pass_over();
                        }
                        self.take(entry, what)?;
                    }
                    // What is not in the slot goes as a whole; a million new files below it need no list.
                    None => {
                        if enters {
                            walk.pass_over();
                        }
                        if !matches!(what, What::Mount) {
                            self.found.push((Difference { path, change: Change::Remove }, 0));
                        }
                    }
                }
            }
            for gone in entries {
                self.take(gone?, What::Absent)?;
            }
            Ok::<_, StateError>(())
        })?;
        for (entry, what) in std::mem::take(&mut self.later) {
            self.judge(&entry, &what)?;
        }
        let leftovers = leftovers(self.backup, self.root)?;
        self.found.extend(leftovers.into_iter().map(|path| (Difference { path, change: Change::Remove }, 0)));
        self.found.sort_by(|(a, _), (b, _)| a.path.cmp(&b.path));
        self.found.dedup_by(|(a, _), (b, _)| a.path == b.path);
        Ok(self.found)
    }

    /// Judges an entry now or, where it depends on names that are still to come, later.
    fn take(&mut self, entry: Entry, what: What) -> Result<(), StateError> {
        let group = entry.node.link_group();
        let mut shared = false;
        if let What::Inode(status) = &what
            && status.kind != Kind::Directory
            && status.links > 1
        {
            shared = true;
            let names = self.names.entry((status.device, status.inode));
            let names = names.or_insert(Names { count: 0, group, mixed: false });
            names.mixed |= names.count > 0 && (group.is_none() || group != names.group);
            names.count += 1;
        }
        let is_first = group.is_some_and(|group| !self.firsts.contains_key(&group));
        let waits = match group.and_then(|group| self.firsts.get(&group)) {
            Some(first) => first.rewritten.is_none(),
            None => shared && !matches!(&what, What::Inode(status) if entry.is_unmoved(status, self.began)),
        };
        if !waits {
            return self.judge(&entry, &what);
        }
        if is_first && let Some(group) = group {
            self.firsts.insert(group, First { live: inode(&what), rewritten: None });
        }
        self.later.push((entry, what));
        Ok(())
    }

    fn judge(&mut self, entry: &Entry, what: &What) -> Result<(), StateError> {
        let change = match entry.node.link_group() {
            Some(group) => match self.firsts.get(&group) {
                // A further name of an inode: it need only lead to the same one as the first.
                Some(First { live, rewritten: Some(rewritten) }) => {
                    let same = live.is_some() && inode(what) == *live && !rewritten;
                    (!same).then_some(Change::Link)
                }
                _ => {
                    let change = self.compare(entry, what)?;
                    let rewritten = Some(change.is_some_and(|change| change != Change::Attributes));
                    self.firsts.insert(group, First { live: inode(what), rewritten });
                    change
                }
            },
            None => self.compare(entry, what)?,
        };
        if let Some(change) = change {
            let size = match (&entry.node, change) {
                (_, Change::Attributes | Change::Link | Change::Remove) => 0,
                (SavedNode::File { content, .. }, _) => match &content.segments {
                    Some(parts) => parts.iter().map(|(_, length)| length).sum(),
                    None => content.size,
                },
                _ => 0,
            };
            self.found.push((Difference { path: entry.path.clone(), change }, size));
        }
        Ok(())
    }

    fn compare(&self, entry: &Entry, what: &What) -> Result<Option<Change>, StateError> {
        let (Some(attributes), Some(seen)) = (&entry.attributes, &entry.seen) else {
            return Ok(match (&entry.node, what) {
                (SavedNode::Absent, What::Inode(_)) => Some(Change::Remove),
                _ => None,
            });
        };
        let status = match what {
            What::Absent => return Ok(Some(Change::Create)),
            What::Mount => return Ok(Some(Change::Covered)),
            What::Inode(status) => status,
        };
        if entry.node.kind() != Some(status.kind) {
            return Ok(Some(Change::Replace));
        }
        if entry.is_unmoved(status, self.began)
            && !self.unstamped.borrow_mut().differs(self.root, &entry.path, status, entry)
        {
            return Ok(None);
        }
        let opened = self.root.parent(&entry.path).and_then(|(directory, name)| Node::open(directory, name));
        let node = match opened {
            Err(error) if fs::is_absence(&error) => return Err(StateError::Vanishing(entry.path.clone())),
            other => other.at("open", &entry.path)?,
        };
        if self.has_other_content(entry, seen, status, &node)? {
            return Ok(Some(Change::Content));
        }
        let xattrs = node.xattrs().at("read the attributes of", &entry.path)?;
        let mut live = Attributes::new(status, xattrs);
        if self.holders.contains(&entry.path) {
            live.mtime = attributes.mtime;
        }
        Ok(differs(attributes, &live, status.kind).then_some(Change::Attributes))
    }

    fn has_other_content(
        &self,
        entry: &Entry,
        seen: &Identity,
        status: &Status,
        node: &Node,
    ) -> Result<bool, StateError> {
        // A planted link: the inode is not the one that was saved and has names elsewhere, so setting its metadata would
        // change a file that is none of this module's, or another one of it.
        if status.kind != Kind::Directory && (seen.device, seen.inode) != (status.device, status.inode) {
            let names = self.names.get(&(status.device, status.inode));
            if status.links > 1 && names.is_none_or(|names| status.links > names.count || names.mixed) {
                return Ok(true);
            }
        }
        match &entry.node {
            SavedNode::File { content, .. } => {
                if status.size != content.size {
                    return Ok(true);
                }
                let file = node.read().at("read", &entry.path)?;
                match fs::holds(&file, status, content) {
                    // It shrank meanwhile.
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(true),
                    other => Ok(!other.at("read", &entry.path)?),
                }
            }
            SavedNode::Symlink { target, .. } => Ok(node.link_target().at("read the link", &entry.path)? != target.0),
            SavedNode::Special { number, .. } => Ok(status.number != *number),
            SavedNode::Directory | SavedNode::Absent | SavedNode::Mount => Ok(false),
        }
    }
}

fn inode(what: &What) -> Option<(u64, u64)> {
    match what {
        What::Inode(status) => Some((status.device, status.inode)),
        What::Absent | What::Mount => None,
    }
}

/// Temporary names beside declared paths that a killed restore left; inside of declared directories they are among
/// what was not there.
fn leftovers(backup: &Backup, root: &Root) -> Result<Vec<PathBuf>, StateError> {
    let header = &backup.manifest().header;
    let parents = header.parents.iter().map(|parent| &parent.path);
    let mut found = Vec::new();
    for path in header.paths.iter().chain(parents).map(|path| path.as_path()) {
        let leftover = path.with_file_name(temporary(backup.name(), path));
        if root.status(&leftover).at("look at", &leftover)?.is_some() {
            found.push(leftover);
        }
    }
    Ok(found)
}

fn is_directory(entry: &Entry) -> bool {
    entry.node == SavedNode::Directory
}

/// Whether metadata has to be put back. Reading a file changes its access time, so that counts for nothing; a link has
/// no mode.
fn differs(saved: &Attributes, live: &Attributes, kind: Kind) -> bool {
    (saved.uid, saved.gid, saved.mtime, saved.flags) != (live.uid, live.gid, live.mtime, live.flags)
        || (saved.mode != live.mode && kind != Kind::Symlink)
        || saved.xattrs != live.xattrs
}

/// Paths of `differences` that are removed, without those below another one.
pub(super) fn removals(differences: &[Difference]) -> Vec<&Path> {
    let mut replaced = HashSet::new();
    let mut kept = Vec::new();
    for Difference { path, change } in differences {
        if path.ancestors().skip(1).any(|above| replaced.contains(above)) {
            continue;
        }
        if matches!(change, Change::Remove | Change::Replace) {
            replaced.insert(path.as_path());
        }
        if *change == Change::Remove {
            kept.push(path.as_path());
        }
    }
    kept
}
