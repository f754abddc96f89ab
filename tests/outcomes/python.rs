//! Ways in which Python code ends without a return value.

use insta::assert_json_snapshot;

use super::scene::{code, python, run};
use super::support::Module;

#[test]
fn an_exception_is_a_failure_with_its_traceback() {
    assert_json_snapshot!(run(&python(r#"raise ValueError("the price list\ncan't be read")"#)).report());
}

#[test]
fn an_exception_with_a_cause_tells_both() {
    let scene = run(&python(
        r#"
try:
    {}["missing"]
except KeyError as error:
    raise RuntimeError("lookup failed") from error
"#,
    ));
    assert_json_snapshot!(scene.report());
}

#[test]
fn sys_exit_codes_mean_what_they_mean_for_executables() {
    for code in ["0", "1", "75", "'a reason'", ""] {
        let name = code.trim_matches('\'').replace(' ', "_");
        let scene = run(&python(&format!("sys.exit({code})")));
        assert_json_snapshot!(format!("sys_exit_{name}"), scene.report());
    }
}

#[test]
fn leaving_without_a_result_is_a_failure() {
    for code in [0, 1, 75] {
        let scene = run(&python(&format!("os._exit({code})")));
        assert_json_snapshot!(format!("os_exit_{code}"), scene.report());
    }
}

#[test]
fn a_syntax_error_names_file_and_line() {
    assert_json_snapshot!(run(&code("def main(args):\n    return {\n")).report());
}

#[test]
fn a_module_without_main_says_what_is_missing() {
    assert_json_snapshot!(run(&code("def start():\n    return True\n")).report());
}

#[test]
fn a_main_that_is_no_function_says_what_is_missing() {
    assert_json_snapshot!(run(&code("main = 3\n")).report());
}

#[test]
fn an_import_that_fails_names_what_was_imported() {
    assert_json_snapshot!(run(&code("import no_such_package\n")).report());
}

#[test]
fn an_exception_while_importing_is_a_failure() {
    assert_json_snapshot!(run(&code("raise OSError(28, 'No space left on device')\n")).report());
}

#[test]
fn endless_recursion_is_a_failure() {
    let report = run(&python("def deeper(n):\n    return deeper(n + 1)\nreturn deeper(0)")).report();
    assert_eq!(report["status"], "rolled_back");
    assert!(report["message"].as_str().unwrap().starts_with("RecursionError"), "{report:#}");
}

#[test]
fn index_py_with_bytes_that_are_no_text_is_a_failure() {
    let module = Module::new("app", "1.0.0").file("index.py", b"\x00\xff\xfe garbage").declares(&["/srv/app/"]);
    assert_json_snapshot!(run(&module).report());
}

#[test]
fn a_generator_is_a_mistake_that_is_said() {
    let scene = run(&code("def main(args):\n    yield 1\n"));
    assert_json_snapshot!(scene.report());
}

#[test]
fn an_async_main_is_run_to_its_end() {
    let module = python("return None");
    let module = module.file(
        "index.py",
        r#"
import asyncio, os

async def main(args):
    await asyncio.sleep(0)
    os.makedirs("/srv/app/new/deep")
    open("/srv/app/new/deep/file", "w").write("new\n")
    open("/srv/app/app.conf", "w").write("after\n")
    os.unlink("/srv/app/doomed")
    open(os.environ["STATE_DIRECTORY"] + "/note", "w").close()
    return {"success": True, "args": args}
"#,
    );
    assert_json_snapshot!(run(&module).report());
}

#[test]
fn a_failing_exit_hook_does_not_undo_a_success() {
    let scene = run(&python("import atexit\natexit.register(lambda: 1 / 0)\nreturn {'success': True}"));
    assert_json_snapshot!(scene.report_without_log());
}

#[test]
fn a_thread_that_never_ends_does_not_hold_up_the_end() {
    let scene = run(&python(
        "import threading\nthreading.Thread(target=lambda: time.sleep(1000)).start()\nreturn {'success': True}",
    ));
    assert_json_snapshot!(scene.report_without_log());
}

#[test]
fn a_maintenance_that_fails_rolls_back_alone_and_main_still_runs() {
    let module = python("return {'success': True}").file(
        "maintenance.py",
        "class AppMaintenance:\n    def __init__(self, config):\n        self.config = config\n\n    def run_maintenance(self):\n        \
         open('/srv/app/app.conf', 'w').write('maintained')\n        raise OSError('no maintenance today')\n",
    );
    let scene = run(&module);
    assert_json_snapshot!(super::support::report(&scene.record, "app", scene.root.path()));
    assert_eq!(scene.root.read("/srv/app/app.conf"), "after\n");
}
