//! What differs now from a slot: computed by looking alone, printable, and then applied.
//!
//! A plan is a plain value. It goes stale when the machine changes; applying it again, or a fresh one, ends the same.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::backup::{Backup, machine_root};
use super::beside::BesideRestore;
use super::entry::{Attributes, Entry, Identity, SavedNode};
use super::error::{RestoreError, StateError};
use super::live::Live;
use super::place::temporary;
use super::survey::{Found, TRIES, Territory, What};
use crate::database::SavedDatabase;
use crate::fs::{self, IoContext, Kind, Node, Root, Status};
use crate::service::{UnitDifference, UnitStep};

/// What it takes to make the declared paths what they were.
#[derive(Debug, Clone)]
#[must_use = "a plan changes nothing until it is applied"]
pub struct RestorePlan<'a> {
    pub(super) backup: &'a Backup,
    pub(super) live: Live<'a>,
    pub(super) differences: Vec<Difference>,
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
    /// Compares the machine with the slot. Files that have not moved since are not read.
    pub fn plan<'a>(&'a self, live: impl Into<Live<'a>>) -> Result<RestorePlan<'a>, StateError> {
        let live = live.into();
        let root = machine_root(live.machine)?;
        let mut tries = 0;
        let differences = loop {
            tries += 1;
            match Comparison::new(self, &root).and_then(Comparison::differences) {
                Err(StateError::Vanishing(_)) if tries < TRIES => {}
                other => break other?,
            }
        };
        let beside = BesideRestore::begin(self, live, false)?;
        let (units, databases) = (beside.units(), beside.databases()?);
        let disturbed = !differences.is_empty() || !databases.is_empty();
        let [unit_steps, forced_unit_steps] = [false, true].map(|forced| beside.unit_steps(disturbed, forced));
        Ok(RestorePlan {
            backup: self,
            live,
            differences,
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

/// The entries that one live inode stands for.
struct Names {
    count: u32,
    group: Option<u32>,
    /// Whether they were not all names of one inode when they were saved.
    mixed: bool,
}

struct Comparison<'a> {
    backup: &'a Backup,
    root: &'a Root,
    live: HashMap<PathBuf, What>,
    extra: Vec<PathBuf>,
    names: HashMap<(u64, u64), Names>,
    /// Directories where databases come and go with files of their own, so that a time says nothing.
    holders: HashSet<PathBuf>,
}

impl<'a> Comparison<'a> {
    fn new(backup: &'a Backup, root: &'a Root) -> Result<Self, StateError> {
        let manifest = backup.manifest();
        // What is not in the slot goes as a whole; a million new files below it need no list.
        let found = backup.territory().survey(root, |path| manifest.entry(path).is_some_and(is_directory))?;
        let mut names = HashMap::new();
        let (mut live, mut extra) = (HashMap::new(), Vec::new());
        for Found { path, what } in found {
            let Some(entry) = manifest.entry(&path) else {
                if !matches!(what, What::Mount) {
                    extra.push(path);
                }
                continue;
            };
            if let What::Inode(status) = &what {
                let group = link_group(entry);
                let names =
                    names.entry((status.device, status.inode)).or_insert(Names { count: 0, group, mixed: false });
                names.mixed |= names.count > 0 && (group.is_none() || group != names.group);
                names.count += 1;
            }
            live.insert(path, what);
        }
        extra.extend(leftovers(backup, root)?);
        Ok(Self { backup, root, live, extra, names, holders: backup.holders() })
    }

    fn differences(self) -> Result<Vec<Difference>, StateError> {
        let mut found = Vec::new();
        let mut firsts: HashMap<u32, (&Path, bool)> = HashMap::new();
        for entry in &self.backup.manifest().entries {
            let change = match &entry.node {
                SavedNode::File { link_group: Some(group), .. } => match firsts.get(group) {
                    Some((first, rewritten)) => self.compare_link(entry, first, *rewritten),
                    None => {
                        let change = self.compare(entry)?;
                        let rewritten = change.is_some_and(|change| change != Change::Attributes);
                        firsts.insert(*group, (&entry.path, rewritten));
                        change
                    }
                },
                _ => self.compare(entry)?,
            };
            found.extend(change.map(|change| Difference { path: entry.path.clone(), change }));
        }
        found.extend(self.extra.into_iter().map(|path| Difference { path, change: Change::Remove }));
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn status(&self, path: &Path) -> Option<&Status> {
        match self.live.get(path) {
            Some(What::Inode(status)) => Some(status),
            _ => None,
        }
    }

    /// A further name of an inode: it need only lead to the same one as the first.
    fn compare_link(&self, entry: &Entry, first: &Path, rewritten: bool) -> Option<Change> {
        let inode = |path| self.status(path).map(|status| (status.device, status.inode));
        match inode(&entry.path) {
            found @ Some(_) if found == inode(first) && !rewritten => None,
            _ => Some(Change::Link),
        }
    }

    fn compare(&self, entry: &Entry) -> Result<Option<Change>, StateError> {
        let what = self.live.get(&entry.path);
        let (Some(attributes), Some(seen)) = (&entry.attributes, &entry.seen) else {
            return Ok(match (&entry.node, what) {
                (SavedNode::Absent, Some(What::Inode(_))) => Some(Change::Remove),
                _ => None,
            });
        };
        let status = match what {
            None | Some(What::Absent) => return Ok(Some(Change::Create)),
            Some(What::Mount) => return Ok(Some(Change::Covered)),
            Some(What::Inode(status)) => status,
        };
        if entry.node.kind() != Some(status.kind) {
            return Ok(Some(Change::Replace));
        }
        if entry.is_unmoved(status, self.backup.manifest().header.began) {
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
        match &entry.node {
            SavedNode::File { content, .. } => {
                // A planted link: the inode is not the one that was saved and has names elsewhere, so setting its
                // metadata would change a file that is none of this module's, or another one of it.
                let names = self.names.get(&(status.device, status.inode));
                let shared = names.is_none_or(|names| status.links > names.count || names.mixed);
                if shared && (seen.device, seen.inode) != (status.device, status.inode) {
                    return Ok(true);
                }
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
            SavedNode::Symlink { target } => Ok(node.link_target().at("read the link", &entry.path)? != target.0),
            SavedNode::Special { number, .. } => Ok(status.number != *number),
            SavedNode::Directory | SavedNode::Absent | SavedNode::Mount => Ok(false),
        }
    }
}

fn link_group(entry: &Entry) -> Option<u32> {
    match entry.node {
        SavedNode::File { link_group, .. } => link_group,
        _ => None,
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
