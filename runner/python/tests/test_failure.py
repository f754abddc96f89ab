"""What the supervisor hears when a module fails."""

import unittest

from support import SDK, HostTest


class Failure(HostTest):
    def failed(self, source, **options):
        run = self.run_main(source, **options)
        self.assertEqual(0, run.status)
        self.assertIs(False, run.value["success"])
        return run.value

    def test_an_exception_is_named_with_the_modules_own_frames_only(self):
        value = self.failed("def main(args):\n    helper()\ndef helper():\n    raise ValueError('boom')")
        self.assertEqual("ValueError: boom", value["error"])
        self.assertIn("index.py\", line 4, in helper\n    raise ValueError('boom')", value["traceback"])
        self.assertNotIn(str(SDK), value["traceback"])
        self.assertNotIn("importlib", value["traceback"])
        self.assertEqual(2, value["traceback"].count("  File "))

    def test_the_cause_of_an_exception_is_kept(self):
        value = self.failed(
            "def main(args):\n    try: 1 / 0\n    except ZeroDivisionError as e: raise OSError() from e"
        )
        self.assertEqual("OSError", value["error"])
        self.assertIn("ZeroDivisionError: division by zero", value["traceback"])

    def test_a_syntax_error_shows_the_line(self):
        value = self.failed("def main(args):\n    return (\n")
        self.assertTrue(value["error"].startswith("SyntaxError: "), value)
        self.assertIn("index.py", value["traceback"])
        self.assertNotIn(str(SDK), value["traceback"])

    def test_a_syntax_error_in_a_helper_shows_who_imported_it(self):
        value = self.failed("import helper", files={"helper.py": "a b"})
        self.assertIn("import helper", value["traceback"])
        self.assertIn("helper.py", value["traceback"])
        self.assertNotIn(str(SDK), value["traceback"])

    def test_a_missing_import_is_a_failure(self):
        value = self.failed("import no_such_package")
        self.assertEqual("ModuleNotFoundError: No module named 'no_such_package'", value["error"])

    def test_a_missing_entry_is_a_failure(self):
        run = self.run_host("main", self.root / "modules/none/index.py")
        self.assertTrue(run.value["error"].startswith("FileNotFoundError: "), run.value)

    def test_endless_recursion_is_a_failure_with_a_short_traceback(self):
        value = self.failed("def main(args):\n    return main(args)")
        self.assertTrue(value["error"].startswith("RecursionError: "))
        self.assertLess(len(value["traceback"]), 10000)

    def test_running_out_of_memory_is_a_failure(self):
        self.assertEqual("MemoryError: full", self.failed("def main(args): raise MemoryError('full')")["error"])
        source = "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2**28, 2**28))\n"
        self.assertEqual("MemoryError", self.failed(source + "def main(args): return b'x' * 2**30")["error"])

    def test_an_interrupt_is_a_failure(self):
        source = "import os, signal\ndef main(args):\n    os.kill(os.getpid(), signal.SIGINT)\n    while True: pass"
        self.assertEqual("KeyboardInterrupt", self.failed(source)["error"])

    def test_a_wrong_number_of_parameters_is_a_failure(self):
        self.assertIn("TypeError: main() missing 1", self.failed("def main(a, b): pass")["error"])

    def test_exit_with_zero_is_success_with_a_note(self):
        for code in ("", "0", "False"):
            value = self.run_main("import sys\ndef main(args): sys.exit(%s)" % code).value
            self.assertIs(True, value["success"])
            self.assertIn("sys.exit(0)", value["note"])

    def test_exit_with_75_asks_for_a_restart(self):
        self.assertIs(False, self.run_main("import sys\ndef main(args): sys.exit(75)").value)

    def test_exit_with_another_code_or_a_text_is_a_failure_that_says_it(self):
        self.assertIn("sys.exit(3)", self.failed("import sys\ndef main(args): sys.exit(3)")["error"])
        self.assertEqual("SystemExit: no disk", self.failed("import sys\ndef main(args): sys.exit('no disk')")["error"])

    def test_huge_messages_are_cut_at_both_ends_kept(self):
        value = self.failed("def main(args): raise ValueError('a' * 3000000 + 'the end')")
        self.assertLess(len(value["error"]) + len(value["traceback"]), 100000)
        self.assertTrue(value["error"].endswith("the end"))
        self.assertIn("characters left out", value["error"])

    def test_an_exception_that_cannot_be_shown_is_still_a_failure(self):
        source = "class Bad(Exception):\n    def __str__(self): raise RuntimeError()\ndef main(args): raise Bad()"
        self.assertTrue(self.failed(source)["error"].startswith("Bad"))

    def test_an_exception_in_a_coroutine_shows_the_modules_frames(self):
        value = self.failed("async def main(args):\n    raise ValueError('later')")
        self.assertIn("in main", value["traceback"])
        self.assertNotIn(str(SDK), value["traceback"])
        self.assertNotIn("/asyncio/", value["traceback"])


if __name__ == "__main__":
    unittest.main()
