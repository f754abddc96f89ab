"""How a module's files import each other, and that only their present source counts."""

import os
import pathlib
import py_compile
import sys
import unittest

from support import HostTest


class Loading(HostTest):
    def test_relative_plain_and_absolute_imports_reach_the_modules_own_files(self):
        run = self.run_main(
            """
            from . import z
            from .components.x import y
            from modules.sample.components import x
            import helper
            import components.x
            def main(args):
                return [z.NAME, y, x.y, helper.NAME, components.x.y]
            """,
            files={
                "__init__.py": "",
                "z.py": "NAME = __name__",
                "helper.py": "NAME = __name__",
                "components/__init__.py": "",
                "components/x.py": "y = __name__",
            },
        )
        package = "modules.sample"
        x = package + ".components.x"
        self.assertEqual([package + ".z", x, x, "helper", "components.x"], run.value)

    def test_a_module_knows_its_name_file_and_package(self):
        run = self.run_main("def main(args): return [__name__, __file__, __package__]")
        entry = str(self.root / "modules/sample/index.py")
        self.assertEqual(["modules.sample.index", entry, "modules.sample"], run.value)

    def test_the_package_file_runs_once_and_first(self):
        run = self.run_main(
            "import modules.sample as package\npackage.order.append('index')\ndef main(args): return package.order",
            files={"__init__.py": "order = ['package']"},
        )
        self.assertEqual(["package", "index"], run.value)

    def test_an_entry_that_the_package_file_imports_runs_once(self):
        run = self.run_main(
            "import builtins\nbuiltins.count = getattr(builtins, 'count', 0) + 1\ndef main(args): return count",
            files={"__init__.py": "from .index import main"},
        )
        self.assertEqual(1, run.value)

    def test_names_with_dots_and_hyphens_load_with_relative_imports(self):
        for name in ("my-module", "a.b", "v1.2-x_y", "..odd"):
            with self.subTest(name=name):
                run = self.run_main("from .z import A\ndef main(args): return [A]", name=name, files={"z.py": "A = 1"})
                self.assertEqual([1], run.value)

    def test_the_installed_name_of_a_module_is_the_same_module(self):
        run = self.run_main(
            """
            import updates.modules.sample.helper as one
            import initialization.files.user_local_lib.updates.modules.sample.helper as two
            from . import helper
            def main(args):
                return [one is helper, two is helper]
            """,
            files={"helper.py": ""},
        )
        self.assertEqual([True, True], run.value)

    def test_a_folder_named_modules_inside_the_module_is_found(self):
        run = self.run_main(
            "from modules.part import A\ndef main(args): return [A]", files={"modules/part.py": "A = 1"}
        )
        self.assertEqual([1], run.value)

    def test_a_stale_compiled_file_of_equal_time_and_size_does_not_win(self):
        for compiled in (
            py_compile.PycInvalidationMode.TIMESTAMP,
            py_compile.PycInvalidationMode.UNCHECKED_HASH,
            py_compile.PycInvalidationMode.CHECKED_HASH,
        ):
            with self.subTest(compiled=compiled.name):
                files = {"index.py": "from .part import A\ndef main(args): return [A]", "part.py": "A = 1"}
                directory = self.write(files)
                for name in files:
                    py_compile.compile(str(directory / name), invalidation_mode=compiled)
                before = os.stat(directory / "part.py")
                self.write({"part.py": "A = 2"})
                os.utime(directory / "part.py", ns=(before.st_atime_ns, before.st_mtime_ns))
                self.assertEqual([2], self.run_host("main", directory / "index.py").value)

    def test_a_compiled_file_with_the_hash_of_the_source_is_used(self):
        directory = self.write({"index.py": "def main(args): return [1]"})
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compiled = pathlib.Path(py_compile.compile(str(directory / "index.py"), invalidation_mode=mode))
        other = self.write({"index.py": "def main(args): return [2]"}, "other")
        marked = pathlib.Path(py_compile.compile(str(other / "index.py"), invalidation_mode=mode))
        compiled.write_bytes(compiled.read_bytes()[:16] + marked.read_bytes()[16:])
        self.assertEqual([2], self.run_host("main", directory / "index.py").value)

    def test_a_damaged_compiled_file_is_passed_over(self):
        directory = self.write({"index.py": "def main(args): return [1]"})
        mode = py_compile.PycInvalidationMode.CHECKED_HASH
        compiled = pathlib.Path(py_compile.compile(str(directory / "index.py"), invalidation_mode=mode))
        compiled.write_bytes(compiled.read_bytes()[:20])
        self.assertEqual([1], self.run_host("main", directory / "index.py").value)

    def test_a_compiled_file_without_its_source_is_not_imported(self):
        directory = self.write({"index.py": "import ghost", "ghost.py": ""})
        py_compile.compile(str(directory / "ghost.py"), cfile=str(directory / "ghost.pyc"))
        (directory / "ghost.py").unlink()
        run = self.run_host("main", directory / "index.py")
        self.assertEqual("ModuleNotFoundError: No module named 'ghost'", run.value["error"])

    def test_nothing_is_written_into_the_modules_folder(self):
        self.run_main("from . import z\ndef main(args): return True", files={"z.py": ""})
        self.assertEqual([], [str(path) for path in self.root.rglob("*.pyc")])

    def test_the_standard_library_is_there(self):
        run = self.run_main("import json, subprocess, datetime\ndef main(args): return json.loads('[1]')")
        self.assertEqual([1], run.value, sys.version)


if __name__ == "__main__":
    unittest.main()
