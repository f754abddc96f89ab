//! What holds inside: each test looks from within, as a module would, and compares with what the runner reported.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::{Module, runner};
use updates_protocol::{Access, Exit, Limit, Mount, Resource};

/// Prints what each command did or why it failed, one line each.
fn look(commands: &str) -> Module {
    Module::shell(&format!("exec 2>&1\n{commands}"))
}

fn bind(source: &Path, target: &Path, access: Access) -> Mount {
    Mount::Bind { source: source.to_owned(), target: target.to_owned(), access }
}

#[test]
fn the_machine_is_read_only_and_declared_paths_are_not() {
    let module = look(
        r#"for path in / /usr /etc /dev /run/none /proc/sys/kernel; do
             ( : >$path/x ) 2>/dev/null && echo "open $path"; done
           echo new >"$STATE_DIRECTORY/file"; cat "$STATE_DIRECTORY/file"; : >/etc/x"#,
    );
    let run = module.run();
    assert_eq!(run.stdout()[0], "new");
    assert!(run.stdout()[1].contains("Read-only file system"), "{:?}", run.stdout());
    assert_eq!(fs::read_to_string(module.state().join("file")).unwrap(), "new\n");
    assert!(!Path::new("/etc/x").exists());
}

#[test]
fn submounts_and_root_are_as_read_only_as_what_is_above_them() {
    let run = look(
        r#"while read -r _ _ _ _ path options _; do
             case $options in ro,*) ;; *) echo "$path";; esac; done </proc/self/mountinfo"#,
    )
    .run()
    .succeeded();
    let mut writable = run.stdout();
    writable.retain(|path| !path.starts_with("/tmp/."));
    writable.sort_unstable();
    // Where a device had to be bound, its own mount is writable, as the device has to be.
    writable.retain(|path| !path.starts_with("/dev/") || path.ends_with("shm") || path.ends_with("pts"));
    assert_eq!(writable, ["/dev/pts", "/dev/shm", "/run", "/tmp"]);
}

#[test]
fn nothing_can_be_mounted_or_unmounted_or_made_a_device() {
    let run = Module::executable(
        r#"#!/usr/bin/python3
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, *arguments):
    ctypes.set_errno(0)
    print(name, "OPEN" if getattr(libc, name)(*arguments) >= 0 else errno.errorcode[ctypes.get_errno()])
def raw(name, number, *arguments):
    ctypes.set_errno(0)
    print(name, "OPEN" if libc.syscall(number, *arguments) >= 0 else errno.errorcode[ctypes.get_errno()])
attempt("mount", b"none", b"/usr", None, 32 | 4096, None)
attempt("mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("umount2", b"/tmp", 2)
attempt("chroot", b"/tmp")
raw("pivot_root", 155, b"/tmp", b"/tmp")
raw("open_tree", 428, -100, b"/usr", 1)
raw("fsopen", 430, b"tmpfs", 0)
raw("mount_setattr", 442, -100, b"/usr", 0, b"\0" * 32, 32)
attempt("sethostname", b"x", 1)
attempt("setns", os.open("/proc/self/ns/mnt", os.O_RDONLY), 0)
raw("mknod", 133, b"/tmp/disk", 0o60600, 0x0801)
attempt("open", b"/proc/1/mem", 2)
attempt("open", b"/proc/1/root/etc", 0)
attempt("open", b"/proc/1/exe", 1)
"#,
    )
    .run()
    .succeeded();
    assert!(run.stdout().len() == 14 && !run.stdout().iter().any(|line| line.contains("OPEN")), "{:?}", run.stdout());
}

#[test]
fn tmp_is_private_and_bounded() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    let module = look(&format!(
        "ls -A /tmp | wc -l; test -e {} && echo seen; stat -c %a /tmp; head -c 20000000 /dev/zero >/tmp/big",
        outside.path().display()
    ));
    let run = module.run();
    // The module's own folder was bound below it.
    assert_eq!(run.stdout()[..2], ["1", "1777"]);
    assert!(run.stdout()[2].contains("No space left"), "{:?}", run.stdout());
}

#[test]
fn hidden_paths_show_nothing_even_to_user_zero() {
    let mut module = look("cat /etc/passwd; ls /usr/share; cat /proc/keys; cat /etc/missing");
    for target in ["/etc/passwd", "/usr/share", "/etc/missing/deeper"] {
        module.plan().mounts.push(Mount::Inaccessible { target: target.into() });
    }
    let run = module.run();
    assert!(run.stdout()[0].contains("Permission denied"), "{:?}", run.stdout());
    assert!(run.stdout()[1].contains("Permission denied"), "{:?}", run.stdout());
    // A kernel may lack it altogether.
    assert!(run.stdout()[2].starts_with("cat: /proc/keys: "), "{:?}", run.stdout());
}

#[test]
fn files_directories_and_links_of_the_plan_appear() {
    let mut module = look("cat /etc/hostname /run/a/b; ls -d /run/c/d; readlink /run/link; echo x >/run/a/b; ls -A /");
    module.plan().mounts.extend([
        Mount::File { target: "/etc/hostname".into(), content: "planned\n".into() },
        Mount::File { target: "/run/a/b".into(), content: "made\n".into() },
        Mount::Directory { target: "/run/c/d".into() },
        Mount::Symlink { content: "a/b".into(), target: "/run/link".into() },
    ]);
    let run = module.run().succeeded();
    assert_eq!(run.stdout()[..4], ["planned", "made", "/run/c/d", "a/b"]);
    assert!(run.stdout()[4].contains("Read-only"), "{:?}", run.stdout());
    assert!(!run.stdout().contains(&".scratch"));
}

#[test]
fn layers_are_seen_as_one_and_read_only() {
    let mut module = look("cat /srv/both/name /srv/both/upper /srv/both/lower; : >/srv/both/new");
    let folder = module.folder.path().to_owned();
    let layers = ["upper", "lower"].map(|name| folder.join(name));
    for layer in &layers {
        let name = layer.file_name().unwrap();
        fs::create_dir(layer).unwrap();
        fs::write(layer.join("name"), format!("{}\n", name.display())).unwrap();
        fs::write(layer.join(name), format!("only {}\n", name.display())).unwrap();
    }
    let mounts = &mut module.plan().mounts;
    mounts.retain(|mount| !matches!(mount, Mount::Bind { target, .. } if target == Path::new("/srv")));
    mounts.push(Mount::Overlay { layers: layers.to_vec(), work: None, target: "/srv/both".into() });
    let run = module.run();
    assert_eq!(run.stdout()[..3], ["upper", "only upper", "only lower"], "{run:?}");
    assert!(run.stdout()[3].contains("Read-only"));
}

#[test]
fn what_is_written_to_layers_lands_in_the_first() {
    let mut module = look("echo more >>/srv/both/lower; rm /srv/both/gone; echo new >/srv/both/new; ls /srv/both");
    let folder = module.folder.path().to_owned();
    let [upper, lower, work] = ["upper", "lower", "work"].map(|name| folder.join(name));
    for each in [&upper, &lower, &work] {
        fs::create_dir(each).unwrap();
    }
    fs::write(lower.join("lower"), "below\n").unwrap();
    fs::write(lower.join("gone"), "").unwrap();
    let mounts = &mut module.plan().mounts;
    mounts.retain(|mount| !matches!(mount, Mount::Bind { target, .. } if target == Path::new("/srv")));
    mounts.push(Mount::Overlay {
        layers: vec![upper.clone(), lower.clone()],
        work: Some(work),
        target: "/srv/both".into(),
    });
    let run = module.run().succeeded();
    assert_eq!(run.stdout(), ["lower", "new"]);
    assert_eq!(fs::read_to_string(upper.join("lower")).unwrap(), "below\nmore\n");
    assert_eq!(fs::read_to_string(lower.join("lower")).unwrap(), "below\n");
    assert!(upper.join("new").exists() && lower.join("gone").exists());
}

#[test]
fn a_writable_path_that_is_reached_through_a_link_is_refused() {
    for planted in ["source", "parent", "target"] {
        let mut module = look("echo ran");
        let folder = module.folder.path().to_owned();
        fs::create_dir_all(folder.join("real/inner")).unwrap();
        symlink(folder.join("real"), folder.join("link")).unwrap();
        let mount = match planted {
            "source" => bind(&folder.join("link"), Path::new("/run/data"), Access::ReadWrite),
            "parent" => bind(&folder.join("link/inner"), Path::new("/run/data"), Access::ReadWrite),
            // A link that the module left in its own state leads to the machine's /etc.
            _ => {
                symlink("/etc", module.state().join("escape")).unwrap();
                bind(&folder.join("real"), &module.state().join("escape"), Access::ReadWrite)
            }
        };
        module.plan().mounts.push(mount);
        let run = module.run();
        assert!(run.failed_in("mounts").contains("symbolic link"), "{run:?}");
        assert!(run.log.is_empty());
    }
}

#[test]
fn a_read_only_path_follows_links_of_the_machine_but_none_that_the_module_made() {
    for planted in [false, true] {
        for (source, link_in_source) in [("link", true), ("link/inner", true), ("chain", true), ("target", false)] {
            let mut module = look("cat /run/data/secret");
            let folder = module.folder.path().to_owned();
            let (state, hidden) = (module.state(), folder.join("hidden"));
            fs::create_dir_all(hidden.join("inner")).unwrap();
            fs::write(hidden.join("secret"), "seen\n").unwrap();
            fs::write(hidden.join("inner/secret"), "seen\n").unwrap();
            let home = if planted { state.clone() } else { folder.join("machine") };
            fs::create_dir_all(home.join("deep")).unwrap();
            symlink("../hidden", home.join("link")).unwrap();
            symlink("deep/../../state/../hidden", home.join("chain")).unwrap();
            symlink("/run/data", home.join("target")).unwrap();
            let (mount, kept) = if link_in_source {
                (bind(&home.join(source), Path::new("/run/data"), Access::ReadOnly), None)
            } else {
                let seen = Mount::Bind { source: home.clone(), target: home.clone(), access: Access::ReadOnly };
                let place = Mount::Directory { target: "/run/data".into() };
                (bind(&hidden, &home.join("target"), Access::ReadOnly), Some([seen, place]))
            };
            match kept {
                Some([_, place]) if planted => module.plan().mounts.push(place),
                Some(both) => module.plan().mounts.extend(both),
                None => {}
            }
            module.plan().mounts.push(mount);
            let run = module.run();
            if planted {
                assert!(run.failed_in("mounts").contains("symbolic link"), "{source} {run:?}");
            } else {
                assert_eq!(run.succeeded().stdout(), ["seen"], "{source}");
            }
        }
    }
}

#[test]
fn what_is_closed_below_a_writable_directory_can_not_be_moved_aside() {
    let mut module = look(
        r#"cd "$STATE_DIRECTORY"; mv a x; mv a/b a/y; rm -f a/b/secret; mv p x; rmdir p/q/shown; mv t x
           cat a/b/secret p/q/shown/file; mkdir a/b/new && mv a/b/new a/b/newer && echo still writable"#,
    );
    let state = module.state();
    fs::create_dir_all(state.join("a/b")).unwrap();
    fs::create_dir_all(state.join("p/q/shown")).unwrap();
    fs::create_dir_all(state.join("t/covered")).unwrap();
    fs::write(state.join("a/b/secret"), "seen\n").unwrap();
    fs::write(module.folder.path().join("code/file"), "read\n").unwrap();
    let code = module.folder.path().join("code");
    module.plan().mounts.extend([
        Mount::Inaccessible { target: state.join("a/b/secret") },
        Mount::Inaccessible { target: state.join("a/b/missing/deeper") },
        Mount::Tmpfs { target: state.join("t/covered"), size: 1 << 20, mode: 0o711 },
        bind(&code, &state.join("p/q/shown"), Access::ReadOnly),
    ]);
    let run = module.run().succeeded();
    let lines = run.stdout();
    assert!(lines[..6].iter().all(|line| line.contains("busy")), "{lines:?}");
    assert!(lines[6].contains("Permission denied"), "{lines:?}");
    assert_eq!(lines[7..], ["read", "still writable"]);
    assert_eq!(fs::read_to_string(state.join("a/b/secret")).unwrap(), "seen\n");
}

#[test]
fn nothing_is_made_on_the_machine() {
    let mut module = look("echo ran");
    let state = module.state();
    for (target, source) in [("/etc/not-there/x".into(), state.clone()), (state.join("made"), state.clone())] {
        let mount = bind(&source, &target, Access::ReadOnly);
        module.plan().mounts.push(mount);
        let run = module.run();
        assert!(run.failed_in("mounts").contains(target.to_str().unwrap()), "{run:?}");
        module.plan().mounts.pop();
    }
    assert!(!state.join("made").exists());
    assert_eq!(run_with(&mut module, Mount::Tmpfs { target: "/srv/../x".into(), size: 1, mode: 0 }), "plan");
    assert_eq!(run_with(&mut module, Mount::Directory { target: "/".into() }), "plan");
    assert_eq!(run_with(&mut module, bind(Path::new("/"), Path::new("/run/x"), Access::ReadOnly)), "plan");
    assert_eq!(run_with(&mut module, bind(Path::new("/no/such"), Path::new("/run/x"), Access::ReadOnly)), "mounts");
}

fn run_with(module: &mut Module, mount: Mount) -> String {
    module.plan().mounts.push(mount);
    let run = module.run();
    module.plan().mounts.pop();
    run.failure.map(|failure| failure.step).unwrap_or_default()
}

#[test]
fn capabilities_and_new_privileges_are_gone() {
    let module = look("grep -E '^(Cap|NoNewPrivs)' /proc/self/status");
    let run = module.run().succeeded();
    let chown = "0000000000000001";
    let none = "0000000000000000";
    let expected = [("CapInh", none), ("CapPrm", chown), ("CapEff", chown), ("CapBnd", chown), ("CapAmb", none)]
        .map(|(name, value)| format!("{name}:\t{value}"));
    assert_eq!(run.stdout()[..5], expected);
    assert_eq!(run.stdout()[5], "NoNewPrivs:\t1");
    let enforcement = run.enforcement.unwrap();
    let of = |name| enforcement.restrictions.iter().find(|r| r.name == name && r.enforced).map(|r| r.by.as_str());
    assert_eq!(of("capabilities"), Some("CAP_CHOWN"));
    for name in ["pid_namespace", "mount_namespace", "read_only_machine", "private_tmp", "no_new_privs", "descriptors"]
    {
        assert!(of(name).is_some(), "{name}: {enforcement:?}");
    }
    assert_eq!(of("private_network"), None);
}

#[test]
fn an_unknown_capability_and_a_bad_host_name_are_refused() {
    let mut module = look("echo ran");
    module.plan().capability_bounding_set = vec!["CAP_EVERYTHING".into()];
    assert!(module.run().failed_in("plan").contains("CAP_EVERYTHING"));
    module.plan().capability_bounding_set.clear();
    module.plan().hostname = "x".repeat(65);
    assert!(module.run().failed_in("plan").contains("1 to 64"));
}

#[test]
fn the_module_sees_itself_alone() {
    let run = look("hostname; echo $$; ls /proc | grep -c '^[0-9]'; umask; pwd; ps -o sid= -p $$ | tr -d ' '").run();
    // Init, the shell, ls and grep.
    assert_eq!(run.stdout()[..4], ["sandboxed", "2", "4", "0027"]);
    assert!(run.stdout()[4].ends_with("/code"));
    assert_eq!(run.stdout()[5], "2");
}

#[test]
fn the_environment_is_what_was_given() {
    let mut module = Module::executable("#!/usr/bin/python3\nimport os; print(sorted(os.environ))\n");
    module.invocation.environment.insert("LANG".into(), "C.UTF-8".into());
    let mut command = runner();
    command.env("LD_PRELOAD", "").env("PYTHONPATH", "/x").env("SECRET", "1");
    let run = module.start_with(&mut command).finish().succeeded();
    assert_eq!(run.stdout(), ["['LANG', 'PATH', 'STATE_DIRECTORY']"]);
}

#[test]
fn inherited_descriptors_and_ignored_signals_stay_outside() {
    let module = Module::executable(
        r#"#!/usr/bin/python3 -IS
import posix
print(sorted(map(int, posix.listdir("/proc/self/fd")))[:-1])
print([line.split()[1] for line in open("/proc/self/status") if line.startswith(("SigBlk", "ShdPnd"))])
"#,
    );
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' USR1; exec \"$0\" 3<&0 9<&0"]).arg(runner().get_program());
    let run = module.start_with(&mut command).finish().succeeded();
    assert_eq!(run.stdout(), ["[0, 1, 2, 3]", "['0000000000000000', '0000000000000000']"]);
    let run = look("kill -USR1 $$; echo alive").start_with(&mut command).finish();
    assert_eq!(run.exit, Some(Exit::Signal(10)));
}

#[test]
fn limits_hold() {
    let mut module = look("ulimit -n; ulimit -c; head -c 4000 /dev/zero >/tmp/big; echo $?");
    module.plan().limits = vec![
        Limit { resource: Resource::Nofile, value: 32 },
        Limit { resource: Resource::Core, value: 0 },
        Limit { resource: Resource::Fsize, value: 1000 },
    ];
    let run = module.run();
    assert_eq!(run.stdout()[..2], ["32", "0"]);
    assert!(run.stdout().last().unwrap().starts_with("153"), "{:?}", run.stdout()); // 128 + SIGXFSZ
}

#[test]
fn a_private_network_has_loopback_alone() {
    let mut module = Module::executable(
        r#"#!/usr/bin/python3
import socket
print([line.split(":")[0].strip() for line in open("/proc/net/dev").readlines()[2:]][:1])
server = socket.create_server(("127.0.0.1", 0))
print(bool(socket.create_connection(server.getsockname())))
try: socket.create_connection(("192.0.2.1", 80), 5)
except OSError as error: print(error.errno)
"#,
    );
    module.plan().private_network = true;
    let run = module.run().succeeded();
    assert_eq!(run.stdout(), ["['lo']", "True", "101"]);
}

#[test]
fn a_program_that_cannot_be_executed_says_why() {
    let mut module = Module::executable("#!/no/such/interpreter\n");
    let file = module.folder.path().join("code/index");
    assert!(module.run().failed_in("exec").contains("names /no/such/interpreter, which does not exist"));
    fs::write(&file, "echo no first line\n").unwrap();
    assert!(module.run().failed_in("exec").contains("#!/bin/sh"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(module.run().failed_in("exec").contains("chmod +x"));
    fs::remove_file(&file).unwrap();
    assert!(module.run().failed_in("exec").contains("does not exist in the sandbox"));
    module.plan().working_directory = "/proc/self/fd/3".into();
    assert!(module.run().failed_in("working_directory").contains("/proc/self/fd/3"));
    assert_eq!(module.run().code, Some(71));
}

#[test]
fn a_cgroup_that_is_not_there_is_a_failure() {
    let mut module = look("echo ran");
    module.plan().cgroup_procs = vec!["/sys/fs/cgroup/no-such-group/cgroup.procs".into()];
    assert!(module.run().failed_in("cgroup").contains("no-such-group"));
}

#[test]
fn without_root_a_user_namespace_does_the_same() {
    if !nix::unistd::geteuid().is_root() {
        return; // every other test was one without root
    }
    let module = look("id -u; grep -h ^Cap /proc/self/status; ( : >/etc/x ); echo new >$STATE_DIRECTORY/file; echo ok");
    let mut command = runner();
    command.uid(65534).gid(65534);
    let run = module.start_with(&mut command).finish();
    assert_eq!(run.failure, None);
    assert_eq!(run.stdout()[0], "0");
    assert!(run.stdout().contains(&"CapEff:\t0000000000000001"), "{:?}", run.stdout());
    assert_eq!(run.stdout().last(), Some(&"ok"));
    assert!(run.enforcement.unwrap().restrictions.iter().any(|r| r.name == "user_namespace"));
    assert!(module.state().join("file").exists());
}
