"""What a start costs, and what a module finds when it starts."""

import unittest

from support import SDK, HostTest

COSTLY = ["json", "re", "typing", "datetime", "traceback", "os", "enum", "dataclasses", "threading", "asyncio"]


class Start(HostTest):
    def test_a_module_that_does_nothing_starts_without_costly_imports(self):
        run = self.run_main(
            """
            import sys
            def main(args):
                return sorted(sys.modules)
            """
        )
        self.assertEqual([], [name for name in COSTLY if name in run.value])

    def test_logging_and_requests_import_nothing_costly(self):
        run = self.run_main(
            """
            import sys
            from updates.index import log_message, progress
            from updates.utils.state_manager import StateManager
            from updates.utils.permissions import PermissionManager, PermissionTarget
            def main(args):
                log_message("caf\\u00e9 \\"quoted\\"\\n")
                progress("step", 1, 2)
                StateManager().has_backup("sample")
                PermissionManager("sample").set_permissions([PermissionTarget("/x", "root", "root", 0o644)])
                return sorted(sys.modules)
            """,
            replies={"state.info": ("ok", None), "permissions.set": ("ok", {"changed": 1})},
        )
        self.assertEqual([], [name for name in COSTLY if name in run.value])

    def test_arguments_reach_main_and_argv(self):
        run = self.run_main("import sys\ndef main(args): return [args, sys.argv]", "--fast", "two words")
        entry = str(self.root / "modules/sample/index.py")
        self.assertEqual([["--fast", "two words"], [entry, "--fast", "two words"]], run.value)

    def test_without_arguments_main_gets_an_empty_list(self):
        self.assertEqual([[]], self.run_main("def main(args=None): return [args]").value)

    def test_the_channel_is_not_inherited_by_programs(self):
        run = self.run_main(
            """
            import os
            from updates import _channel
            def main(args):
                return os.get_inheritable(_channel.current._descriptor)
            """
        )
        self.assertIs(False, run.value)

    def test_the_folders_of_installed_packages_come_last_on_the_path(self):
        path = self.run_main("import sys\ndef main(args): return sys.path").value
        self.assertEqual([str(self.root / "modules/sample"), str(SDK)], path[:2])
        self.assertRegex(path[-1], "(site|dist)-packages$")

    def test_the_module_is_told_when_it_is_only_checked(self):
        source = "from updates.index import is_check\ndef main(args): return [is_check()]"
        self.assertEqual([False], self.run_main(source).value)
        self.assertEqual([True], self.run_main(source, environment={"UPDATES_CHECK": "1"}).value)

    def test_wrong_arguments_of_the_host_are_a_usage_error(self):
        entry = self.write({"index.py": ""}) / "index.py"
        run = self.run_host("other", entry)
        self.assertEqual((64, []), (run.status, run.messages))
        self.assertIn("usage:", run.stderr)


if __name__ == "__main__":
    unittest.main()
