//! A SIGKILL at every step of the flip, by strace(1): whichever version is found afterwards works, and nothing is half.

use std::process::Command;

use crate::programs::Artifact;
use crate::scene::Scene;

/// The calls that change anything, or make it durable.
const CALLS: [&str; 12] = [
    "execve",
    "mkdirat",
    "renameat",
    "rename",
    "renameat2",
    "fsync",
    "syncfs",
    "symlink",
    "symlinkat",
    "unlink",
    "write",
    "mkdir",
];

/// Runs `updates run` and kills it when it enters the `index`th of these calls that is about one of the places of
/// self-update. False when there were fewer.
fn killed_at(scene: &Scene, call: &str, index: usize) -> bool {
    let mut strace = Command::new("strace");
    strace.arg("-qq").arg("-o/dev/null");
    for place in [
        "usr/local/lib/updates",
        "usr/local/lib/updates/current",
        "usr/local/lib/updates/current.new",
        "usr/local/lib/updates/versions",
        "usr/local/lib/updates/versions/0.2.0",
        "usr/local/lib/updates/versions/0.2.0/bin/updates",
        "var/lib/updates/self-update",
        "var/lib/updates/self-update/trial",
        "var/lib/updates/self-update/previous",
    ] {
        strace.arg("-P").arg(scene.root.path().join(place));
    }
    strace.arg("-e").arg(format!("trace={call}"));
    strace.arg("-e").arg(format!("inject={call}:signal=KILL:when={index}"));
    strace.arg(env!("CARGO_BIN_EXE_updates")).arg("--root").arg(scene.root.path());
    strace.args(["--quiet", "run", "--source", scene.source.path()]).env("TMPDIR", scene.root.temporary());
    let status = strace.status().expect("strace is installed");
    // strace ends by the signal that ended its program.
    let killed = std::os::unix::process::ExitStatusExt::signal(&status) == Some(9) || status.code() == Some(137);
    assert!(killed || status.success(), "{call} {index}: {status}");
    killed
}

fn at_each_step(call: &str) -> usize {
    let artifact = Artifact::good("0.2.0");
    for index in 1.. {
        let scene = Scene::offering("0.2.0", &artifact);
        if !killed_at(&scene, call, index) {
            return index - 1;
        }
        let what = format!("killed at {call} {index}");
        let version = scene.version();
        assert!(version == "0.2.0" || version == crate::programs::OWN, "{what}: {version}");
        scene.run_well();
        assert_eq!(scene.version(), "0.2.0", "{what}");
        assert!(scene.module_runs() > 0, "{what}");
        scene.assert_tidy(&what);
        assert_eq!(scene.program()["held"].as_array().unwrap().len(), 0, "{what}");
    }
    unreachable!("the loop has no other end")
}

#[test]
fn killed_at_any_step_of_the_flip_the_next_run_works_and_nothing_is_half() {
    let steps: Vec<(&str, usize)> = CALLS.iter().map(|call| (*call, at_each_step(call))).collect();
    // Not one of them may have escaped the filter: the folder, the trial, the link, and the start.
    let of = |call: &str| steps.iter().find(|(name, _)| *name == call).unwrap().1;
    assert!(of("rename") + of("renameat") + of("renameat2") >= 3, "{steps:?}");
    assert!(of("symlink") + of("symlinkat") == 1 && of("fsync") >= 5 && of("write") >= 1, "{steps:?}");
}
