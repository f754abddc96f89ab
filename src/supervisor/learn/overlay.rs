//! From the plan of a sandbox to the same one on an overlay of the machine, where everything can be written and nothing
//! is kept: pure.

use std::path::{Path, PathBuf};

use updates_protocol::{Access, Mount};

use super::mounted::Mounted;

/// The changed plan, and what has to be there for it.
#[derive(Debug, Default)]
pub(super) struct Overlaid {
    pub(super) mounts: Vec<Mount>,
    pub(super) layers: Vec<Layer>,
    /// What stays read-only, and why.
    pub(super) notes: Vec<String>,
}

/// The layer that takes the changes of one directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    /// The directory as modules see it.
    pub(super) target: PathBuf,
    /// Where the changes land: to be made, empty, with the owner and mode of `below`.
    pub(super) upper: PathBuf,
    /// For the kernel: to be made, empty.
    pub(super) work: PathBuf,
    /// What is seen where nothing changed.
    pub(super) below: PathBuf,
}

/// Lays an empty layer in `scratch` over every top-level directory, over what is mounted inside, and over what the plan
/// lets the module write.
pub(super) fn overlay(mounts: Vec<Mount>, scratch: &Path, mounted: &Mounted) -> Overlaid {
    let mut overlaid = Overlaid::default();
    for mount in mounts {
        match mount {
            Mount::Bind { source, target, access: Access::ReadOnly } if is_top(&target) => {
                overlaid.lay(vec![source.clone()], &target, scratch, mounted);
                overlaid.inner(&source, &target, scratch, mounted);
            }
            Mount::Bind { source, target, access: Access::ReadWrite } => {
                overlaid.lay(vec![source], &target, scratch, mounted);
            }
            Mount::Overlay { layers, target, .. } => {
                overlaid.lay(layers.clone(), &target, scratch, mounted);
                // The machine's own folder is the last.
                layers.last().into_iter().for_each(|source| overlaid.inner(source, &target, scratch, mounted));
            }
            other => overlaid.mounts.push(other),
        }
    }
    overlaid
}

impl Overlaid {
    fn lay(&mut self, below: Vec<PathBuf>, target: &Path, scratch: &Path, mounted: &Mounted) {
        if let Some(unfit) = below.iter().find(|layer| !mounted.can_lie_below(layer)) {
            let kind = mounted.kind(unfit);
            self.notes.push(format!(
                "{} was read-only: no overlay can lie over {kind} and what is mounted in it",
                target.display()
            ));
            match below.len() {
                1 => self.bind(unfit.clone(), target),
                _ => self.mounts.push(Mount::Overlay { layers: below, work: None, target: target.to_owned() }),
            }
            return;
        }
        let place = scratch.join(self.layers.len().to_string());
        let layer = Layer {
            target: target.to_owned(),
            upper: place.join("upper"),
            work: place.join("work"),
            below: below[0].clone(),
        };
        let layers = [vec![layer.upper.clone()], below].concat();
        self.mounts.push(Mount::Overlay { layers, work: Some(layer.work.clone()), target: target.to_owned() });
        self.layers.push(layer);
    }

    fn inner(&mut self, source: &Path, target: &Path, scratch: &Path, mounted: &Mounted) {
        let mut covered: Option<PathBuf> = None;
        for point in mounted.inside(source) {
            // A bind brings what is below it.
            if covered.as_ref().is_some_and(|above| point.starts_with(above)) {
                continue;
            }
            let Ok(rest) = point.strip_prefix(source) else { continue };
            let target = target.join(rest);
            if point.is_dir() && mounted.can_lie_below(&point) {
                self.lay(vec![point], &target, scratch, mounted);
            } else {
                self.bind(point.clone(), &target);
                covered = Some(point);
            }
        }
    }

    fn bind(&mut self, source: PathBuf, target: &Path) {
        self.mounts.push(Mount::Bind { source, target: target.to_owned(), access: Access::ReadOnly });
    }
}

// Directly below the root. What is in /sys is the kernel's, and never anybody's to change.
fn is_top(target: &Path) -> bool {
    target.components().count() == 2 && target != Path::new("/sys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_top_level_directory_gets_a_layer_and_what_can_not_stays_read_only() {
        let bind = |path: &str, access| Mount::Bind { source: path.into(), target: path.into(), access };
        let mounts = vec![
            bind("/boot", Access::ReadOnly),
            bind("/etc", Access::ReadOnly),
            bind("/sys", Access::ReadOnly),
            Mount::Overlay { layers: vec!["/r/usr".into(), "/usr".into()], work: None, target: "/usr".into() },
            bind("/var/lib/updates/state/x", Access::ReadWrite),
            bind("/run/updates/sdk", Access::ReadOnly),
        ];
        let mounted = Mounted::of(&[("/", "ext4"), ("/boot", "vfat"), ("/usr/lib", "xfs")]);
        let overlaid = overlay(mounts, Path::new("/tmp/s"), &mounted);
        let targets: Vec<_> = overlaid.layers.iter().map(|layer| layer.target.to_str().unwrap()).collect();
        assert_eq!(targets, ["/etc", "/usr", "/usr/lib", "/var/lib/updates/state/x"]);
        assert_eq!(overlaid.notes, ["/boot was read-only: no overlay can lie over vfat and what is mounted in it"]);
        let usr = overlaid.mounts.iter().find_map(|mount| match mount {
            Mount::Overlay { layers, work, target } if target == Path::new("/usr") => {
                Some((layers.clone(), work.clone()))
            }
            _ => None,
        });
        let layers = ["/tmp/s/1/upper", "/r/usr", "/usr"].map(PathBuf::from).to_vec();
        assert_eq!(usr, Some((layers, Some("/tmp/s/1/work".into()))));
        let writable = |mount: &Mount| matches!(mount, Mount::Bind { access: Access::ReadWrite, .. });
        assert!(!overlaid.mounts.iter().any(writable));
    }
}
