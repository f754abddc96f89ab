"""The hotfix module with real scripts."""

import json
import os
import time
import unittest

from support import ModuleTest


class Hotfix(ModuleTest):
    module = "hotfix"

    def script(self, name, body, mode=0o755):
        self.write(os.path.join(self.folder, "scripts", name), "#!/bin/sh\n" + body, mode)
        return "scripts/" + name

    def target(self, name="one", **settings):
        return {"id": name, "conditions": [{"type": "always"}], "script": f"scripts/{name}.sh", **settings}

    def counter(self, name="one", body=""):
        self.script(f"{name}.sh", f"echo ran >> {self.path(name)}\n{body}")
        return lambda: self.read(name).count("ran") if os.path.exists(self.path(name)) else 0

    def test_as_shipped_nothing_is_due(self):
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"], result["ran"]), (True, False, []))
        self.assertEqual(os.listdir(self.state), [])

    def test_the_shipped_example_works_when_enabled(self):
        manifest = json.loads(self.read(os.path.join(self.folder, "index.json")))
        example = manifest["configuration"]["targets"][0]
        self.configure(targets=[dict(example, enabled=True)])
        self.assertEqual(self.run_module()["ran"], ["example-say-hello"])
        self.assertIn("hello from example (hotfix example-say-hello)", self.log())

    def test_a_target_runs_once(self):
        runs = self.counter()
        self.configure(targets=[self.target()])
        self.assertEqual(self.run_module()["ran"], ["one"])
        self.assertEqual(self.run_module()["skipped"], {"one": "has run already"})
        self.assertEqual(runs(), 1)
        noted = json.loads(self.read(os.path.join(self.state, "hotfix.json")))["targets"]["one"]
        self.assertEqual(len(noted["sha256"]), 64)

    def test_has_run_in_the_manifest_counts(self):
        runs = self.counter()
        self.configure(targets=[self.target(has_run=True)])
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(runs(), 0)

    def test_a_check_names_what_would_run_and_runs_nothing(self):
        runs = self.counter()
        self.configure(targets=[self.target()])
        self.assertEqual(self.check_module()["would_change"], ["one"])
        self.assertEqual(runs(), 0)

    def test_a_failure_is_named_retried_and_does_not_stop_the_others(self):
        bad, good = self.counter("bad", "exit 3"), self.counter("good")
        self.configure(targets=[self.target("bad"), self.target("good")])
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("bad: exited with 3", result["error"])
        self.assertEqual(result["ran"], ["good"])
        self.run_module()
        self.assertEqual((bad(), good()), (2, 1))

    def test_a_target_that_is_not_required_may_fail(self):
        self.counter("bad", "exit 3")
        self.configure(targets=[self.target("bad", required=False)])
        result = self.run_module()
        self.assertTrue(result["success"])
        self.assertEqual(result["tolerated"], {"bad": "exited with 3"})

    def test_the_deadline_ends_the_script_and_its_children(self):
        os.mkfifo(self.path("alive"))
        reader = os.open(self.path("alive"), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        self.script("one.sh", f"exec 9> {self.path('alive')}\nsleep 60 &\nsleep 60\n")
        self.configure(targets=[self.target(timeout=0.5)])
        started = time.monotonic()
        result = self.run_module()
        self.assertIn("was ended after 0.5 seconds", result["error"])
        # The pipe ends when the last process that holds it has ended.
        os.set_blocking(reader, True)
        self.assertEqual(os.read(reader, 1), b"")
        self.assertLess(time.monotonic() - started, 20)

    def test_a_child_in_the_background_does_not_hold_the_run_up(self):
        self.script("one.sh", "sleep 60 &\necho done\n")
        self.configure(targets=[self.target(timeout=30)])
        started = time.monotonic()
        self.assertTrue(self.run_module()["success"])
        self.assertLess(time.monotonic() - started, 20)
        self.assertIn("done", self.log())

    def test_a_script_that_is_not_executable_is_started_by_its_ending(self):
        self.script("one.sh", "echo plain\n", mode=0o644)
        self.configure(targets=[self.target()])
        self.assertTrue(self.run_module()["success"])
        self.assertIn("plain", self.log())

    def test_a_script_outside_the_folder_is_refused(self):
        os.symlink("/bin/true", os.path.join(self.folder, "scripts", "out.sh"))
        for script in ("../x.sh", "/bin/true", "scripts/../../x.sh", "", None, "scripts/out.sh", "scripts/none.sh"):
            with self.subTest(script=script):
                self.configure(targets=[self.target(script=script)])
                self.assertFalse(self.run_module()["success"])

    def test_an_unreadable_state_runs_nothing(self):
        runs = self.counter()
        self.configure(targets=[self.target()])
        for text in ("{", "[]", '{"targets": []}'):
            self.write(os.path.join(self.state, "hotfix.json"), text)
            result = self.run_module()
            self.assertFalse(result["success"])
            self.assertIn("nothing was run", result["error"])
        self.assertEqual(runs(), 0)

    def test_duplicate_and_missing_ids_are_errors(self):
        self.counter()
        self.configure(targets=[self.target(), self.target(), {"script": "scripts/one.sh"}])
        result = self.run_module()
        self.assertEqual(set(result["failed"]), {"one", "target 3"})

    def test_conditions(self):
        self.write("there", "x")
        self.write(self.path("modules", "adblock", "index.json"), '{"metadata": {"schema_version": "1.2.0"}}')
        printer = self.write("bin/tool", "#!/bin/sh\necho 'tool version 2.10.1 (build 7)'\n", 0o755)
        cases = [
            ({"type": "file_exists", "path": self.path("there")}, True),
            ({"type": "file_exists", "path": self.path("there"), "invert": True}, False),
            ({"type": "file_exists", "path": self.path("none"), "invert": True}, True),
            ({"type": "module_schema", "module": "adblock", "version": ">=1.2.0"}, True),
            ({"type": "module_schema", "module": "adblock", "operator": "<", "version": "1.2"}, False),
            ({"type": "module_schema", "module": "absent", "version": ">=0"}, False),
            ({"type": "binary_version", "binary": printer, "version": ">=2.9"}, True),
            ({"type": "binary_version", "binary": printer, "operator": "==", "version": "2.10.1"}, True),
            ({"type": "binary_version", "binary": printer, "version": "<2.9"}, False),
            ({"type": "binary_version", "binary": printer, "pattern": r"build (\d+)", "version": "7"}, True),
            ({"type": "binary_version", "binary": "no-such-program", "version": ">=1"}, False),
        ]
        self.counter()
        for condition, holds in cases:
            with self.subTest(condition=condition):
                self.configure(targets=[self.target(conditions=[{"type": "always"}, condition])])
                result = self.check_module()
                self.assertTrue(result["success"], result)
                self.assertEqual(result["would_change"], ["one"] if holds else [])

    def test_wrongly_written_conditions_are_errors(self):
        self.counter()
        for conditions in (
            None, [], ["always"], [{"type": "moon_phase"}], [{"type": "file_exists", "path": "relative"}],
            [{"type": "module_schema", "module": "../x", "version": "1"}],
            [{"type": "binary_version", "binary": "sh", "version": "one"}],
            [{"type": "binary_version", "binary": "sh", "version": "1", "operator": "~"}],
            [{"type": "binary_version", "binary": "sh", "version": "1", "pattern": "("}],
        ):
            with self.subTest(conditions=conditions):
                self.configure(targets=[self.target(conditions=conditions)])
                self.assertFalse(self.run_module()["success"])

    def test_versions_are_ordered_as_semantic_versioning_says(self):
        self.load()
        from components.versions import compare

        ordered = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
                   "1.0.0-rc.1", "1.0.0", "1.0.1", "1.9", "1.10", "2"]
        for index, left in enumerate(ordered):
            for other, right in enumerate(ordered):
                self.assertEqual(compare(left, right), (index > other) - (index < other), (left, right))
        self.assertEqual(compare("v1.0+build", "1"), 0)


if __name__ == "__main__":
    unittest.main()
