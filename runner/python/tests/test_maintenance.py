"""Which class of a maintenance.py is run, and with what."""

import unittest

from support import HostTest

CLASS = """
class SampleMaintenance:
    def __init__(self, config):
        self.config = config
    def run_maintenance(self):
        return {"success": True, "config": self.config}
"""


class Maintenance(HostTest):
    def test_the_class_gets_the_whole_manifest_and_its_dict_is_the_result(self):
        manifest = {"metadata": {"schema_version": "1.0.0"}, "configuration": {"service_name": "x"}}
        run = self.run_maintenance(CLASS, manifest)
        self.assertEqual({"success": True, "config": manifest}, run.value)

    def test_an_imported_class_is_not_taken_for_the_modules_own(self):
        self.write({"base.py": "class BaseMaintenance:\n    def run_maintenance(self): return 'base'\n"})
        run = self.run_maintenance("from .base import BaseMaintenance\n" + CLASS)
        self.assertIs(True, run.value["success"])
        self.assertEqual([], run.logged)

    def test_a_base_class_gives_way_to_the_class_that_derives_from_it(self):
        run = self.run_maintenance(
            CLASS + "class OtherMaintenance(SampleMaintenance):\n    def run_maintenance(self): return ['other']\n"
        )
        self.assertEqual((["other"], []), (run.value, run.logged))

    def test_of_several_classes_the_last_is_run_with_a_warning(self):
        run = self.run_maintenance(
            CLASS
            + "class LastMaintenance:\n    def __init__(self, c): pass\n    run_maintenance = lambda self: ['last']\n"
        )
        self.assertEqual(["last"], run.value)
        self.assertEqual("WARNING", run.logged[0][0])
        self.assertIn("SampleMaintenance, LastMaintenance", run.logged[0][1])

    def test_a_file_without_such_a_class_is_a_failure_that_names_the_file(self):
        self.assertIn("maintenance.py defines no class", self.run_maintenance("x = 1").value["error"])

    def test_a_class_without_the_method_is_a_failure(self):
        self.assertIn("run_maintenance", self.run_maintenance("class AMaintenance: pass").value["error"])

    def test_an_exception_in_maintenance_is_a_failure_with_its_traceback(self):
        source = "class AMaintenance:\n    def __init__(self, c): pass\n    def run_maintenance(self): return c"
        value = self.run_maintenance(source).value
        self.assertTrue(value["error"].startswith("NameError: "), value)
        self.assertIn("maintenance.py", value["traceback"])

    def test_a_manifest_that_cannot_be_had_is_a_failure(self):
        entry = self.write({"maintenance.py": CLASS}) / "maintenance.py"
        self.assertIn("manifest", self.run_host("maintenance", entry).value["error"])


if __name__ == "__main__":
    unittest.main()
