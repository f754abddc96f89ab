//! One start of `/bin/true` in the sandbox of the profile `default`, every wall included, against bubblewrap and nsjail
//! with everything unshared, in turns.
//!
//! `RUNNER=target/release/updates-runner cargo bench -p updates-runner` measures a runner that was built apart, as the
//! static one is; without it, the one that cargo built. Prints medians of the time that passed and of the processor
//! time of the whole tree, which is the steadier one on a machine that others use as well.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{ALLOW, Elsewhere, Module, fail_with, filter};
use nix::libc;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use updates_protocol::{
    Access, Entry, LandlockAccess, LandlockPath, LandlockRules, Limit, Mount, PROTOCOL, ProtectProc, Resource,
    SupervisorMessage, SystemCallFilter,
};

const ROUNDS: usize = 400;

/// A name, and one start.
type Contender<'a> = (&'static str, Box<dyn Fn() + 'a>);

fn main() {
    let program = std::env::var("RUNNER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_updates-runner").to_owned());
    let elsewhere = Elsewhere::new();
    let mut module = Module::shell("");
    module.invocation.entry = Entry::Executable { file: "/bin/true".into() };
    let plain = start_line(&module);
    default_sandbox(&mut module);
    let new_network = start_line(&module);
    module.invocation.sandbox.network_namespace = Some(elsewhere.file());
    let full = start_line(&module);

    let mut contenders: Vec<Contender<'_>> = vec![
        ("bubblewrap", Box::new(bubblewrap)),
        ("runner, default sandbox", Box::new(|| run(&program, &full))),
        ("the same, network made", Box::new(|| run(&program, &new_network))),
        ("runner, files alone", Box::new(|| run(&program, &plain))),
        ("nothing around it", Box::new(bare)),
    ];
    if Command::new("nsjail").arg("--help").output().is_ok() {
        contenders.push(("nsjail", Box::new(nsjail)));
    }
    let mut samples: Vec<Vec<Sample>> = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for _ in 0..ROUNDS {
        for ((_, run), samples) in contenders.iter().zip(&mut samples) {
            samples.push(measure(run));
        }
    }
    let medians: Vec<Sample> = samples.into_iter().map(Sample::median).collect();
    for ((name, _), Sample { wall, processor }) in contenders.iter().zip(&medians) {
        println!(
            "{name:24} {wall:>10.2?} ({:.2} of bubblewrap)   processor {processor:>10.2?} ({:.2})",
            wall.as_secs_f64() / medians[0].wall.as_secs_f64(),
            processor.as_secs_f64() / medians[0].processor.as_secs_f64(),
        );
    }
}

/// The shape that the shipped profile `default` gives a plan on this machine: each directory of the root, the private
/// ones, the paths that are hidden, and every wall.
fn default_sandbox(module: &mut Module) {
    let (code, state) = (module.folder.path().join("code"), module.state());
    let plan = module.plan();
    plan.mounts.clear();
    for entry in fs::read_dir("/").unwrap() {
        let source = entry.unwrap().path();
        let name = source.file_name().unwrap().to_str().unwrap();
        let kind = fs::symlink_metadata(&source).unwrap().file_type();
        match name {
            "proc" | "dev" | "tmp" | "run" | "lost+found" => {}
            "root" | "home" => plan.mounts.push(Mount::Directory { target: source }),
            _ if kind.is_symlink() => {
                plan.mounts.push(Mount::Symlink { content: fs::read_link(&source).unwrap(), target: source });
            }
            _ if kind.is_dir() => plan.mounts.push(bind(&source, Access::ReadOnly)),
            _ => {}
        }
    }
    plan.mounts.push(Mount::Tmpfs { target: "/run".into(), size: 16 << 20, mode: 0o755 });
    plan.mounts.extend([Mount::Proc { protect: ProtectProc::Invisible }, Mount::Dev]);
    for target in ["/tmp", "/var/tmp"] {
        plan.mounts.push(Mount::Tmpfs { target: target.into(), size: 512 << 20, mode: 0o1777 });
    }
    for target in ["/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssl/private", "/var/backups"] {
        plan.mounts.push(Mount::Inaccessible { target: target.into() });
    }
    plan.mounts.push(bind(&code, Access::ReadOnly));
    plan.mounts.push(Mount::File { target: code.join("index"), content: "{}".to_owned() });
    plan.mounts.push(bind(&state, Access::ReadWrite));
    plan.private_network = true;
    plan.capability_bounding_set = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"].map(str::to_owned).to_vec();
    let may = |path: &str, access| LandlockPath { path: path.into(), access };
    let mut paths = vec![may("/", LandlockAccess::Read), may("/dev", LandlockAccess::WriteInPlace)];
    paths.extend(["/dev/shm", "/tmp", "/var/tmp"].map(|path| may(path, LandlockAccess::Write)));
    paths.push(LandlockPath { path: state, access: LandlockAccess::Write });
    plan.landlock = Some(LandlockRules {
        paths,
        bind_tcp: None,
        connect_tcp: None,
        scope_abstract_unix_socket: true,
        scope_signal: true,
    });
    plan.system_call_filter =
        Some(SystemCallFilter { program: tree(), summary: "a tree".to_owned(), settings: Default::default() });
    let limits = [(Resource::Nofile, 1024), (Resource::Fsize, 8 << 30), (Resource::Core, 0)];
    plan.limits = limits.map(|(resource, value)| Limit { resource, value }).to_vec();
}

fn bind(path: &Path, access: Access) -> Mount {
    Mount::Bind { source: path.to_owned(), target: path.to_owned(), access }
}

/// A filter over the system calls of x86-64 with about 250 that go through, in as many ranges as a real one has, as a
/// balanced tree. Elsewhere everything goes through: it is the size that counts.
fn tree() -> String {
    const REFUSED: [std::ops::Range<u32>; 30] = [
        101..102,
        103..104,
        134..135,
        136..137,
        139..140,
        153..157,
        159..160,
        161..162,
        163..170,
        172..186,
        203..204,
        205..206,
        211..213,
        214..216,
        227..228,
        236..238,
        239..240,
        246..247,
        248..251,
        256..257,
        279..280,
        298..299,
        304..306,
        308..309,
        310..314,
        320..322,
        323..324,
        335..424,
        428..434,
        442..460,
    ];
    let mut ranges = vec![(0, ALLOW)];
    for range in REFUSED {
        let refused = if cfg!(target_arch = "x86_64") { fail_with(libc::EPERM) } else { ALLOW };
        ranges.extend([(range.start, refused), (range.end, ALLOW)]);
    }
    let mut program = filter(&[], ALLOW); // its check of the architecture, and a last instruction that is replaced
    program.truncate(program.len() - 16);
    branches(&ranges).into_iter().fold(program, |program, (code, jt, k): (u16, u8, u32)| {
        let bytes = [&code.to_ne_bytes()[..], &[jt, 0], &k.to_ne_bytes()].concat();
        bytes.iter().fold(program, |program, byte| program + &format!("{byte:02x}"))
    })
}

fn branches(ranges: &[(u32, u32)]) -> Vec<(u16, u8, u32)> {
    if let [(_, verdict)] = ranges {
        return vec![(0x06, 0, *verdict)];
    }
    let (left, right) = ranges.split_at(ranges.len() / 2);
    let left = branches(left);
    let greater_or_equal = (0x35, left.len() as u8, right[0].0);
    [vec![greater_or_equal], left, branches(right)].concat()
}

#[derive(Clone, Copy)]
struct Sample {
    wall: Duration,
    processor: Duration,
}

impl Sample {
    fn median(samples: Vec<Sample>) -> Sample {
        let middle = |of: fn(&Sample) -> Duration| {
            let mut times: Vec<Duration> = samples.iter().map(of).collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        Sample { wall: middle(|sample| sample.wall), processor: middle(|sample| sample.processor) }
    }
}

fn measure(run: impl FnOnce()) -> Sample {
    let processor = || {
        let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
        let time = usage.user_time() + usage.system_time();
        Duration::from_micros(time.num_microseconds() as u64)
    };
    let (begin, used) = (Instant::now(), processor());
    run();
    Sample { wall: begin.elapsed(), processor: processor() - used }
}

fn start_line(module: &Module) -> Vec<u8> {
    let invocation = Box::new(module.invocation.clone());
    let mut line = serde_json::to_vec(&SupervisorMessage::Start { protocol: PROTOCOL, invocation }).unwrap();
    line.push(b'\n');
    line
}

fn run(program: &str, start: &[u8]) {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(start).unwrap();
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(String::from_utf8_lossy(&output).contains(r#""exit":{"code":0}"#));
}

fn bubblewrap() {
    let arguments = "--unshare-all --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp /bin/true";
    assert!(Command::new("bwrap").args(arguments.split(' ')).status().unwrap().success());
}

fn nsjail() {
    let arguments = "-Mo -Q -R / -T /tmp -- /bin/true";
    assert!(Command::new("nsjail").args(arguments.split(' ')).status().unwrap().success());
}

fn bare() {
    assert!(Command::new("/bin/true").status().unwrap().success());
}
