//! Signals, from the module itself and against others.

use insta::assert_json_snapshot;

use super::scene::{python, run, shell};

#[test]
fn each_signal_that_ends_a_module_rolls_it_back() {
    for signal in [
        "SEGV", "ABRT", "KILL", "TERM", "BUS", "FPE", "ILL", "QUIT", "TRAP", "SYS", "HUP", "ALRM", "USR1", "XCPU",
        "PIPE",
    ] {
        let scene = run(&python(&format!(
            "signal.signal(signal.SIG{signal}, signal.SIG_DFL) if '{signal}' != 'KILL' else None\n\
             os.kill(os.getpid(), signal.SIG{signal})\ntime.sleep(60)"
        )));
        assert_json_snapshot!(format!("crash_{signal}"), scene.report());
    }
}

#[test]
fn a_real_invalid_memory_access_is_a_crash() {
    assert_json_snapshot!(run(&python("import ctypes\nctypes.string_at(0)")).report());
}

#[test]
fn an_executable_that_kills_itself_is_a_crash() {
    assert_json_snapshot!(run(&shell("kill -SEGV $$")).report());
}

#[test]
fn an_interrupt_is_a_failure_and_not_an_interruption_of_the_run() {
    assert_json_snapshot!(run(&python("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)")).report());
}

#[test]
fn a_crash_after_the_report_is_still_a_crash() {
    let body = r#"
os.write(3, b'{"type":"result","value":{"success":true}}\n')
os.kill(os.getpid(), signal.SIGSEGV)
"#;
    assert_json_snapshot!(run(&python(body)).report());
}

/// Ends the module unless it has a pid namespace of its own: what follows would reach this machine otherwise.
fn only_isolated() -> String {
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    format!("assert os.readlink('/proc/self/ns/pid') != '{}', 'not isolated'\n", own.display())
}

#[test]
fn a_module_can_not_kill_its_init() {
    let body = "refused = 0\nfor number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):\n    try:\n        os.kill(1, number)\n    \
                except PermissionError:\n        refused += 1\n\
                return {'success': True, 'parent': os.getppid(), 'refused': refused in (0, 3)}";
    assert_json_snapshot!(run(&python(&(only_isolated() + body))).report());
}

#[test]
fn a_module_sees_no_processes_but_its_own() {
    let body = "pids = sorted(int(name) for name in os.listdir('/proc') if name.isdigit())\n\
                return {'success': True, 'own': os.getpid(), 'pids': pids}";
    assert_json_snapshot!(run(&python(body)).report());
}

#[test]
fn killing_everything_reaches_only_the_sandbox() {
    let body = "child = subprocess.Popen(['sleep', '1000'])\nos.kill(-1, signal.SIGKILL)\n\
                return {'success': True, 'child': child.wait(timeout=30)}";
    assert_json_snapshot!(run(&python(&(only_isolated() + body))).report());
}
