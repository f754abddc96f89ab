"""The migrations module with real scripts."""

import json
import os
import unittest

from support import ModuleTest


class Migrations(ModuleTest):
    module = "migrations"

    def migration(self, name, body="", mode=0o755, interpreter="#!/bin/sh"):
        path = os.path.join(self.folder, "migrations", name)
        return self.write(path, f"{interpreter}\necho \"$MIGRATION\" >> {self.path('order')}\n{body}\n", mode)

    def order(self):
        return self.read("order").split() if os.path.exists(self.path("order")) else []

    def test_as_shipped_nothing_is_pending(self):
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"], result["ran"]), (True, False, []))

    def test_scripts_run_in_the_order_of_their_numbers_and_once(self):
        for name in ("10-c.sh", "9-b.sh", "001-a.sh"):
            self.migration(name)
        self.assertEqual(self.run_module()["ran"], ["001-a.sh", "9-b.sh", "10-c.sh"])
        self.assertFalse(self.run_module()["updated"])
        self.assertEqual(self.order(), ["001-a.sh", "9-b.sh", "10-c.sh"])

    def test_a_python_script_needs_no_executable_bit(self):
        path = os.path.join(self.folder, "migrations", "001-a.py")
        self.write(path, f"open({self.path('order')!r}, 'w').write('python')\n", 0o644)
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(self.order(), ["python"])

    def test_the_first_failure_stops_and_the_state_keeps_what_ran(self):
        self.migration("001-a.sh")
        bad = self.migration("002-b.sh", "echo reason; exit 7")
        self.migration("003-c.sh")
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual((result["failed"], result["ran"], result["remaining"]), ("002-b.sh", ["001-a.sh"], 2))
        self.assertIn("exited with 7", result["error"])
        self.assertIn("reason", result["output"])
        os.remove(bad)
        self.migration("002-b.sh")
        self.assertEqual(self.run_module()["ran"], ["002-b.sh", "003-c.sh"])
        self.assertEqual(self.order(), ["001-a.sh", "002-b.sh", "002-b.sh", "003-c.sh"])

    def test_an_edited_script_is_warned_about_and_not_run_again(self):
        self.migration("001-a.sh")
        self.run_module()
        self.migration("001-a.sh", "echo more")
        result = self.run_module()
        self.assertEqual((result["success"], result["changed_since"]), (True, ["001-a.sh"]))
        self.assertIn("edited after it ran", self.log("WARNING"))
        self.assertEqual(self.order(), ["001-a.sh"])

    def test_a_latecomer_runs_with_a_warning(self):
        self.migration("002-b.sh")
        self.run_module()
        self.migration("001-a.sh")
        self.assertEqual(self.run_module()["ran"], ["001-a.sh"])
        self.assertIn("comes before number 2", self.log("WARNING"))

    def test_a_check_lists_what_is_pending_and_runs_nothing(self):
        self.migration("001-a.sh")
        self.assertEqual(self.check_module()["would_change"], ["001-a.sh"])
        self.assertEqual(self.order(), [])

    def test_per_run_limits_a_run(self):
        for name in ("001-a.sh", "002-b.sh"):
            self.migration(name)
        self.configure(per_run=1)
        result = self.run_module()
        self.assertEqual((result["ran"], result["remaining"]), (["001-a.sh"], 1))
        self.assertEqual(self.run_module()["ran"], ["002-b.sh"])

    def test_an_explicit_list_gives_the_order(self):
        for name in ("b.sh", "a.sh"):
            self.migration(name)
        self.configure(scripts=["b.sh", "a.sh"])
        self.assertEqual(self.run_module()["ran"], ["b.sh", "a.sh"])

    def test_an_unclear_order_runs_nothing(self):
        self.migration("001-a.sh")
        for name, reason in (("1-b.sh", "same number"), ("later.sh", "not named"), ("x/y.sh", "not named")):
            with self.subTest(name=name):
                path = self.migration(name)
                result = self.run_module()
                self.assertFalse(result["success"])
                self.assertIn(reason, result["error"])
                os.remove(path)
        for scripts in (["../a.sh"], ["none.sh"], ["001-a.sh", "001-a.sh"], "001-a.sh"):
            with self.subTest(scripts=scripts):
                self.configure(scripts=scripts)
                self.assertFalse(self.run_module()["success"])
        self.assertEqual(self.order(), [])

    def test_an_unreadable_state_runs_nothing(self):
        self.migration("001-a.sh")
        for text in ("", "[]", '{"done": [{"name": 1}]}', "\x00"):
            self.write(os.path.join(self.state, "migrations.json"), text)
            result = self.run_module()
            self.assertFalse(result["success"])
            self.assertIn(os.path.join(self.state, "migrations.json"), result["error"])
        self.assertEqual(self.order(), [])

    def test_the_state_names_script_digest_and_time(self):
        self.migration("001-a.sh", "echo said")
        self.run_module()
        noted = json.loads(self.read(os.path.join(self.state, "migrations.json")))["done"][0]
        self.assertEqual(noted["name"], "001-a.sh")
        self.assertEqual(noted["output"], "said\n")
        self.assertEqual(len(noted["sha256"]), 64)


if __name__ == "__main__":
    unittest.main()
