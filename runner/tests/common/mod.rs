//! Drives the real runner as a supervisor would, with modules that are files in a temporary folder.
#![allow(dead_code)] // each test file uses its own part

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nix::libc;
use serde_json::{Map, Value, json};
use updates_protocol::{
    Access, CancelReason, Enforcement, Entry, Exit, Invocation, Level, LogSource, ModuleInvocation, Mount, PROTOCOL,
    Phase, ProtectProc, Reply, RunnerMessage, SandboxPlan, SetupFailure, SupervisorMessage, TracedCall, Usage,
    parse_runner_line,
};

/// A module in a folder of its own, and the invocation that runs it.
pub struct Module {
    pub folder: tempfile::TempDir,
    pub invocation: Invocation,
}

impl Module {
    /// An executable with this content.
    pub fn executable(content: &str) -> Self {
        let module = Self::new("index", content);
        fs::set_permissions(module.folder.path().join("code/index"), fs::Permissions::from_mode(0o755)).unwrap();
        module
    }

    /// A shell script.
    pub fn shell(script: &str) -> Self {
        Self::executable(&format!("#!/bin/sh\n{script}\n"))
    }

    /// A Python file, hosted by a host that sends `main(args)` as the result and offers the channel as `channel`.
    pub fn python(code: &str) -> Self {
        let mut module = Self::new("index.py", code);
        let sdk = module.folder.path().join("sdk");
        fs::create_dir(&sdk).unwrap();
        fs::write(sdk.join("host.py"), HOST).unwrap();
        module.invocation.sandbox.mounts.push(Mount::Bind {
            source: sdk,
            target: "/run/updates/sdk".into(),
            access: Access::ReadOnly,
        });
        module.invocation.entry = Entry::Python {
            interpreter: "/usr/bin/python3".into(),
            sdk: "/run/updates/sdk".into(),
            file: module.folder.path().join("code/index.py"),
        };
        module
    }

    fn new(entry: &str, content: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A supervisor without root has to get here too.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (code, state) = (folder.path().join("code"), folder.path().join("state"));
        fs::create_dir(&code).unwrap();
        fs::create_dir(&state).unwrap();
        fs::set_permissions(&state, fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(code.join(entry), content).unwrap();
        let mut mounts = machine();
        mounts.push(Mount::Bind { source: code.clone(), target: code.clone(), access: Access::ReadOnly });
        mounts.push(Mount::Bind { source: state.clone(), target: state.clone(), access: Access::ReadWrite });
        let invocation = Invocation {
            module: ModuleInvocation {
                protocol: PROTOCOL,
                module: "sample".parse().unwrap(),
                run_id: serde_json::from_value(json!("20241208T103015Z-0001")).unwrap(),
                attempt: 1,
                phase: Phase::Main,
                check: false,
                arguments: vec![],
                directory: code.clone(),
                state_directory: state.clone(),
                manifest: Map::from_iter([("metadata".to_owned(), json!({"schema_version": "1"}))]),
            },
            entry: Entry::Executable { file: code.join(entry) },
            environment: BTreeMap::from([
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("STATE_DIRECTORY".to_owned(), state.display().to_string()),
            ]),
            sandbox: SandboxPlan {
                identity: None,
                mounts,
                private_network: false,
                network_namespace: None,
                hostname: "sandboxed".to_owned(),
                capability_bounding_set: vec!["CAP_CHOWN".to_owned()],
                landlock: None,
                system_call_filter: None,
                limits: vec![],
                cgroup_procs: vec![],
                umask: 0o027,
                working_directory: code,
                best_effort: BTreeSet::new(),
                trace: false,
            },
            turn: None,
        };
        Self { folder, invocation }
    }

    pub fn plan(&mut self) -> &mut SandboxPlan {
        &mut self.invocation.sandbox
    }

    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Runs it to its end, answering requests with an error.
    pub fn run(&self) -> Run {
        self.start().finish()
    }

    pub fn start(&self) -> Live {
        self.start_with(&mut runner())
    }

    pub fn start_with(&self, command: &mut Command) -> Live {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut live = Live { input: child.stdin.take(), output, child };
        assert!(matches!(live.next(), Some(RunnerMessage::Hello { .. })));
        let invocation = Box::new(self.invocation.clone());
        live.send(&SupervisorMessage::Start { protocol: PROTOCOL, invocation });
        live
    }
}

/// The runner that cargo built, or the one that `RUNNER` names: a static one is built apart and tested the same way.
pub fn runner() -> Command {
    let built = env!("CARGO_BIN_EXE_updates-runner");
    Command::new(std::env::var_os("RUNNER").unwrap_or(built.into()))
}

/// This machine, read-only, with memory where programs expect to write.
pub fn machine() -> Vec<Mount> {
    let mut mounts = vec![];
    for name in ["bin", "sbin", "lib", "lib32", "lib64", "usr", "etc", "var", "opt", "srv"] {
        let target = Path::new("/").join(name);
        match fs::symlink_metadata(&target) {
            Ok(status) if status.is_symlink() => {
                mounts.push(Mount::Symlink { content: fs::read_link(&target).unwrap(), target });
            }
            Ok(_) => mounts.push(Mount::Bind { source: target.clone(), target, access: Access::ReadOnly }),
            Err(_) => {}
        }
    }
    mounts.push(Mount::Tmpfs { target: "/tmp".into(), size: 16 << 20, mode: 0o1777 });
    mounts.push(Mount::Tmpfs { target: "/run".into(), size: 1 << 20, mode: 0o755 });
    mounts.extend([Mount::Proc { protect: ProtectProc::Default }, Mount::Dev]);
    mounts
}

/// A process in a network namespace of its own, which lives until it is dropped.
pub struct Elsewhere(Child);

impl Elsewhere {
    pub fn new() -> Self {
        let mut command = Command::new("unshare");
        command.args(["-n", "sh", "-c", "echo ready; read -r _"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Self(child)
    }

    /// Its network namespace, for a plan.
    pub fn file(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

/// A runner at work.
pub struct Live {
    pub child: Child,
    pub input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Live {
    pub fn send(&mut self, message: &SupervisorMessage) {
        let mut line = serde_json::to_vec(message).unwrap();
        line.push(b'\n');
        self.input.as_mut().unwrap().write_all(&line).unwrap();
    }

    pub fn cancel(&mut self, grace_ms: u64) {
        self.send(&SupervisorMessage::Cancel { reason: CancelReason::Deadline, grace_ms });
    }

    /// The next message; none at the end.
    pub fn next(&mut self) -> Option<RunnerMessage> {
        let mut line = Vec::new();
        self.output.read_until(b'\n', &mut line).unwrap();
        if line.is_empty() {
            return None;
        }
        assert!(line.len() <= if line.starts_with(b"{\"type\":\"result\"") { 1 << 21 } else { 64 << 10 } + 1);
        Some(parse_runner_line(&line).unwrap().unwrap())
    }

    /// Waits until the module has logged `text`.
    pub fn wait_for(&mut self, text: &str) {
        loop {
            match self.next() {
                Some(RunnerMessage::Log { message, .. }) if message == text => return,
                Some(RunnerMessage::Sandbox { failure: Some(failure), .. }) => panic!("{failure}"),
                Some(_) => {}
                None => panic!("the runner ended before it said {text:?}"),
            }
        }
    }

    pub fn finish(mut self) -> Run {
        let mut run = Run::default();
        while let Some(message) = self.next() {
            match message {
                RunnerMessage::Sandbox { enforcement, failure } => {
                    run.enforcement = Some(enforcement);
                    run.failure = failure;
                }
                RunnerMessage::Log { level, message, source, .. } => run.log.push((level, source, message)),
                RunnerMessage::Access(call) => run.traced.push(call),
                RunnerMessage::Progress { step, .. } => run.progress.push(step),
                RunnerMessage::Request { id, operation, .. } => {
                    run.requests.push(operation);
                    let error = Some("not granted".to_owned());
                    self.send(&SupervisorMessage::Reply(Reply { id, ok: None, error }));
                }
                RunnerMessage::Result { value, usage, exit, garbled, .. } => {
                    assert!(run.exit.is_none(), "two results");
                    (run.value, run.usage, run.exit, run.garbled) = (value, usage, Some(exit), garbled);
                }
                RunnerMessage::Hello { .. } => panic!("a second hello"),
            }
        }
        run.code = self.child.wait().unwrap().code();
        run
    }
}

/// All that a runner said.
#[derive(Debug, Default)]
pub struct Run {
    pub enforcement: Option<Enforcement>,
    pub failure: Option<SetupFailure>,
    pub log: Vec<(Level, LogSource, String)>,
    pub progress: Vec<String>,
    pub requests: Vec<String>,
    pub traced: Vec<TracedCall>,
    pub value: Option<Value>,
    pub usage: Usage,
    pub exit: Option<Exit>,
    pub garbled: Option<String>,
    pub code: Option<i32>,
}

impl Run {
    /// The lines of standard output.
    pub fn stdout(&self) -> Vec<&str> {
        self.of(LogSource::Stdout)
    }

    pub fn of(&self, source: LogSource) -> Vec<&str> {
        self.log.iter().filter(|(_, from, _)| *from == source).map(|(_, _, text)| text.as_str()).collect()
    }

    /// The module ran and ended with code 0.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.failure, None);
        assert_eq!(self.exit, Some(Exit::Code(0)), "{self:?}");
        assert_eq!(self.code, Some(0));
        self
    }

    /// What enforces the restriction `name`.
    pub fn enforced(&self, name: &str) -> Option<&str> {
        self.restriction(name, true)
    }

    /// Why the restriction `name` is not enforced.
    pub fn missing(&self, name: &str) -> Option<&str> {
        self.restriction(name, false)
    }

    fn restriction(&self, name: &str, enforced: bool) -> Option<&str> {
        let mut restrictions = self.enforcement.as_ref()?.restrictions.iter();
        restrictions.find(|each| each.name == name && each.enforced == enforced).map(|each| each.by.as_str())
    }

    /// The set-up failed in this step; why.
    #[track_caller]
    pub fn failed_in(&self, step: &str) -> &str {
        let failure = self.failure.as_ref().unwrap_or_else(|| panic!("{self:?}"));
        assert_eq!(failure.step, step, "{failure}");
        assert_eq!(self.exit, None);
        &failure.reason
    }
}

/// A program for seccomp(2) that answers the system calls of `rules` with their action and all others with `default`,
/// as a plan carries it.
pub fn filter(rules: &[(libc::c_long, u32)], default: u32) -> String {
    let architecture = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    let (load, equal, give) = (0x20, 0x15, 0x06);
    let mut program = vec![(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, 0x8000_0000), (load, 0, 0, 0)];
    for (number, action) in rules {
        program.extend([(equal, 0, 1, *number as u32), (give, 0, 0, *action)]);
    }
    program.push((give, 0, 0, default));
    let bytes = program.into_iter().flat_map(|(code, jt, jf, k): (u16, u8, u8, u32)| {
        let ([c0, c1], [k0, k1, k2, k3]) = (code.to_ne_bytes(), k.to_ne_bytes());
        [c0, c1, jt, jf, k0, k1, k2, k3]
    });
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// What a filter answers when the system call is to go through.
pub const ALLOW: u32 = 0x7fff_0000;

/// What a filter answers when the system call is to fail with `errno`.
pub fn fail_with(errno: libc::c_int) -> u32 {
    0x0005_0000 | errno as u32
}

/// The runner on a kernel where the system call `number` fails with `errno`.
pub fn runner_without(number: libc::c_long, errno: libc::c_int) -> Command {
    let mut command = Command::new("python3");
    let program = filter(&[(number, fail_with(errno))], ALLOW);
    command.args(["-I", "-S", "-c", RESTRICTED, &program]).arg(runner().get_program());
    command
}

const RESTRICTED: &str = r#"
import ctypes, os, sys
program = bytes.fromhex(sys.argv[1])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, ctypes.byref(Program(len(program) // 8, program)), 0, 0) == 0
os.execv(sys.argv[2], sys.argv[2:])
"#;

const HOST: &str = r#"
import json, os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1])).makefile("rw")
def say(**message):
    channel.write(json.dumps(message) + "\n"); channel.flush()
def ask(id, operation, **arguments):
    say(type="request", id=id, operation=operation, arguments=arguments)
    return json.loads(channel.readline())
names = {"say": say, "ask": ask, "channel": channel, "kind": sys.argv[2]}
exec(open(sys.argv[3]).read(), names)
say(type="result", value=names["main"](sys.argv[4:]))
"#;
