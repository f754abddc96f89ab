//! What a module leaves running or open when it ends.

use insta::assert_json_snapshot;
use serde_json::json;

use super::scene::{cgroups_bound, python, run, shell};
use super::support::{Watch, marker};

#[test]
fn a_daemon_is_gone_when_its_module_is_over() {
    let marker = marker();
    let scene = run(&python(&format!(
        r#"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execvp("sh", ["sh", "-c", "trap '' TERM HUP; while :; do echo still here >>/srv/app/daemon; done", "{marker}"])
    os._exit(0)
while not os.path.exists("/srv/app/daemon"):
    time.sleep(0.01)
return {{"success": True}}
"#
    )));
    Watch { root: scene.root.path(), marker: Some(&marker) }.assert_none();
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_daemon_can_not_write_into_what_was_put_back() {
    let marker = marker();
    let scene = run(&shell(&format!(
        "setsid sh -c 'trap \"\" TERM HUP; while :; do echo daemon >/srv/app/app.conf; done' {marker} </dev/null &\n\
         while [ \"$(cat /srv/app/app.conf)\" != daemon ]; do :; done\nexit 3"
    )));
    Watch { root: scene.root.path(), marker: Some(&marker) }.assert_none();
    assert_json_snapshot!(scene.report());
}

#[test]
fn closing_stdout_and_stderr_changes_nothing() {
    assert_json_snapshot!(run(&python("os.close(1)\nos.close(2)\nreturn {'success': True}")).report());
}

#[test]
fn closing_every_descriptor_is_a_missing_report() {
    assert_json_snapshot!(run(&python("os.closerange(0, 100)\nreturn {'success': True}")).report());
}

#[test]
fn a_child_that_keeps_stdout_open_does_not_hold_up_the_run() {
    let scene = run(&python("subprocess.Popen(['sleep', '1000'], start_new_session=True)\nreturn {'success': True}"));
    assert_json_snapshot!(scene.report());
}

#[test]
fn an_executable_whose_child_keeps_stdout_open_ends_when_it_does() {
    assert_json_snapshot!(run(&shell("setsid sleep 1000 &\nexit 0")).report());
}

#[test]
fn a_fork_bomb_is_bounded_and_gone_afterwards() {
    if !cgroups_bound() {
        return;
    }
    let scene = run(&python(
        r#"
forked = 0
try:
    while forked < 3000:
        if os.fork() == 0:
            while True:
                signal.pause()
        forked += 1
except OSError as error:
    return {"success": True, "bounded": forked <= 64, "error": error.strerror}
return {"success": False, "error": "nothing stopped it"}
"#,
    )
    .sandbox("tasks_max", json!(64)));
    assert_json_snapshot!(scene.report());
}

#[test]
fn zombies_of_orphans_are_no_obstacle() {
    let scene = run(&python(
        r#"
for _ in range(50):
    if os.fork() == 0:
        if os.fork() == 0:
            os._exit(0)
        os._exit(0)
return {"success": True}
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn a_network_is_lent_to_the_next_attempt_only_with_nothing_left_in_it() {
    // Both ends are closed, and the kernel keeps the port for a minute.
    let connect = r#"
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname()).close()
server.accept()[0].close()"#;
    let end = "return {'success': True} if os.environ['UPDATES_ATTEMPT'] == '2' else False";
    for (left, same) in [("", true), (connect, false)] {
        let scene = run(&python(&format!("print(os.readlink('/proc/self/ns/net')){left}\n{end}")));
        assert_eq!(scene.status(), "succeeded", "{:#}", scene.record);
        let log = scene.root.updates(&["--json", "logs", "last", "app"]).json();
        let messages = log.as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap());
        let networks: Vec<&str> = messages.filter(|message| message.starts_with("net:[")).collect();
        assert_eq!(networks.len(), 2, "{log:#}");
        assert_eq!(networks[0] == networks[1], same, "{networks:?}");
    }
}
