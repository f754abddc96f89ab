//! Profiles as shipped and as mistyped, and the plans that follow from them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use updates_protocol::{Access, DeclaredPath, Manifest, Mount, ProfileName};

use super::*;
use crate::config::Machine;

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sandbox-profiles")
}

fn profiles() -> Profiles {
    Profiles::load(Path::new("/nonexistent"), &shipped())
}

fn manifest(rest: Value) -> Manifest {
    let mut index = json!({"metadata": {"schema_version": "1.0.0"}});
    index.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    Manifest::parse(index.to_string().as_bytes(), &"unbound".parse().unwrap()).unwrap().0
}

fn resolve(rest: Value) -> Profile {
    profiles().resolve(&manifest(rest)).unwrap()
}

fn local(files: &[(&str, &str)]) -> (TempDir, Profiles) {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let profiles = Profiles::load(folder.path(), &shipped());
    (folder, profiles)
}

fn error_of(files: &[(&str, &str)], profile: &str) -> String {
    let (folder, profiles) = local(files);
    let error = profiles.get(&profile.parse().unwrap()).unwrap_err().to_string();
    error.replace(folder.path().to_str().unwrap(), "/etc/updates/sandbox-profiles")
}

fn top(entries: &[&str]) -> Vec<TopLevel> {
    let entry = |text: &&str| match text.split_once("->") {
        Some((name, content)) => TopLevel { name: name.into(), kind: TopLevelKind::Symlink(content.into()) },
        None => TopLevel { name: text.into(), kind: TopLevelKind::Directory },
    };
    entries.iter().map(entry).collect()
}

fn place(source: &str, target: &str) -> Place {
    Place { source: source.into(), target: target.into() }
}

/// The facts of a module called `unbound` on a small Debian, with everything writable where its profile says.
fn input(profile: &Profile, machine: Machine) -> PlanInput {
    let root = match &machine {
        Machine::Host => "",
        Machine::Root(root) => root.to_str().unwrap(),
    };
    let located = |path: &str| place(&format!("{root}{path}"), path);
    PlanInput {
        host_top: top(&["bin->usr/bin", "dev", "etc", "home", "proc", "root", "run", "sys", "tmp", "usr", "var"]),
        machine_top: if root.is_empty() {
            Vec::new()
        } else {
            top(&["data", "etc", "lib->usr/lib", "run", "usr", "var"])
        },
        writable: profile.writable_paths().map(|path| located(path.as_path().to_str().unwrap())).collect(),
        laid_over: Vec::new(),
        read_only: profile.read_only_paths.iter().map(|path| located(path.as_path().to_str().unwrap())).collect(),
        check: false,
        sdk: "/usr/lib/updates/python".into(),
        module_directory: located("/usr/local/lib/updates/modules/unbound"),
        state_directory: located("/var/lib/updates/state/unbound"),
        effective_index: None,
        protected: vec![located("/usr/local/lib/updates"), located("/etc/updates")],
        hidden: vec!["/var/lib/updates".into(), "/var/backups/updates".into()],
        cgroup_procs: Vec::new(),
        identity: profile.user.resolve(&"unbound".parse().unwrap(), Path::new("/nonexistent")).unwrap(),
        hostname: "server".to_owned(),
        machine,
    }
}

/// One line a mount, for snapshots that a person can read.
fn lines(mounts: &[Mount]) -> String {
    let line = |mount: &Mount| match mount {
        Mount::Bind { source, target, access } => {
            let access = if *access == Access::ReadOnly { "ro" } else { "rw" };
            format!("bind {access}  {} <- {}", target.display(), source.display())
        }
        Mount::Overlay { layers, work: None, target } => format!("overlay  {} <- {layers:?}", target.display()),
        Mount::Overlay { layers, work: Some(_), target } => format!("overlay rw  {} <- {layers:?}", target.display()),
        Mount::Symlink { content, target } => format!("symlink  {} -> {}", target.display(), content.display()),
        Mount::Tmpfs { target, size, mode } => format!("tmpfs    {} {mode:04o} {}K", target.display(), size >> 10),
        Mount::Directory { target } => format!("dir      {}", target.display()),
        Mount::File { target, content } => format!("file     {} {content:?}", target.display()),
        Mount::Inaccessible { target } => format!("hidden   {}", target.display()),
        Mount::Proc { .. } => "proc".to_owned(),
        Mount::Dev => "dev".to_owned(),
    };
    mounts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn planned(rest: Value, adjust: impl FnOnce(&mut PlanInput)) -> String {
    let profile = resolve(rest);
    let mut input = input(&profile, Machine::Host);
    adjust(&mut input);
    lines(&plan(&profile, &input).mounts)
}

fn unbound() -> Value {
    json!({"configuration": {"backup_paths": ["/etc/unbound/", "/var/lib/unbound"]},
        "sandbox": {"read_only_paths": ["/etc/unbound/keys"]}})
}

#[test]
fn every_shipped_profile_explains_each_setting_that_is_looser_than_strict() {
    let profiles = profiles();
    assert_eq!(profiles.problems(), []);
    let names: Vec<_> = profiles.names().map(ToString::to_string).collect();
    assert_eq!(names, ["default", "legacy", "network", "package-manager", "strict"]);
    let strict = profiles.get(&"strict".parse().unwrap()).unwrap();
    for name in profiles.names() {
        let profile = profiles.get(name).unwrap();
        for key in profile.loosened_against(&strict) {
            assert!(profile.reasons.get(key).is_some_and(|reason| reason.len() > 20), "{name}: {key} has no reason");
        }
    }
}

#[test]
fn no_shipped_profile_opens_the_kernel() {
    let closed = ["CAP_SYS_MODULE", "CAP_SYS_ADMIN", "CAP_SYS_RAWIO", "CAP_SYS_BOOT", "CAP_SYS_PTRACE", "CAP_BPF"];
    let profiles = profiles();
    for name in profiles.names() {
        let held = profiles.get(name).unwrap().capability_bounding_set;
        assert!(!held.iter().any(|capability| closed.contains(&capability.as_str())), "{name}: {held:?}");
    }
}

#[test]
fn what_each_shipped_profile_comes_to() {
    let profiles = profiles();
    let paths = |paths: &[DeclaredPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let one = |name: &ProfileName| {
        let p = profiles.get(name).unwrap();
        let capabilities: Vec<_> = p.capability_bounding_set.iter().map(|held| held.as_str()).collect();
        [
            format!("{name}: {}", p.description),
            format!("  read_only     {}", paths(&p.read_only_paths)),
            format!("  inaccessible  {}", paths(&p.inaccessible_paths)),
            format!("  volatile      {}", paths(&p.volatile_paths)),
            format!("  capabilities  {}", capabilities.join(" ")),
            format!(
                "  closed        home {}, network {}, proc {}",
                p.protect_home,
                p.private_network,
                p.protect_proc.as_str()
            ),
            format!("  user          {}", p.user),
            format!(
                "  calls         {}",
                p.system_call_filter.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            ),
            format!(
                "  families      {}",
                p.restrict_address_families.iter().map(|f| f.as_str()).collect::<Vec<_>>().join(" ")
            ),
            format!("  limits        nofile {}, fsize {:?}, core {}", p.limit_nofile, p.limit_fsize, p.limit_core),
            format!("  bounds        tasks {}, memory {}M, tmp {}M", p.tasks_max, p.memory_max >> 20, p.tmp_size >> 20),
            format!("  times         {} s, {} s, exclusive {}", p.runtime_max_sec, p.timeout_stop_sec, p.exclusive),
        ]
        .map(|line| line.trim_end().to_owned())
        .join("\n")
    };
    insta::assert_snapshot!(profiles.names().map(one).collect::<Vec<_>>().join("\n"));
}

#[test]
fn mistakes_name_the_file_the_key_and_the_way_out() {
    let mistakes = [
        error_of(&[("a.json", r#"{"private_netwrok": true}"#)], "a"),
        error_of(&[("a.json", r#"{"colour": true}"#)], "a"),
        error_of(&[("a.json", "{")], "a"),
        error_of(&[("a.json", "[1]")], "a"),
        error_of(&[("a.json", r#"{"private_network": "no"}"#)], "a"),
        error_of(&[("a.json", r#"{"read_write_paths": ["/srv", "srv/x"]}"#)], "a"),
        error_of(&[("a.json", r#"{"capability_bounding_set": ["CAP_CHWON"]}"#)], "a"),
        error_of(&[("a.json", r#"{"umask": "0999"}"#)], "a"),
        error_of(&[("a.json", r#"{"memory_max": "lots"}"#)], "a"),
        error_of(&[("a.json", r#"{"best_effort": ["private_network"]}"#)], "a"),
        error_of(&[("a.json", r#"{"environment": {"LD_PRELOAD": "/x.so"}}"#)], "a"),
        error_of(&[("a.json", r#"{"system_call_filter": ["@system-servce"]}"#)], "a"),
        error_of(&[("a.json", r#"{"system_call_filter": ["~opneat"]}"#)], "a"),
        error_of(&[("a.json", r#"{"restrict_address_families": ["AF_INET4"]}"#)], "a"),
        error_of(&[("a.json", r#"{"protect_proc": "hidden"}"#)], "a"),
        error_of(&[("a.json", r#"{"cpu_quota": "50"}"#)], "a"),
        error_of(&[("a.json", r#"{"connect_tcp_ports": [80, 70000]}"#)], "a"),
        error_of(&[("a.json", r#"{"user": "www-data", "dynamic_user": true}"#)], "a"),
        error_of(&[("a.json", r#"{"extends": "default", "user": "www-data"}"#)], "a"),
        error_of(&[("a.json", r#"{"extends": "strict", "capability_bounding_set": ["CAP_CHOWN"]}"#)], "a"),
        error_of(&[("a.json", r#"{"read_write_paths": ["/srv/a"], "inaccessible_paths": ["/srv/a/"]}"#)], "a"),
        error_of(&[("a.json", r#"{"read_write_paths": ["/srv/a"], "volatile_paths": ["/srv/a/"]}"#)], "a"),
        error_of(&[("a.json", r#"{"read_write_paths": ["/srv/../etc"]}"#)], "a"),
        error_of(&[("a.json", r#"{"read_write_paths": ["/var"]}"#)], "a"),
        error_of(&[("a.json", r#"{"volatile_paths": ["/var/lib/updates/state"]}"#)], "a"),
        error_of(&[("a.json", r#"{"allow": {"memory_maxx": "2G"}}"#)], "a"),
        error_of(&[("a.json", r#"{"allow": {"private_network": true}}"#)], "a"),
        error_of(&[("a.json", r#"{"allow": {"umask": "0000"}}"#)], "a"),
        error_of(&[("a.json", r#"{"reasons": {"colour": "red"}}"#)], "a"),
        error_of(&[("a.json", r#"{"extends": "../strict"}"#)], "a"),
        error_of(&[("a.json", r#"{"extends": "missing"}"#)], "a"),
        error_of(&[("a.json", r#"{"extends": "b"}"#), ("b.json", r#"{"extends": "a"}"#)], "a"),
        error_of(&[], "missing"),
    ];
    insta::assert_snapshot!(mistakes.join("\n"));
}

#[test]
fn what_a_manifest_may_not_ask_for_names_the_module_and_the_key() {
    let refused = |rest: Value| profiles().resolve(&manifest(rest)).unwrap_err().to_string();
    let mistakes = [
        refused(json!({"configuration": {"backup_paths": ["/"]}})),
        refused(json!({"sandbox": {"read_write_paths": ["/proc/sys"]}})),
        refused(json!({"sandbox": {"volatile_paths": ["/run/updates/lock"]}})),
        refused(json!({"sandbox": {"user": "A B"}})),
        refused(json!({"sandbox": {"user": "www-data", "dynamic_user": true}})),
        refused(json!({"sandbox": {"system_call_filter": ["@chwon"]}})),
        refused(json!({"sandbox": {"restrict_address_families": ["AF_INTE"]}})),
        refused(json!({"sandbox": {"profile": "strict", "capability_bounding_set": ["CAP_CHOWN"]}})),
        refused(json!({"sandbox": {"inaccessible_paths": ["/srv/a"], "read_write_paths": ["/srv/a/"]}})),
    ];
    insta::assert_snapshot!(mistakes.join("\n"));
}

#[test]
fn a_broken_local_profile_does_not_fall_back_to_the_shipped_one() {
    let (_folder, profiles) = local(&[("default.json", "{"), ("a b.json", "{}"), ("readme.txt", "")]);
    assert!(profiles.resolve(&manifest(json!({}))).is_err());
    assert!(profiles.resolve(&manifest(json!({"sandbox": {"profile": "network"}}))).is_err(), "it extends default");
    assert!(profiles.resolve(&manifest(json!({"sandbox": {"profile": "strict"}}))).is_ok());
    assert_eq!(profiles.problems().len(), 1);
}

#[test]
fn lists_add_to_the_extended_profile_and_null_forgets_it() {
    let (_folder, profiles) = local(&[
        ("a.json", r#"{"extends": "strict", "inaccessible_paths": ["/srv/a"]}"#),
        ("b.json", r#"{"extends": "a", "inaccessible_paths": null, "environment": {"A": "1"}}"#),
        ("c.json", r#"{"extends": "b", "inaccessible_paths": ["/srv/c"], "environment": {"B": "2"}}"#),
    ]);
    let of = |name: &str| profiles.get(&name.parse().unwrap()).unwrap();
    assert_eq!(of("a").inaccessible_paths.len(), of("strict").inaccessible_paths.len() + 1);
    assert_eq!(of("b").inaccessible_paths, []);
    assert_eq!(of("c").inaccessible_paths.len(), 1);
    assert_eq!(of("c").environment.len(), 2);
}

#[test]
fn a_manifest_adjusts_its_profile() {
    let profile = resolve(json!({
        "metadata": {"schema_version": "1", "exclusive": true},
        "configuration": {"backup_paths": ["/etc/shadow"]},
        "sandbox": {"profile": "default", "private_network": false, "memory_max": "2G", "runtime_max_sec": 5,
            "volatile_paths": ["/srv/cache"], "environment": {"A": "1"}}
    }));
    assert!(!profile.private_network && profile.exclusive);
    assert_eq!((profile.memory_max, profile.runtime_max_sec, profile.timeout_stop_sec), (2 << 30, 5, 10));
    assert!(!profile.inaccessible_paths.iter().any(|path| path.as_path() == Path::new("/etc/shadow")));
    assert_eq!(profile.writable_paths().count(), 2);
    assert!(profile.may_lack("memory_max") && !profile.may_lack("private_network"));
}

#[test]
fn a_module_on_the_machine_itself() {
    insta::assert_snapshot!(planned(unbound(), |_| {}));
}

#[test]
fn a_check_can_write_nothing_but_its_temporary_directories() {
    let plan = planned(unbound(), |input| input.check = true);
    assert!(!plan.contains("bind rw"), "{plan}");
    insta::assert_snapshot!(plan);
    let legacy = planned(json!({"sandbox": {"profile": "legacy"}}), |input| input.check = true);
    assert!(legacy.contains("hidden   /run/dbus") && legacy.contains("hidden   /run/systemd/private"), "{legacy}");
}

#[test]
fn a_module_under_another_root() {
    let profile = resolve(unbound());
    let input = input(&profile, Machine::Root("/srv/fixture".into()));
    insta::assert_snapshot!(lines(&plan(&profile, &input).mounts));
}

#[test]
fn a_package_manager_under_another_root_writes_there_and_sees_this_machine_through_it() {
    let profile = resolve(json!({"sandbox": {"profile": "package-manager"}}));
    let mut input = input(&profile, Machine::Root("/srv/fixture".into()));
    input.writable.clear();
    for name in ["etc", "opt", "usr", "var"] {
        let (target, work) = (Path::new("/").join(name), Path::new("/srv/fixture/run/updates/overlays").join(name));
        input.laid_over.push(LaidOver { target, work });
    }
    input.host_top.extend(top(&["opt"]));
    let plan = lines(&plan(&profile, &input).mounts);
    // `/opt` was made after the root was listed.
    for line in
        ["overlay rw  /opt <- [\"/srv/fixture/opt\", \"/opt\"]", "overlay rw  /usr <- [\"/srv/fixture/usr\", \"/usr\"]"]
    {
        assert!(plan.contains(line), "{plan}");
    }
    assert!(!plan.contains("bind rw  /usr") && !plan.contains("bind ro  /opt"), "{plan}");
    assert!(plan.find("overlay rw  /etc").unwrap() < plan.find("bind ro  /etc/updates").unwrap(), "{plan}");
}

#[test]
fn a_package_manager_can_write_the_system_but_not_the_supervisor() {
    insta::assert_snapshot!(planned(json!({"sandbox": {"profile": "package-manager"}}), |input| {
        input.effective_index = Some("{}".to_owned());
    }));
}

#[test]
fn a_declared_path_in_a_hidden_home_is_reached_and_the_rest_is_not() {
    insta::assert_snapshot!(planned(
        json!({"sandbox": {"read_write_paths": ["/home/media/library", "/tmp/shared"],
            "inaccessible_paths": ["/home/media/library/private"]}}),
        |_| {}
    ));
}

#[test]
fn a_module_that_declares_the_supervisors_own_state_does_not_get_it() {
    let plan = planned(json!({"sandbox": {"read_write_paths": ["/var/lib/updates/checkpoints", "/var"]}}), |_| {});
    assert!(!plan.contains("checkpoints"), "{plan}");
    let hidden = plan.find("tmpfs    /var/lib/updates").unwrap();
    assert!(plan.find("bind rw  /var <-").unwrap() < hidden);
    assert!(hidden < plan.find("bind rw  /var/lib/updates/state/unbound").unwrap());
}

#[test]
fn a_module_run_from_its_authors_folder_is_seen_below_run() {
    let plan = planned(json!({}), |input| {
        input.module_directory = place("/home/me/unbound", "/run/updates/modules/unbound");
    });
    assert!(plan.contains("bind ro  /run/updates/modules/unbound <- /home/me/unbound"), "{plan}");
}

#[test]
fn limits_and_privileges_come_from_the_profile() {
    let profile = resolve(json!({"sandbox": {"profile": "strict", "limit_fsize": "1M"}}));
    let mut plan = plan(&profile, &input(&profile, Machine::Host));
    plan.mounts.clear();
    // The program has tests of its own, and differs with the architecture.
    assert!(plan.system_call_filter.take().unwrap().program.len() > 1000);
    insta::assert_json_snapshot!(plan);
}

proptest::proptest! {
    #[test]
    fn a_mount_never_comes_before_one_that_would_cover_it(
        paths in proptest::collection::vec("(/(a|b|c)){1,4}", 0..8),
        closed in proptest::collection::vec("(/(a|b|c)){1,4}", 0..4),
    ) {
        let closed: Vec<_> = closed.into_iter().filter(|path| !paths.contains(path)).collect();
        let profile = resolve(json!({"sandbox": {"read_write_paths": paths, "inaccessible_paths": closed}}));
        let mounts = plan(&profile, &input(&profile, Machine::Host)).mounts;
        let targets: Vec<&Path> = mounts
            .iter()
            .filter_map(|mount| match mount {
                Mount::Bind { target, .. } | Mount::Inaccessible { target } | Mount::Tmpfs { target, .. } => Some(target.as_path()),
                _ => None,
            })
            .filter(|target| ["/a", "/b", "/c"].iter().any(|own| target.starts_with(own)))
            .collect();
        for (at, earlier) in targets.iter().enumerate() {
            for later in &targets[at + 1..] {
                proptest::prop_assert!(later == earlier || !earlier.starts_with(later), "{earlier:?} before {later:?}");
            }
        }
    }
}

/// What `rest` asks for beyond its profile, one line each.
fn beyond(profiles: &Profiles, rest: Value) -> Vec<String> {
    let manifest = manifest(rest);
    let excess = profiles.named(&manifest).unwrap().beyond(&manifest).unwrap();
    excess.into_iter().map(|each| format!("{} {} ({})", each.key, each.asked, each.allowed)).collect()
}

#[test]
fn what_tightens_a_profile_or_stays_within_its_allow_is_no_excess() {
    let profiles = profiles();
    let within = [
        json!({}),
        json!({"sandbox": {"profile": "network", "private_network": true, "protect_home": true, "memory_max": "2G"}}),
        json!({"sandbox": {"runtime_max_sec": 3600, "tasks_max": 16, "cpu_quota": 50, "limit_fsize": "1M"}}),
        json!({"sandbox": {"dynamic_user": true, "system_call_filter": ["~@network-io"], "memory_deny_write_execute": true}}),
        json!({"sandbox": {"restrict_address_families": ["~AF_INET", "~AF_INET6"], "connect_tcp_ports": [443]}}),
        json!({"sandbox": {"inaccessible_paths": ["/srv/other"], "restrict_address_families": ["AF_UNIX"]}}),
        json!({"sandbox": {"profile": "strict", "memory_deny_write_execute": false}}),
    ];
    for rest in within {
        assert_eq!(beyond(&profiles, rest.clone()), [] as [String; 0], "{rest}");
    }
}

#[test]
fn what_goes_beyond_a_profile_is_told_with_what_would_be_allowed() {
    let (_folder, profiles) = local(&[(
        "tight.json",
        r#"{"extends": "strict", "allow": {"read_write_paths": ["/srv/", "~/srv/secret"], "services": ["a.service"],
            "user": ["media"], "capability_bounding_set": ["CAP_CHOWN"], "system_call_filter": ["@chown"],
            "restrict_address_families": ["AF_INET"], "private_network": false, "cpu_quota": "150%"}}"#,
    )]);
    let asks = [
        json!({"sandbox": {"profile": "tight", "read_write_paths": ["/srv/app", "/srv/secret/a", "/srv/", "/opt/app"]}}),
        json!({"configuration": {"backup_paths": ["/opt/app", "/etc/shadow", "/etc/ssl/private/app.key"]},
            "sandbox": {"profile": "tight"}}),
        json!({"sandbox": {"profile": "tight", "read_only_paths": ["/etc/ssl/private"], "volatile_paths": ["/var/cache/a"]}}),
        json!({"sandbox": {"profile": "tight", "user": "media", "services": ["a.service", "b.service"]}}),
        json!({"sandbox": {"profile": "tight", "dynamic_user": false, "capability_bounding_set": ["CAP_CHOWN", "CAP_KILL"]}}),
        json!({"sandbox": {"profile": "tight", "system_call_filter": ["@chown", "ptrace"],
            "restrict_address_families": ["AF_INET", "AF_PACKET"]}}),
        json!({"sandbox": {"profile": "tight", "private_network": false, "protect_home": false, "memory_max": "3G"}}),
        json!({"sandbox": {"connect_tcp_ports": [80], "tasks_max": 5000, "restrict_namespaces": false, "protect_proc": "default"}}),
        json!({"configuration": {"backup_paths": ["/etc/cron.d/app", "/etc/", "/etc/app/"]}}),
    ];
    let told: Vec<_> = asks.into_iter().map(|rest| beyond(&profiles, rest).join("\n")).collect();
    insta::assert_snapshot!(told.join("\n--\n"));
}

#[test]
fn each_setting_knows_which_layer_decided_it() {
    let (folder, profiles) = local(&[(
        "mine.json",
        r#"{"extends": "network", "memory_max": "3G", "inaccessible_paths": ["/srv/mine"], "system_call_filter": ["~@ipc"]}"#,
    )]);
    let profile = profiles
        .resolve(&manifest(json!({"configuration": {"backup_paths": ["/srv/app"]},
            "sandbox": {"profile": "mine", "tasks_max": 9}})))
        .unwrap();
    let of = |name: &str, folder: &Path| Origin::Profile {
        profile: name.parse().unwrap(),
        file: folder.join(format!("{name}.json")),
    };
    let field = |field: &str| Origin::Manifest { field: field.to_owned() };
    let p = &profile.provenance;
    assert_eq!(*p.of("memory_max"), of("mine", folder.path()));
    assert_eq!(*p.of("private_network"), of("network", &shipped()));
    assert_eq!(*p.of("umask"), of("strict", &shipped()));
    assert_eq!(*p.of("cpu_quota"), Origin::BuiltIn);
    assert_eq!(*p.of("tasks_max"), field("sandbox.tasks_max"));
    assert_eq!(*p.of_item("inaccessible_paths", "/srv/mine"), of("mine", folder.path()));
    assert_eq!(*p.of_item("inaccessible_paths", "/etc/shadow"), of("strict", &shipped()));
    assert_eq!(*p.of_item("read_write_paths", "/srv/app"), field("configuration.backup_paths"));
    assert_eq!(*p.of_item("system_call_filter", "~@ipc"), of("mine", folder.path()));
}

#[test]
fn what_holds_where_nothing_is_said_is_what_strict_spells_out() {
    let (_folder, profiles) = local(&[("bare.json", "{}")]);
    let (bare, strict) =
        (profiles.get(&"bare".parse().unwrap()).unwrap(), profiles.get(&"strict".parse().unwrap()).unwrap());
    // A profile that extends nothing hides no paths and excuses nothing.
    assert_eq!(bare.loosened_against(&strict), ["inaccessible_paths"]);
    assert_eq!(strict.loosened_against(&bare), ["best_effort"]);
}

#[test]
fn the_second_wall_is_open_where_the_first_is() {
    let rules = |rest: Value, adjust: fn(&mut PlanInput)| {
        let profile = resolve(rest);
        let mut input = input(&profile, Machine::Host);
        adjust(&mut input);
        plan(&profile, &input).landlock.unwrap()
    };
    let writable = |rules: &updates_protocol::LandlockRules| -> Vec<String> {
        let open = rules.paths.iter().filter(|rule| rule.access >= updates_protocol::LandlockAccess::Write);
        open.map(|rule| rule.path.display().to_string()).collect()
    };
    let own = ["/dev/shm", "/run", "/tmp", "/var/lib/updates/state/unbound", "/var/tmp"];
    let declared = rules(unbound(), |_| {});
    let with_declared =
        ["/dev/shm", "/etc/unbound", "/run", "/tmp", "/var/lib/unbound", "/var/lib/updates/state/unbound", "/var/tmp"];
    assert_eq!(writable(&declared), with_declared);
    assert_eq!(writable(&rules(unbound(), |input| input.check = true)), ["/dev/shm", "/run", "/tmp", "/var/tmp"]);
    assert_eq!(writable(&rules(json!({"sandbox": {"tmp_size": "64K"}}), |_| {})), own);
    assert!(declared.scope_abstract_unix_socket && declared.scope_signal);
    assert!(!rules(json!({"sandbox": {"profile": "legacy"}}), |_| {}).scope_abstract_unix_socket);
    let ports = rules(json!({"sandbox": {"profile": "network", "connect_tcp_ports": [443]}}), |_| {});
    assert_eq!((ports.connect_tcp, ports.bind_tcp), (Some(vec![443]), None));
}
