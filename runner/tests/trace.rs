//! What a traced module is seen to try: each test lets a module try something and reads what was told of it.
#![allow(clippy::unwrap_used)] // clippy.toml allows it inside test functions, and helpers are as much of a test

mod common;

use common::{Module, Run};
use updates_protocol::{Exit, TracedCall};

fn traced(mut module: Module) -> Run {
    module.plan().trace = true;
    module.run()
}

fn script(code: &str) -> Module {
    Module::executable(&format!(
        "#!/usr/bin/python3 -IS\nimport errno, os, signal, socket, sys, threading, time\n{code}"
    ))
}

#[track_caller]
fn about<'r>(run: &'r Run, call: &str, path: &str) -> &'r TracedCall {
    let found = run.traced.iter().find(|traced| traced.call == call && traced.path.as_deref() == Some(path));
    found.unwrap_or_else(|| panic!("no {call} of {path} in {:#?}", run.traced))
}

#[test]
fn a_refused_write_is_told_of_with_its_path_and_why() {
    let run = traced(Module::shell("cd /etc; (: >x.conf); exit 0")).succeeded();
    let call = about(&run, "openat", "/etc/x.conf");
    assert_eq!((call.write, call.error.as_deref()), (true, Some("EROFS")));
    let trace = run.enforcement.as_ref().unwrap().restrictions.iter().find(|each| each.name == "trace");
    assert!(!trace.unwrap().enforced);
}

#[test]
fn what_goes_through_is_told_of_without_an_error_and_only_once() {
    let module = Module::shell(r#"for i in 1 2 3 4; do echo $i >"$STATE_DIRECTORY/file"; done; mkdir -p /tmp/d/e"#);
    let file = module.state().join("file");
    let run = traced(module).succeeded();
    let call = about(&run, "openat", file.to_str().unwrap());
    assert_eq!((call.write, call.error.clone()), (true, None));
    assert_eq!(run.traced.iter().filter(|each| *each == call).count(), 1);
    assert_eq!(about(&run, "mkdir", "/tmp/d/e").error, None);
}

#[test]
fn relative_paths_are_told_of_as_they_were_meant_when_the_call_was_made() {
    let run = traced(script(
        r#"
os.chdir("/usr/share/../lib")
folder = os.open("/etc", os.O_RDONLY)
for attempt in (lambda: os.mkdir("a"), lambda: os.mkdir("b", dir_fd=folder), lambda: os.rename("/etc/../etc/c", "d")):
    try: attempt()
    except OSError: pass
"#,
    ))
    .succeeded();
    assert_eq!(about(&run, "mkdir", "/usr/lib/a").error.as_deref(), Some("EROFS"));
    assert_eq!(about(&run, "mkdirat", "/etc/b").error.as_deref(), Some("EROFS"));
    assert!(about(&run, "rename", "/etc/c").write && about(&run, "rename", "/usr/lib/d").write);
}

#[test]
fn children_grandchildren_and_threads_are_followed() {
    let run = traced(script(
        r#"
def attempt(name):
    try: os.mkdir(f"/usr/{name}")
    except OSError: pass
threads = [threading.Thread(target=attempt, args=(f"thread{i}",)) for i in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
gone, end = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        attempt("orphan"); os._exit(0)
    attempt("child"); os._exit(0)
os.wait()
os.system("mkdir /usr/shell 2>/dev/null")
os.close(end); os.read(gone, 1)
"#,
    ))
    .succeeded();
    for name in ["thread0", "thread7", "child", "orphan", "shell"] {
        assert_eq!(about(&run, "mkdir", &format!("/usr/{name}")).error.as_deref(), Some("EROFS"));
    }
}

#[test]
fn an_exec_by_a_thread_is_followed() {
    let code = r#"
thread = threading.Thread(target=lambda: os.execv("/bin/sh", ["sh", "-c", "mkdir /usr/after; exit 3"]))
thread.start(); thread.join(); time.sleep(60)
"#;
    let run = traced(script(code));
    assert_eq!(run.exit, Some(Exit::Code(3)), "{run:?}");
    assert_eq!(about(&run, "mkdir", "/usr/after").error.as_deref(), Some("EROFS"));
    assert_eq!(about(&run, "execve", "/bin/sh").error, None);
}

#[test]
fn signals_reach_the_module_as_ever() {
    let run = traced(script(
        r#"
seen = []
for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTRAP, signal.SIGRTMIN + 5, signal.SIGCHLD):
    signal.signal(number, lambda number, frame: seen.append(number))
    os.kill(os.getpid(), number)
child = os.fork()
if child == 0:
    os.kill(os.getpid(), signal.SIGSTOP); os._exit(7)
print(os.WIFSTOPPED(os.waitpid(child, os.WUNTRACED)[1]))
os.kill(child, signal.SIGCONT)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(*[int(number) for number in seen[:5]], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"#,
    ));
    assert_eq!(run.stdout(), ["True", "7", "15 10 5 39 17"]);
    assert_eq!(run.exit, Some(Exit::Signal(9)));
}

#[test]
fn a_stopped_module_ends_when_it_is_cancelled() {
    let mut module = Module::shell("echo ready; kill -STOP $$; sleep 60");
    module.plan().trace = true;
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(5000);
    let run = live.finish();
    assert_eq!(run.exit, Some(Exit::Signal(15)), "{run:?}");
}

#[test]
fn addresses_are_told_of_with_the_kind_of_their_socket() {
    let run = traced(script(
        r#"
def attempt(family, kind, address, send=False):
    try:
        s = socket.socket(family, kind)
        s.sendto(b"x", address) if send else s.connect(address)
    except OSError: pass
attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 9))
attempt(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 53), True)
attempt(socket.AF_INET6, socket.SOCK_STREAM, ("::1", 443))
attempt(socket.AF_UNIX, socket.SOCK_STREAM, "/run/dbus/system_bus_socket")
attempt(socket.AF_UNIX, socket.SOCK_STREAM, "\0hidden")
attempt(socket.AF_PACKET, socket.SOCK_RAW, ("lo", 0))
"#,
    ))
    .succeeded();
    let told = |call: &str, about: &str| {
        run.traced.iter().any(|each| each.call == call && each.about.as_deref() == Some(about))
    };
    assert!(told("connect", "tcp 127.0.0.1:9"), "{:#?}", run.traced);
    assert!(told("sendto", "udp 127.0.0.1:53") && told("connect", "tcp [::1]:443") && told("connect", "unix @hidden"));
    assert_eq!(about(&run, "connect", "/run/dbus/system_bus_socket").error.as_deref(), Some("ENOENT"));
    let packet = run.traced.iter().find(|each| each.about.as_deref() == Some("AF_PACKET")).unwrap();
    assert_eq!((packet.call.as_str(), packet.error.as_deref()), ("socket", Some("EPERM")));
}

#[test]
fn what_is_refused_without_a_path_is_told_of_by_its_name() {
    let run = traced(script(
        r#"
import ctypes
libc = ctypes.CDLL(None)
libc.sethostname(b"x", 1); libc.mount(b"none", b"/usr", b"tmpfs", 0, None)
libc.syscall(100000)
"#,
    ))
    .succeeded();
    let error = |call: &str| run.traced.iter().find(|each| each.call == call).and_then(|each| each.error.clone());
    assert_eq!(error("sethostname").as_deref(), Some("EPERM"));
    assert_eq!(error("syscall_100000").as_deref(), Some("ENOSYS"));
    assert_eq!(about(&run, "mount", "/usr").error.as_deref(), Some("EPERM"));
}

#[test]
fn a_flood_of_different_calls_is_cut_and_that_is_said() {
    let run = traced(script("for i in range(21000):\n    try: os.mkdir(f'/usr/{i}')\n    except OSError: pass\n"))
        .succeeded();
    assert_eq!(run.traced.len(), 20_001);
    assert_eq!(run.traced.last().unwrap().call, "trace");
}

#[test]
fn a_tree_that_is_killed_in_the_middle_of_its_forks_ends() {
    let mut module = script(
        "print('ready', flush=True)\nwhile True:\n    if os.fork() == 0: os.execv('/bin/true', ['true'])\n    try:\n        while os.waitpid(-1, os.WNOHANG)[0]: pass\n    except ChildProcessError: pass\n",
    );
    module.plan().trace = true;
    let mut live = module.start();
    live.wait_for("ready");
    live.cancel(0);
    let run = live.finish();
    assert!(matches!(run.exit, Some(Exit::Signal(9 | 15))), "{run:?}");
}

#[test]
fn init_keeps_no_more_than_it_needs_and_the_module_can_not_use_it() {
    let run = traced(Module::shell("grep CapEff /proc/1/status; cat /proc/1/environ >/dev/null 2>&1 || echo closed"))
        .succeeded();
    // CAP_KILL is 5, CAP_SYS_PTRACE 19.
    assert_eq!(run.stdout(), ["CapEff:\t0000000000080020", "closed"]);
}

#[test]
fn a_call_that_a_filter_kills_for_is_told_of() {
    let run = traced(script(
        r#"
import ctypes, struct
# Load the call's number; kill for mkdir, allow the rest. 0x80000000 is SECCOMP_RET_KILL_PROCESS.
program = b"".join(struct.pack("HBBI", *each) for each in [
    (0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x80000000), (0x06, 0, 0, 0x7fff0000)])
text = ctypes.create_string_buffer(program)
filter = struct.pack("HxxxxxxP", 4, ctypes.addressof(text))
libc = ctypes.CDLL(None)
if libc.prctl(22, 2, filter) != 0: raise SystemExit("no filter")
os.mkdir("/usr/killed")
"#,
    ));
    assert_eq!(run.exit, Some(Exit::Signal(31)), "{run:?}");
    assert_eq!(about(&run, "mkdir", "/usr/killed").error.as_deref(), Some("SIGSYS"));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn a_call_of_the_32_bit_abi_is_told_of_by_its_own_name() {
    let run = traced(script(
        r#"
import ctypes, mmap, struct
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
# 4096 bytes below 4 GiB, to read, write and execute: MAP_PRIVATE, MAP_ANONYMOUS and MAP_32BIT.
page = libc.mmap(None, ctypes.c_size_t(4096), 7, 0x62, -1, ctypes.c_long(0))
path = page + 256
ctypes.memmove(path, b"/usr/i386\0", 10)
# push rbx; mov eax, 39 (mkdir); mov ebx, path; xor ecx, ecx; int 0x80; pop rbx; ret
code = b"\x53\xb8\x27\0\0\0\xbb" + struct.pack("I", path) + b"\x31\xc9\xcd\x80\x5b\xc3"
ctypes.memmove(page, code, len(code))
print(ctypes.CFUNCTYPE(ctypes.c_int)(page)(), flush=True)
"#,
    ));
    // A kernel without the 32-bit ABI answers the instruction with SIGSEGV.
    if run.exit != Some(Exit::Signal(11)) {
        assert_eq!(run.stdout(), ["-30"], "{run:?}");
        assert_eq!(about(&run, "mkdir", "/usr/i386").error.as_deref(), Some("EROFS"));
    }
}
