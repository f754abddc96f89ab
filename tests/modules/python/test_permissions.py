"""The permissions module against real files."""

import os
import stat
import unittest

from support import ModuleTest


class Permissions(ModuleTest):
    module = "permissions"

    def mode(self, path):
        return stat.S_IMODE(os.lstat(self.path(path)).st_mode)

    def declare(self, *targets):
        self.configure(targets=[dict(target, path=self.path(target["path"])) for target in targets])

    def test_without_targets_it_says_so_and_succeeds(self):
        result = self.run_module()
        self.assertEqual((result["success"], result["updated"]), (True, False))
        self.assertIn("No targets", self.log())

    def test_a_drifted_mode_is_put_back_once(self):
        self.write("etc/app.conf", "x", 0o666)
        self.declare({"path": "etc/app.conf", "mode": "0640"})
        result = self.run_module()
        self.assertTrue(result["updated"])
        self.assertEqual(self.mode("etc/app.conf"), 0o640)
        self.assertTrue(result["changes"][0]["before"].endswith("0666"))
        self.assertTrue(result["changes"][0]["after"].endswith("0640"))
        self.assertFalse(self.run_module()["updated"])

    def test_a_check_lists_the_drift_and_changes_nothing(self):
        self.write("etc/app.conf", "x", 0o666)
        self.declare({"path": "etc/app.conf", "mode": "0640"})
        result = self.check_module()
        self.assertEqual(result["would_change_count"], 1)
        self.assertEqual(result["would_change"][0]["path"], self.path("etc/app.conf"))

    def test_a_tree_gives_folders_the_search_bit(self):
        self.write("srv/a/b.txt", "x", 0o600)
        os.chmod(self.path("srv"), 0o700)
        self.declare({"path": "srv", "mode": "0640", "recursive": True})
        self.assertTrue(self.run_module()["success"])
        self.assertEqual([self.mode(p) for p in ("srv", "srv/a", "srv/a/b.txt")], [0o750, 0o750, 0o640])

    def test_a_declared_directory_mode_wins(self):
        self.write("srv/a/b.txt", "x", 0o600)
        self.declare({"path": "srv", "mode": "0640", "directory_mode": "2770", "recursive": True})
        self.assertTrue(self.run_module()["success"])
        self.assertEqual([self.mode(p) for p in ("srv", "srv/a", "srv/a/b.txt")], [0o2770, 0o2770, 0o640])

    def test_symbolic_links_are_never_followed(self):
        outside = self.write("outside", "x", 0o600)
        self.write("srv/a", "x", 0o600)
        os.symlink(outside, self.path("srv/link"))
        os.symlink(self.path("srv"), self.path("shortcut"))
        self.declare(
            {"path": "srv", "mode": "0644", "recursive": True},
            {"path": "srv/link", "mode": "0666"},
            {"path": "shortcut/a", "mode": "0666"},
        )
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertEqual(self.mode("outside"), 0o600)
        self.assertEqual(self.mode("srv/a"), 0o644)
        self.assertEqual(len([error for error in result["errors"] if "symbolic link" in error]), 2)

    def test_a_hard_linked_file_in_a_tree_is_left_alone_unless_allowed(self):
        outside = self.write("outside", "x", 0o600)
        os.mkdir(self.path("srv"))
        os.link(outside, self.path("srv/inside"))
        self.declare({"path": "srv", "mode": "0666", "recursive": True})
        self.assertTrue(self.run_module()["success"])
        self.assertEqual(self.mode("outside"), 0o600)
        self.assertIn("hard links", self.log("WARNING"))
        self.declare({"path": "srv", "mode": "0666", "recursive": True, "hard_links": True})
        self.run_module()
        self.assertEqual(self.mode("outside"), 0o666)

    def test_an_unknown_user_is_named_and_the_other_targets_are_done(self):
        self.write("a", "x", 0o600)
        self.declare({"path": "a", "owner": "nobody-of-that-name"}, {"path": "a", "mode": "0644"})
        result = self.run_module()
        self.assertFalse(result["success"])
        self.assertIn("nobody-of-that-name", result["error"])
        self.assertEqual(self.mode("a"), 0o644)

    def test_an_absent_path_is_skipped_only_when_optional(self):
        self.declare({"path": "none/a", "mode": "0644", "optional": True})
        self.assertTrue(self.run_module()["success"])
        self.declare({"path": "none/a", "mode": "0644"})
        self.assertFalse(self.run_module()["success"])

    def test_bad_targets_are_refused_with_a_reason(self):
        for target, reason in [
            ({"path": "relative", "mode": "0644"}, "absolute"),
            ({"path": "/", "mode": "0644"}, "root folder"),
            ({"path": "/a/../b", "mode": "0644"}, "'..'"),
            ({"path": "/a", "mode": 640}, "octal string"),
            ({"path": "/a", "mode": "0999"}, "octal string"),
            ({"path": "/a"}, "neither"),
            ({"path": "/a", "mode": "0644", "recurse": True}, "unknown setting"),
            ({"path": "/a", "mode": "0644", "recursive": "yes"}, "true or false"),
        ]:
            with self.subTest(target=target):
                self.configure(targets=[target])
                result = self.run_module()
                self.assertFalse(result["success"])
                self.assertIn(reason, result["error"])

    @unittest.skipUnless(os.geteuid() == 0, "changing an owner needs root")
    def test_owner_and_setgid_survive_together(self):
        self.write("a", "x", 0o600)
        self.declare({"path": "a", "owner": 1234, "group": 4321, "mode": "2755"})
        result = self.run_module()
        status = os.stat(self.path("a"))
        self.assertEqual((status.st_uid, status.st_gid, self.mode("a")), (1234, 4321, 0o2755))
        self.assertEqual(result["changes"][0]["after"], "1234:4321 2755")


if __name__ == "__main__":
    unittest.main()
