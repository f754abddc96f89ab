"""A module that its author runs as a script, with the SDK on PYTHONPATH and no supervisor."""

import os
import subprocess
import sys
import unittest

from support import SDK, HostTest

STAMP = r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] "


class ByHand(HostTest):
    def by_hand(self, source, **environment):
        entry = self.write({"index.py": source}) / "index.py"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SDK),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        done = subprocess.run([sys.executable, str(entry)], env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    def test_messages_are_printed_with_time_and_level(self):
        out = self.by_hand("from updates.index import log_message\nlog_message('one')\nlog_message('two', 'ERROR')")
        self.assertRegex(out, "^%s\\[INFO\\] one\n%s\\[ERROR\\] two\n$" % (STAMP, STAMP))

    def test_text_that_the_terminal_cannot_show_is_no_error(self):
        source = "from updates.index import log_message\nlog_message('\\udcff \\u00e9')"
        self.assertIn("\\udcff", self.by_hand(source, PYTHONIOENCODING="ascii"))

    def test_what_needs_the_supervisor_is_false_and_says_how_to_run_it(self):
        out = self.by_hand(
            """
            from initialization.files.user_local_lib.updates.utils.state_manager import StateManager
            from updates.utils import PermissionManager, PermissionTarget, checkout_module_version, list_module_versions
            print(StateManager().backup_module_state("x"), StateManager().list_module_backups())
            print(PermissionManager("x").set_permissions([PermissionTarget("/x", "a", "b", 0o644)]))
            print(checkout_module_version("x"), list_module_versions("x"))
            """
        )
        for line in ("False {}", "False", "False []"):
            self.assertIn(line, out.splitlines())
        self.assertEqual(5, out.count("run this module with `updates runner MODULE`"))

    def test_progress_is_printed(self):
        out = self.by_hand("from updates.index import progress\nprogress('unpack', 3, 10, 'packages')")
        self.assertRegex(out, "^%s\\[INFO\\] unpack 3/10 packages\n$" % STAMP)


if __name__ == "__main__":
    unittest.main()
