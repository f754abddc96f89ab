"""The functions that modules call: what each asks of the supervisor and makes of its answer."""

import json
import unittest

from support import HostTest

INFO = {
    "module_name": "sample",
    "timestamp": 1733653815,
    "description": "before",
    "backup_dir": "/var/backups/updates/sample_backup",
    "files": ["/etc/x"],
    "services": ["x"],
    "databases": [{"type": "sqlite", "database": "/x.db"}],
    "checksum": "00",
}
OLD = "initialization.files.user_local_lib.updates"


class Names(HostTest):
    def test_the_older_import_path_gives_the_same_objects(self):
        run = self.run_main(
            f"""
            from {OLD}.utils import log_message, checkout_module_version, list_module_versions
            from {OLD}.utils.state_manager import StateManager, StateManagerError
            from {OLD}.utils.version_control import checkout_last_safe
            import {OLD}.utils.permissions as old_permissions
            from {OLD} import index as old_index
            import updates.index, updates.utils, updates.utils.index
            import updates.utils.permissions, updates.utils.state_manager, updates.utils.version_control
            def main(args):
                return [
                    log_message is updates.index.log_message is updates.utils.index.log_message,
                    StateManager is updates.utils.state_manager.StateManager,
                    StateManager is updates.utils.StateManager,
                    StateManagerError is updates.utils.StateManagerError,
                    checkout_last_safe is updates.utils.version_control.checkout_last_safe,
                    old_permissions is updates.utils.permissions,
                    old_index is updates.index,
                    updates.utils.permissions.__spec__.name == "updates.utils.permissions",
                ]
            """
        )
        self.assertEqual([True] * 8, run.value)

    def test_the_older_path_alone_is_enough(self):
        run = self.run_main(
            f"from {OLD}.utils import log_message\ndef main(args):\n    log_message('x')\n    return True"
        )
        self.assertEqual([("INFO", "x")], run.logged)

    def test_an_unknown_name_is_an_import_error_that_names_it(self):
        for statement in (f"import {OLD}.utils.nothing", f"from {OLD}.utils import nothing", "import updates.nothing"):
            self.assertIn("nothing", self.run_main(statement).value["error"])

    def test_everything_that_is_exported_can_be_imported(self):
        run = self.run_main(
            "from updates.utils import *\nfrom updates.index import *\ndef main(args): return sorted(globals())"
        )
        for name in ("StateManager", "ModuleBackupInfo", "checkout_last_safe", "get_permissions", "load_root_config"):
            self.assertIn(name, run.value)


class State(HostTest):
    def call(self, expression, **replies):
        source = "from pathlib import Path\nfrom updates.utils.state_manager import *\ndef main(args): return [%s]"
        replies = {"state." + name: reply for name, reply in replies.items()}
        return self.run_main(source % expression, replies=replies)

    def test_a_backup_is_asked_for_with_all_its_parts(self):
        run = self.call(
            "StateManager('/b').backup_module_state('sample', description='d', files=['/etc/x', Path('/y')],"
            " services=['x'], databases=[{'type': 'sqlite', 'database': '/x.db'}])",
            backup=("ok", INFO),
        )
        arguments = {
            "backup_dir": "/b",
            "module_name": "sample",
            "description": "d",
            "files": ["/etc/x", "/y"],
            "services": ["x"],
            "databases": [{"type": "sqlite", "database": "/x.db"}],
        }
        self.assertEqual(([True], [("state.backup", arguments)]), (run.value, run.requests))

    def test_a_lone_path_or_service_is_a_list_of_one(self):
        run = self.call("backup_module_simple('a', files='/x', services='s')", backup=("ok", INFO))
        self.assertEqual((["/x"], ["s"]), (run.requests[0][1]["files"], run.requests[0][1]["services"]))
        self.assertEqual("/var/backups/updates", run.requests[0][1]["backup_dir"])

    def test_a_restore_is_asked_for_with_or_without_starting_services(self):
        run = self.call(
            "restore_module_simple('a'),"
            " create_state_manager('/b').restore_module_state_with_forced_service_start('a')",
            restore=("ok", {"restored": True}),
        )
        self.assertEqual([True, True], run.value)
        self.assertEqual([False, True], [arguments["forced_service_start"] for _, arguments in run.requests])

    def test_a_restore_that_did_not_restore_is_false(self):
        self.assertEqual([False], self.call("restore_module_simple('a')", restore=("ok", {"restored": False})).value)

    def test_information_on_slots_arrives_as_records(self):
        run = self.call(
            "StateManager().get_backup_info('a'), StateManager().list_module_backups(), StateManager().has_backup('a')",
            info=("ok", {**INFO, "added_later": 1}),
            list=("ok", {"sample": INFO}),
        )
        self.assertEqual([INFO, {"sample": INFO}, True], run.value)

    def test_an_empty_slot_is_none_and_false(self):
        run = self.call(
            "StateManager().get_backup_info('a'), StateManager().has_backup('a'),"
            " StateManager().remove_module_backup('a')",
            info=("ok", None),
            remove=("ok", {"removed": False}),
        )
        self.assertEqual(([None, False, False], []), (run.value, run.logged))

    def test_an_answer_of_the_wrong_shape_is_logged_and_not_taken(self):
        run = self.call(
            "StateManager().get_backup_info('a'), StateManager().list_module_backups()",
            info=("ok", {"module_name": "a"}),
            list=("ok", ["a"]),
        )
        self.assertEqual(([None, {}], 2), (run.value, len(run.logged)))

    def test_arguments_that_cannot_be_meant_raise_the_state_managers_error(self):
        for call in ("('')", "(None)", "('a', files=[3])", "('a', databases=['x'])", "('a', services=[''])"):
            run = self.call("StateManager().backup_module_state" + call)
            self.assertTrue(run.value["error"].startswith("StateManagerError: "), run.value)

    def test_the_record_has_the_manners_of_a_dataclass(self):
        run = self.run_main(
            f"""
            import dataclasses
            from updates.utils.state_manager import ModuleBackupInfo
            def main(args):
                fields = {INFO!r}
                one, two = ModuleBackupInfo(**fields), ModuleBackupInfo(*fields.values())
                try:
                    ModuleBackupInfo("a")
                except TypeError as error:
                    missing = str(error)
                return [
                    one == two, one != dataclasses.replace(one, checksum="11"), dataclasses.is_dataclass(one),
                    dataclasses.asdict(one), repr(one).startswith("ModuleBackupInfo(module_name='sample', "), missing,
                ]
            """
        )
        self.assertEqual([True, True, True, INFO, True, "ModuleBackupInfo needs 'timestamp'"], run.value)


class Versions(HostTest):
    def test_versions_are_listed_and_checked_out(self):
        tag = {"tag": "a-v1.0.0-20240610", "version": "1.0.0", "timestamp": "20240610"}
        run = self.run_main(
            """
            from updates.utils.version_control import *
            def main(args):
                checked_out = checkout_module_version("a", target_version="1.0.0")
                return [list_module_versions("a"), checked_out, checkout_last_safe("a")]
            """,
            replies={"version.list": ("ok", [tag]), "version.checkout": ("ok", {"version": "1.0.0"})},
        )
        self.assertEqual([[tag], True, True], run.value)
        wanted = [arguments.get("target_version") for _, arguments in run.requests]
        self.assertEqual(["1.0.0", None, None], wanted)

    def test_what_the_supervisor_does_not_offer_is_no_success(self):
        run = self.run_main(
            "from updates.utils import *\n"
            "def main(args): return [list_module_versions('a'), checkout_module_version('a')]"
        )
        self.assertEqual(([[], False], ["ERROR", "ERROR"]), (run.value, [level for level, _ in run.logged]))


class Permissions(HostTest):
    def call(self, expression, reply=("ok", {"changed": 1})):
        source = "from updates.utils.permissions import *\ndef main(args): return [%s]"
        return self.run_main(source % expression, replies={"permissions.set": reply})

    def test_modes_are_numbers_or_octal_text(self):
        run = self.call("*(PermissionTarget('/x', 'a', 'b', mode).mode for mode in (0o750, '750', '0750', '0o750'))")
        self.assertEqual([0o750] * 4, run.value)

    def test_modes_and_types_that_do_not_exist_are_refused(self):
        for arguments in ("'999'", "-1", "0o10000", "True", "7.5", "0, 'socket'"):
            run = self.call("PermissionTarget('/x', 'a', 'b', %s)" % arguments)
            self.assertTrue(run.value["error"].startswith("ValueError: "), (arguments, run.value))

    def test_targets_are_sent_whole(self):
        run = self.call(
            "PermissionManager('x').set_permissions([PermissionTarget('/x', 'a', 'b', '640', recursive=True)])"
        )
        target = {"path": "/x", "owner": "a", "group": "b", "mode": 0o640, "target_type": "auto", "recursive": True}
        self.assertEqual(([True], [("permissions.set", {"targets": [target]})]), (run.value, run.requests))

    def test_a_refusal_is_false(self):
        run = self.call("restore_service_permissions_simple('x', config_dir='/etc/x')", ("error", "declare /etc/x"))
        self.assertEqual(([False], [("ERROR", "declare /etc/x")]), (run.value, run.logged))

    def test_the_targets_of_a_service_are_those_of_the_places_that_are_given(self):
        run = self.call(
            "*((t.path, t.owner, t.mode) for t in create_service_permission_targets(service_name='x',"
            " data_dir='/var/lib/x', binary_path='/usr/bin/x', database_file='/var/lib/x/db'))"
        )
        self.assertEqual(
            [["/var/lib/x", "x", 0o750], ["/usr/bin/x", "root", 0o755], ["/var/lib/x/db", "x", 0o640]], run.value
        )

    def test_common_places_that_do_not_exist_are_no_success(self):
        run = self.call("fix_common_service_permissions('no-such-service')")
        self.assertEqual(([False], [], "WARNING"), (run.value, run.requests, run.logged[0][0]))

    def test_present_permissions_are_read_without_the_supervisor(self):
        run = self.call("get_permissions('/etc'), PermissionManager('x').get_permissions('/no/such')")
        found, missing = run.value
        self.assertEqual(("root", "directory", 0o755), (found["owner"], found["type"], found["mode"]))
        self.assertIsNone(missing)


class Services(HostTest):
    def call(self, expression, replies):
        return self.run_main("from updates import service\ndef main(args): return [%s]" % expression, replies=replies)

    def test_each_function_asks_for_one_thing_and_is_true_once_it_is_done(self):
        for verb in ("start", "stop", "restart", "reload", "enable", "disable"):
            run = self.call("service.%s('x')" % verb, {"service." + verb: ("ok", {"unit": "x.service", "done": verb})})
            self.assertEqual(([True], [("service." + verb, {"unit": "x"})]), (run.value, run.requests))

    def test_a_refusal_is_false_and_names_what_to_declare(self):
        run = self.call("service.restart('x')", {"service.restart": ("error", "declare x")})
        self.assertEqual(([False], [("ERROR", "declare x")]), (run.value, run.logged))

    def test_a_status_is_a_dict_and_what_is_not_known_is_not_active(self):
        expression = "service.status('x'), service.is_active('x'), service.is_enabled('x')"
        state = {"unit": "x.service", "active": True, "unit_file_state": "enabled"}
        run = self.call(expression, {"service.status": ("ok", state)})
        self.assertEqual([state, True, True], run.value)
        run = self.call(expression, {"service.status": ("error", "no")})
        self.assertEqual([None, False, False], run.value)

    def test_both_names_lead_to_the_same_functions(self):
        run = self.call(
            "service.start is __import__('updates.utils', fromlist=['x']).start_service,"
            " service.status is __import__('%s.utils.service', fromlist=['x']).get_service_status" % OLD,
            {},
        )
        self.assertEqual([True, True], run.value)


class Configuration(HostTest):
    def test_the_version_of_a_module_is_read_from_its_folder_or_its_file(self):
        good, bad = {"metadata": {"schema_version": "1.2.3"}}, "{"
        self.write({"index.json": bad}, "bad")
        run = self.run_main(
            """
            from pathlib import Path
            from updates.utils import get_module_version as version
            def main(args):
                here = Path(__file__).parent
                return [version(here), version(str(here) + "/"), version(here / "index.json"),
                        version(here / "none"), version(here.parent / "bad")]
            """,
            files={"index.json": json.dumps(good)},
        )
        self.assertEqual(["1.2.3", "1.2.3", "1.2.3", None, None], run.value)

    def test_the_root_configuration_is_a_dict_or_empty_with_a_warning(self):
        run = self.run_main(
            """
            import os
            from updates.utils.moduleUtils import load_root_config
            def main(args):
                here = os.path.dirname(__file__)
                return [load_root_config(path=here + "/" + name) for name in ("good", "list", "none")]
            """,
            files={"good": '{"a": 1}', "list": "[]"},
        )
        self.assertEqual([{"a": 1}, {}, {}], run.value)
        self.assertEqual(["WARNING", "WARNING"], [level for level, _ in run.logged])

    def test_the_configuration_is_returned_only_when_its_debug_flag_is_set(self):
        cases = [
            ({"debug": True}, True),
            ({"metadata": {"debug": "yes"}}, True),
            ({"configuration": {"debug": 1}}, True),
            ({"config": {"debug": True}}, True),
            ({"debug": False, "metadata": {"debug": True}}, False),
            ({"debug": "false"}, False),
            ({}, False),
        ]
        run = self.run_main(
            f"""
            from updates.utils.moduleUtils import conditional_config_return, get_module_debug_mode
            def main(args):
                configs = {[config for config, _ in cases]!r}
                return [["config" in conditional_config_return({{"success": True}}, c), get_module_debug_mode(c)]
                        for c in configs] + [conditional_config_return(False, {{"debug": True}}),
                        conditional_config_return(result={{}}, config={{"trace": True}}, debug_key="trace")]
            """
        )
        self.assertEqual([[expected] * 2 for _, expected in cases], run.value[:-2])
        self.assertEqual([False, {"config": {"trace": True}}], run.value[-2:])


if __name__ == "__main__":
    unittest.main()
