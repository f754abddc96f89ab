//! `os`: real apt and dpkg under the package-manager profile, on a system of packages that lies in a root.

use super::apt::{self, Package};
use super::files::Without;
use super::http::Web;
use super::scene::{Scene, assert_step};

fn scene() -> Scene {
    let mut scene = Scene::new("os");
    scene.without(Without {
        content_of: vec![
            "_Packages",
            "status",
            "status-old",
            "available",
            "dpkg.log",
            "history.log",
            "term.log",
            "eipp.log.xz",
        ],
        beginning: vec!["pkgcache.bin", "srcpkgcache.bin"],
    });
    let own = apt::user();
    scene.replace(format!(" {own}:0"), " _apt:root");
    apt::make(&scene.root);
    scene.settings(&apt::settings());
    scene
}

#[test]
fn packages_are_upgraded_once_and_land_in_the_root() {
    let scene = scene();
    let old = ["alpha", "beta"].map(|name| Package {
        file: Some(("/etc/greeting", "old\n")).filter(|_| name == "alpha"),
        ..Package::new(name, "1.0")
    });
    apt::installed(&scene.root, &old);
    assert_step!("os_current", scene.run());
    apt::publish(
        &scene.root,
        &[
            Package {
                postinst: Some("echo configured >\"$DPKG_ROOT/usr/share/alpha\""),
                file: Some(("/etc/greeting", "new\n")),
                ..Package::new("alpha", "2.0")
            },
            Package { control: "Depends: gamma\n", ..Package::new("beta", "2.0") },
            Package::new("gamma", "1.0"),
        ],
    );
    assert_step!("os_first", scene.run());
    assert_eq!(apt::versions(&scene.root), ["alpha 2.0", "beta 2.0", "gamma 1.0"]);
    assert_step!("os_second", scene.run());
    assert_step!("os_check_after", scene.check());
}

#[test]
fn what_a_package_does_to_the_machine_itself_lands_in_the_root_too() {
    let scene = scene();
    apt::installed(&scene.root, &[Package::new("alpha", "1.0")]);
    let script = "mkdir /opt/updates-test && dpkg --version >/opt/updates-test/tool && echo more >>/etc/issue";
    apt::publish(&scene.root, &[Package { postinst: Some(script), ..Package::new("alpha", "2.0") }]);
    let issue = std::fs::read_to_string("/etc/issue").unwrap();
    assert!(scene.run().result["success"] == true);
    assert!(scene.root.read("/opt/updates-test/tool").starts_with("Debian"));
    assert_eq!(scene.root.read("/etc/issue"), format!("{issue}more\n"));
    assert_eq!(std::fs::read_to_string("/etc/issue").unwrap(), issue);
    // Folders that were only made so that they could be written are gone again, and so is what the kernel needed.
    assert!(!scene.root.exists("/boot"));
    assert_eq!(scene.root.tree("/run/updates/overlays").paths().len(), 1);
}

#[test]
fn packages_are_fetched_from_a_server_as_the_user_of_apt() {
    let (mut scene, web) = (scene(), Web::new());
    scene.replace(web.address(), "[server]");
    apt::installed(&scene.root, &[Package::new("alpha", "1.0")]);
    apt::publish(&scene.root, &[Package::new("alpha", "2.0")]);
    apt::serve(&scene.root, &web);
    assert_step!("os_fetched", scene.run());
    assert_eq!(apt::versions(&scene.root), ["alpha 2.0"]);
    assert!(web.asked().contains(&"/alpha_2.0_all.deb 200".to_owned()));
}

#[test]
fn a_check_names_what_would_be_upgraded() {
    let scene = scene();
    apt::installed(&scene.root, &[Package::new("alpha", "1.0"), Package::new("beta", "1.0")]);
    apt::publish(
        &scene.root,
        &[Package { control: "Depends: gamma\n", ..Package::new("beta", "2.0") }, Package::new("gamma", "1.0")],
    );
    // Held by what apt was told, so that the run only refreshes the lists.
    scene
        .root
        .write("/srv/machine/etc/apt/preferences.d/later", "Package: beta\nPin: version 1.0\nPin-Priority: 1001\n");
    scene.run();
    std::fs::remove_file(scene.root.at("/srv/machine/etc/apt/preferences.d/later")).unwrap();
    assert_step!("os_check_before", scene.check());
}

#[test]
fn a_check_right_after_the_machine_has_started_works() {
    let scene = scene();
    scene.run();
    std::fs::remove_dir_all(scene.root.at("/run/updates")).unwrap();
    assert_eq!(scene.check().result["would_change"], serde_json::json!([]));
}

#[test]
fn an_interrupted_dpkg_is_repaired_first_and_a_due_reboot_is_said() {
    let scene = scene();
    apt::unpacked(&scene.root, &[Package { postinst: Some("echo configured"), ..Package::new("alpha", "1.0") }]);
    scene.root.write("/srv/machine/run/reboot-required", "*** System restart required ***\n");
    scene.root.write("/srv/machine/run/reboot-required.pkgs", "linux-image-amd64\n");
    assert_step!("os_repaired", scene.run());
}

#[test]
fn a_package_that_fails_is_named_and_the_others_go_in_and_stay() {
    let scene = scene();
    let names = ["alpha", "beta", "gamma"];
    apt::installed(&scene.root, &names.map(|name| Package::new(name, "1.0")));
    // A version that has never run well would be held with its first failure.
    scene.run();
    let broken = |name| Some("echo 'no luck' >&2; exit 1").filter(|_| name == "beta");
    apt::publish(&scene.root, &names.map(|name| Package { postinst: broken(name), ..Package::new(name, "2.0") }));
    assert_step!("os_failure", scene.run());
    assert_eq!(apt::versions(&scene.root), ["alpha 2.0", "beta 2.0", "gamma 2.0"]);
    // The next version mends it.
    apt::publish(&scene.root, &[Package::new("beta", "2.1")]);
    assert_step!("os_mended", scene.run());
}

#[test]
fn sources_that_can_not_be_reached_fail_the_run_and_change_nothing() {
    let scene = scene();
    apt::installed(&scene.root, &[Package::new("alpha", "1.0")]);
    apt::publish(&scene.root, &[Package::new("alpha", "2.0")]);
    scene.run();
    apt::publish(&scene.root, &[Package::new("alpha", "3.0")]);
    scene.root.write("/srv/machine/etc/apt/sources.list", "deb [trusted=yes] file:/srv/nowhere ./\n");
    assert_step!("os_unreachable", scene.run());
    assert_eq!(apt::versions(&scene.root), ["alpha 2.0"]);
}
