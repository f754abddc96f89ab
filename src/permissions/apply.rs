//! Finding what differs from the targets, and putting it right.

use std::path::PathBuf;

use serde::Serialize;

use super::walk::Walk;
use super::{PermissionError, PermissionTarget, Scope};

/// One path that differs from its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// The path, as modules see it.
    pub path: PathBuf,
    /// `uid:gid mode` as found, mode in octal.
    pub from: String,
    /// `uid:gid mode` as declared.
    pub to: String,
}

/// What differs from `targets`, without changing anything; at most 1,000 paths are listed.
pub fn plan(scope: &Scope<'_>, targets: &[PermissionTarget]) -> Result<Vec<Planned>, PermissionError> {
    Ok(Walk::look(scope, targets)?.listed)
}

/// Puts what differs right and returns how many paths that were. Everything is looked at first, so that a mistake changes
/// nothing; what changes between the two is an error, after which some of it may have been put right.
pub fn apply(scope: &Scope<'_>, targets: &[PermissionTarget]) -> Result<u64, PermissionError> {
    let look = Walk::look(scope, targets)?;
    if look.changed == 0 {
        return Ok(0);
    }
    Ok(look.change(targets)?.changed)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;
    use std::time::{Duration, Instant};

    use updates_protocol::DeclaredPath;

    use super::super::{Closed, TargetType};
    use super::*;
    use crate::config::Machine;

    fn target(path: &str, mode: u32, recursive: bool) -> PermissionTarget {
        PermissionTarget {
            path: DeclaredPath::new(path).unwrap(),
            owner: nix::unistd::getuid().to_string(),
            group: nix::unistd::getgid().to_string(),
            mode,
            target_type: TargetType::Auto,
            recursive,
        }
    }

    fn machine() -> (tempfile::TempDir, Machine) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("srv/app/sub")).unwrap();
        fs::write(root.path().join("srv/app/sub/file"), "x").unwrap();
        let machine = Machine::Root(root.path().to_owned());
        (root, machine)
    }

    fn declared(path: &str) -> Vec<DeclaredPath> {
        vec![DeclaredPath::new(path).unwrap()]
    }

    fn apply_within(
        machine: &Machine,
        path: &str,
        closed: &Closed,
        targets: &[PermissionTarget],
    ) -> Result<u64, PermissionError> {
        let until = Instant::now() + Duration::from_secs(60);
        super::apply(&Scope { machine, declared: &declared(path), closed, until, is_cancelled: &|| false }, targets)
    }

    fn apply(machine: &Machine, targets: &[PermissionTarget]) -> Result<u64, PermissionError> {
        apply_within(machine, "/srv", &Closed::default(), targets)
    }

    fn plan(machine: &Machine, targets: &[PermissionTarget]) -> Result<Vec<Planned>, PermissionError> {
        let until = Instant::now() + Duration::from_secs(60);
        super::plan(
            &Scope { machine, declared: &declared("/srv"), closed: &Closed::default(), until, is_cancelled: &|| false },
            targets,
        )
    }

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_recursive_target_is_put_right_once_and_then_finds_nothing() {
        let (root, machine) = machine();
        let targets = [target("/srv/app", 0o750, true)];
        assert_eq!(plan(&machine, &targets).unwrap().len(), 3);
        assert_eq!(apply(&machine, &targets).unwrap(), 3);
        assert_eq!(mode(&root.path().join("srv/app/sub/file")), 0o750);
        assert_eq!(apply(&machine, &targets).unwrap(), 0);
    }

    #[test]
    fn links_are_neither_followed_nor_changed() {
        let (root, machine) = machine();
        let outside = root.path().join("outside");
        fs::write(&outside, "").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        symlink(&outside, root.path().join("srv/app/link")).unwrap();
        apply(&machine, &[target("/srv/app", 0o777, true)]).unwrap();
        assert_eq!(mode(&outside), 0o600);
        symlink("app", root.path().join("srv/way")).unwrap();
        let error = apply(&machine, &[target("/srv/way/sub", 0o700, false)]).unwrap_err();
        assert!(error.to_string().contains("/srv/way/sub"), "{error}");
    }

    #[test]
    fn mistakes_name_the_path() {
        let (_root, machine) = machine();
        let stranger = PermissionTarget { owner: "nobody-of-that-name".to_owned(), ..target("/srv/app", 0o700, false) };
        assert!(apply(&machine, &[stranger]).unwrap_err().to_string().contains("nobody-of-that-name"));
        let file = PermissionTarget { target_type: TargetType::File, ..target("/srv/app", 0o700, false) };
        assert_eq!(apply(&machine, &[file]).unwrap_err().to_string(), "/srv/app is not a file");
        assert!(apply(&machine, &[target("/srv/gone", 0o700, false)]).unwrap_err().to_string().contains("/srv/gone"));
        assert!(apply(&machine, &[target("/srv/app", 0o17777, false)]).is_err());
    }

    #[test]
    fn a_file_with_a_further_name_elsewhere_is_left_alone() {
        let (root, machine) = machine();
        let outside = root.path().join("srv/outside");
        fs::write(&outside, "").unwrap();
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o600)).unwrap();
        fs::hard_link(&outside, root.path().join("srv/app/sub/planted")).unwrap();
        let error = apply(&machine, &[target("/srv/app", 0o777, true)]).unwrap_err().to_string();
        assert!(error.starts_with("/srv/app/sub/planted has further names"), "{error}");
        assert_eq!(mode(&outside), 0o600);
        assert_eq!(mode(&root.path().join("srv/app/sub/file")) & 0o111, 0, "nothing is changed where one is refused");
        // With both names among the targets it is nobody else's.
        assert!(apply(&machine, &[target("/srv", 0o750, true)]).unwrap() > 0);
        assert_eq!(mode(&outside), 0o750);
    }

    #[test]
    fn a_name_that_two_targets_reach_is_one_name() {
        let (root, machine) = machine();
        fs::hard_link(root.path().join("srv/app/sub/file"), root.path().join("srv/outside")).unwrap();
        let targets = [target("/srv/app", 0o777, true), target("/srv/app/sub/file", 0o777, false)];
        assert!(matches!(apply(&machine, &targets), Err(PermissionError::Shared(_))));
    }

    #[test]
    fn bits_that_lend_an_identity_are_refused_and_the_sticky_bit_is_for_one_directory() {
        let (root, machine) = machine();
        for mode in [0o4755, 0o2755, 0o6755] {
            let refused = apply(&machine, &[target("/srv/app/sub", mode, false)]);
            assert!(matches!(refused, Err(PermissionError::Privileged { .. })));
        }
        assert!(apply(&machine, &[target("/srv/app", 0o1777, true)]).is_err());
        assert!(apply(&machine, &[target("/srv/app/sub/file", 0o1777, false)]).is_err());
        assert_eq!(apply(&machine, &[target("/srv/app", 0o1777, false)]).unwrap(), 1);
        assert_eq!(mode(&root.path().join("srv/app")), 0o1777);
    }

    #[test]
    fn setuid_bits_that_were_there_do_not_survive() {
        let (root, machine) = machine();
        let file = root.path().join("srv/app/sub/file");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
        apply(&machine, &[target("/srv/app/sub/file", 0o755, false)]).unwrap();
        assert_eq!(mode(&file), 0o755);
    }

    #[test]
    fn numbers_of_nobody_are_no_owners() {
        let (_root, machine) = machine();
        for number in ["4294967295", "3999999999"] {
            let stranger = PermissionTarget { owner: number.to_owned(), ..target("/srv/app", 0o700, false) };
            assert!(matches!(apply(&machine, &[stranger]), Err(PermissionError::Owner { .. })));
        }
    }

    #[test]
    fn what_the_sandbox_keeps_closed_stays_so_under_another_name_too() {
        let (root, machine) = machine();
        let closed = Closed::find(&machine, declared("/srv/app/sub").into_iter()).unwrap();
        let within = |targets: &[PermissionTarget]| apply_within(&machine, "/srv", &closed, targets);
        assert!(matches!(within(&[target("/srv/app/sub/file", 0o700, false)]), Err(PermissionError::Closed(_))));
        fs::rename(root.path().join("srv/app/sub"), root.path().join("srv/app/other")).unwrap();
        let before = mode(&root.path().join("srv/app/other/file"));
        within(&[target("/srv", 0o711, true)]).unwrap();
        assert_eq!(mode(&root.path().join("srv/app/other/file")), before);
        assert_eq!(mode(&root.path().join("srv/app")), 0o711);
    }

    #[test]
    fn only_what_is_declared_is_reached() {
        let (root, machine) = machine();
        let closed = Closed::default();
        let refused = apply_within(&machine, "/srv/other", &closed, &[target("/srv/app", 0o700, false)]);
        assert!(matches!(refused, Err(PermissionError::Undeclared(_))));
        symlink("app", root.path().join("srv/other")).unwrap();
        let refused = apply_within(&machine, "/srv/other", &closed, &[target("/srv/other/sub", 0o700, false)]);
        assert!(refused.is_err(), "a declared path that is a link is not followed");
    }

    #[test]
    fn a_walk_without_end_is_given_up() {
        let (root, machine) = machine();
        let mut deep = root.path().join("srv/app");
        for _ in 0..200 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        assert!(matches!(apply(&machine, &[target("/srv/app", 0o700, true)]), Err(PermissionError::TooDeep { .. })));
        let scope = Scope {
            machine: &machine,
            declared: &declared("/srv"),
            closed: &Closed::default(),
            until: Instant::now(),
            is_cancelled: &|| false,
        };
        let late = super::apply(&scope, &[target("/srv/app", 0o700, false)]);
        assert!(matches!(late, Err(PermissionError::OutOfTime(_))));
    }
}
