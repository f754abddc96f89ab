"""How the process ends: nothing written is lost, nothing left running delays the end, one result is sent."""

import time
import unittest

from support import HostTest


class Ending(HostTest):
    def test_a_file_that_was_left_open_is_written_out(self):
        run = self.run_main(
            """
            import os
            PATH = os.path.join(os.path.dirname(__file__), "out")
            kept = []
            def main(args):
                kept.append(open(PATH, "w"))
                kept[0].write("text")
                kept.append(open(PATH + "2", "wb"))
                kept[1].write(b"bytes")
                return True
            """
        )
        self.assertIs(True, run.value)
        self.assertEqual("text", (self.root / "modules/sample/out").read_text())
        self.assertEqual("bytes", (self.root / "modules/sample/out2").read_text())

    def test_a_file_that_cannot_be_written_out_is_said(self):
        run = self.run_main(
            "def main(args):\n    global f\n    f = open('/dev/full', 'w')\n    f.write('x')\n    return True"
        )
        self.assertEqual(
            [("ERROR", "/dev/full could not be written out: [Errno 28] No space left on device")], run.logged
        )

    def test_finalisers_and_exit_hooks_run(self):
        run = self.run_main(
            """
            import atexit
            class Thing:
                def __del__(self):
                    print("finaliser", flush=True)
            def main(args):
                global thing
                thing = Thing()
                atexit.register(print, "hook", flush=True)
                return True
            """
        )
        self.assertEqual((True, "hook\nfinaliser\n", 0), (run.value, run.stdout, run.status))

    def test_classes_that_cannot_be_hashed_or_looked_into_do_not_change_the_end(self):
        run = self.run_main(
            """
            class Meta(type):
                def __eq__(self, other): raise OSError
                def __getattribute__(self, name): raise OSError
            class Odd(metaclass=Meta):
                pass
            odd = Odd()
            def main(args): return True
            """
        )
        self.assertEqual((True, 0), (run.value, run.status))

    def test_an_exit_hook_that_fails_does_not_change_the_end(self):
        run = self.run_main("import atexit\natexit.register(lambda: 1 / 0)\ndef main(args): return True")
        self.assertEqual((True, 0), (run.value, run.status))
        self.assertIn("ZeroDivisionError", run.stderr)

    def test_an_exit_hook_may_still_write_a_file(self):
        run = self.run_main(
            """
            import atexit, os
            f = open(os.path.join(os.path.dirname(__file__), "out"), "w")
            atexit.register(f.write, "late")
            def main(args): return True
            """
        )
        self.assertEqual((0, "late"), (run.status, (self.root / "modules/sample/out").read_text()))

    def test_a_thread_that_never_ends_does_not_hold_up_the_end(self):
        started = time.monotonic()
        run = self.run_main(
            """
            import threading
            def main(args):
                threading.Thread(target=threading.Event().wait).start()
                return {"success": True}
            """
        )
        self.assertEqual(({"success": True}, 0), (run.value, run.status))
        self.assertIn("still running", run.logged[0][1])
        self.assertLess(time.monotonic() - started, 30)

    def test_a_thread_that_is_about_to_end_is_waited_for(self):
        run = self.run_main(
            """
            import threading
            def work(): print("worked", flush=True)
            def main(args):
                threading.Timer(0.05, work).start()
                return True
            """
        )
        self.assertEqual(("worked\n", []), (run.stdout, run.logged))

    def test_a_forked_child_that_returns_sends_no_second_result(self):
        run = self.run_main(
            """
            import os
            from updates.index import log_message
            from updates.utils.version_control import list_module_versions
            def main(args):
                child = os.fork()
                if child == 0:
                    log_message("from the child")
                    print(list_module_versions("x"))
                    return "child"
                return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
            """
        )
        self.assertEqual([[0]], run.results)
        self.assertEqual(("INFO", "from the child"), run.logged[0])
        self.assertIn("a forked process can't ask", run.logged[1][1])
        self.assertEqual("[]\n", run.stdout)

    def test_a_forked_child_ends_with_its_own_exit_code(self):
        run = self.run_main(
            """
            import os, sys
            def main(args):
                child = os.fork()
                if child == 0:
                    sys.exit(7)
                return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]
            """
        )
        self.assertEqual([[7]], run.results)

    def test_workers_of_multiprocessing_work_and_end(self):
        run = self.run_main(
            """
            import multiprocessing
            def double(x): return 2 * x
            def main(args):
                with multiprocessing.get_context("fork").Pool(2) as pool:
                    return pool.map(double, [1, 2])
            """
        )
        self.assertEqual(([2, 4], 0), (run.value, run.status))

    def test_sigterm_ends_the_process_at_once(self):
        run = self.run_main(
            "import os, signal\ndef main(args):\n    os.kill(os.getpid(), signal.SIGTERM)\n    return True"
        )
        self.assertEqual(([], -15), (run.results, run.status))


if __name__ == "__main__":
    unittest.main()
