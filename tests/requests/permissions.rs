//! Owners and modes: set within what is declared, also against a module that swaps what is being looked at.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::json;

use super::machine::{machine, module};

#[test]
fn links_that_are_swapped_in_meanwhile_lead_nowhere() {
    let root = machine();
    root.write_as("/srv/other/secret", "", 0o600, 0, 1_000_000_000);
    root.write_as("/srv/app/a/secret", "", 0o640, 0, 1_000_000_000);
    std::fs::set_permissions(root.at("/srv/other"), std::fs::Permissions::from_mode(0o700)).unwrap();
    // A process of its own swaps the folder and a link to the other's for one another, as fast as it can.
    root.install(&module(
        r#"
from updates.utils.permissions import PermissionManager, PermissionTarget
import signal
swapper = os.fork()
if swapper == 0:
    while True:
        os.rename("/srv/app/a", "/srv/app/b")
        os.symlink("/srv/other", "/srv/app/a")
        os.unlink("/srv/app/a")
        os.rename("/srv/app/b", "/srv/app/a")
done = 0
for number in range(300):
    mode = 0o777 if number % 2 else 0o755
    for path in ("/srv/app", "/srv/app/a", "/srv/app/a/secret"):
        targets = [PermissionTarget(path, "nobody", "nogroup", mode, recursive=path != "/srv/app/a/secret")]
        done += PermissionManager("app").set_permissions(targets)
os.kill(swapper, signal.SIGKILL)
os.waitpid(swapper, 0)
return {"success": True, "done": done > 0}
"#,
    ));
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(record["modules"][0]["result"], json!({"success": true, "done": true}));
    for (path, mode) in [("/srv/other", 0o700), ("/srv/other/secret", 0o600)] {
        let found = root.at(path).metadata().unwrap();
        assert_eq!((found.uid(), found.mode() & 0o7777), (0, mode), "{path}");
    }
}

#[test]
fn a_file_that_lends_the_identity_of_root_does_not_outlive_the_run() {
    let root = machine();
    // Whichever wall holds first: the bit can't be set, or the module that set it is rolled back.
    let module = module(
        r#"
os.makedirs("/srv/app/new/deep")
for path in ("/srv/app/conf", "/srv/app/new/deep/shell", "/srv/cache/shell", os.environ["STATE_DIRECTORY"] + "/shell"):
    open(path, "a").close()
    for mode in (0o4755, 0o2755):
        try:
            os.chmod(path, mode)
        except OSError:
            pass
    try:
        os.setxattr(path, "security.capability", bytes([1, 0, 0, 2, 128] + [0] * 15))
    except OSError:
        pass
return True
"#,
    );
    root.folder("/srv/cache").install(&module.sandbox("volatile_paths", json!(["/srv/cache/"])));
    root.run(&["--no-sync"]);
    for path in ["/srv/app/conf", "/srv/app/new/deep/shell", "/srv/cache/shell", "/var/lib/updates/state/app/shell"] {
        let place = root.at(path);
        let mode = place.metadata().map_or(0, |found| found.mode());
        assert_eq!(mode & 0o6000, 0, "{path} has mode {mode:o}");
        assert!(!place.exists() || xattr::get(&place, "security.capability").unwrap().is_none(), "{path}");
    }
}

#[test]
fn what_the_sandbox_closes_is_not_opened_by_a_request() {
    let root = machine();
    root.write_as("/srv/app/keys/private", "", 0o600, 0, 1_000_000_000);
    root.install(
        &module(
            r#"
from updates.utils.permissions import PermissionManager, PermissionTarget
ask = lambda *target, **more: PermissionManager("app").set_permissions([PermissionTarget(*target, **more)])
return {"success": True, "direct": ask("/srv/app/keys/private", "nobody", "nogroup", 0o666),
        "setuid": ask("/srv/app/conf", "root", "root", 0o4755), "setgid": ask("/srv/app/conf", "root", "root", 0o2755),
        "nobody": ask("/srv/app/conf", "3999999999", "root", 0o644),
        "around": ask("/srv/app", "nobody", "nogroup", 0o755, recursive=True)}
"#,
        )
        .sandbox("read_only_paths", json!(["/srv/app/keys/"])),
    );
    let (ran, record) = root.run(&["--no-sync"]);
    ran.expect(0);
    assert_eq!(
        record["modules"][0]["result"],
        json!({"success": true, "direct": false, "setuid": false, "setgid": false, "nobody": false, "around": true})
    );
    let private = root.at("/srv/app/keys/private").metadata().unwrap();
    assert_eq!((private.uid(), private.mode() & 0o7777), (0, 0o600));
    assert_eq!(root.at("/srv/app/conf").metadata().unwrap().uid(), 65534);
}
