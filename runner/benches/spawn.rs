//! One start of `/bin/true` in the whole sandbox against bubblewrap with everything unshared, in pairs.
//!
//! `RUNNER=target/release/updates-runner cargo bench -p updates-runner` measures a runner that was built apart, as the
//! static one is; without it, the one that cargo built. Prints medians of the time that passed and of the processor
//! time of the whole tree, which is the steadier one on a machine that others use as well.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::Module;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use updates_protocol::{Entry, PROTOCOL, SupervisorMessage};

const PAIRS: usize = 400;

fn main() {
    let program = std::env::var("RUNNER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_updates-runner").to_owned());
    let mut module = Module::shell("");
    module.invocation.entry = Entry::Executable { file: "/bin/true".into() };
    let plain = start_line(&module);
    module.invocation.sandbox.private_network = true;
    let private = start_line(&module);

    let mut samples: [Vec<Sample>; 4] = Default::default();
    for _ in 0..PAIRS {
        samples[0].push(measure(|| run(&program, &private)));
        samples[1].push(measure(bubblewrap));
        samples[2].push(measure(|| run(&program, &plain)));
        samples[3].push(measure(bare));
    }
    let medians = samples.map(Sample::median);
    let names = ["runner, own network", "bubblewrap", "runner, host network", "nothing around it"];
    for (name, Sample { wall, processor }) in names.into_iter().zip(medians) {
        println!(
            "{name:22} {wall:>10.2?} ({:.2} of bubblewrap)   processor {processor:>10.2?} ({:.2})",
            wall.as_secs_f64() / medians[1].wall.as_secs_f64(),
            processor.as_secs_f64() / medians[1].processor.as_secs_f64(),
        );
    }
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

fn bare() {
    assert!(Command::new("/bin/true").status().unwrap().success());
}
