"""The venvs module with real environments and wheels made on the spot; nothing is fetched."""

import os
import subprocess
import sys
import unittest
import zipfile

from support import ModuleTest


class VenvsTest(ModuleTest):
    module = "venvs"

    def setUp(self):
        super().setUp()
        self.venv = self.path("venv")
        os.mkdir(self.path("wheels"))
        for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE"):
            self.environment(name, os.devnull if name == "PIP_CONFIG_FILE" else None)

    def wheel(self, name, version, requires=()):
        """Write the smallest wheel that pip installs (PEP 427)."""
        info = f"{name}-{version}.dist-info"
        metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        metadata += "".join(f"Requires-Dist: {other}\n" for other in requires)
        with zipfile.ZipFile(self.path("wheels", f"{name}-{version}-py3-none-any.whl"), "w") as archive:
            archive.writestr(f"{name}.py", f"VERSION = '{version}'\n")
            archive.writestr(f"{info}/METADATA", metadata)
            archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")

    def declare(self, requirements, **settings):
        entry = {"path": self.venv, "requirements": requirements, "python": sys.executable, **settings}
        self.configure(environments=[entry], pip_options=["--no-index", "--find-links", self.path("wheels")])

    def version(self, name):
        command = [os.path.join(self.venv, "bin", "python"), "-c", f"import {name}; print({name}.VERSION)"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Runs(VenvsTest):
    def test_an_environment_lives_through_its_whole_life(self):
        self.wheel("alpha", "1.0")
        requirements = self.write("requirements.txt", "-r more.txt\n")
        self.write("more.txt", "alpha==1.0\n")
        self.declare(requirements)

        with self.subTest("a check says that it is missing"):
            self.assertEqual(self.check_module()["would_change"], [f"{self.venv}: is not there yet"])
        with self.subTest("it is made"):
            result = self.run_module()
            self.assertTrue(result["success"], result)
            self.assertTrue(result["changes"][self.venv]["created"])
            self.assertEqual(result["changes"][self.venv]["packages"]["alpha"], "none -> 1.0")
            self.assertEqual(self.version("alpha"), "1.0")
        with self.subTest("it is left alone, without pip"):
            os.rename(self.path("wheels"), self.path("elsewhere"))
            self.assertFalse(self.run_module()["updated"])
            os.rename(self.path("elsewhere"), self.path("wheels"))
        with self.subTest("an included file changes"):
            self.wheel("alpha", "2.0")
            self.write("more.txt", "alpha==2.0\n")
            self.assertEqual(self.check_module()["would_change"], [f"{self.venv}: requirements changed"])
            result = self.run_module()
            self.assertEqual(result["changes"][self.venv], {"created": False, "packages": {"alpha": "1.0 -> 2.0"}})
        with self.subTest("a requirement that can't be had fails and is tried again"):
            self.write("more.txt", "alpha==3.0\n")
            for _ in range(2):
                result = self.run_module()
                self.assertFalse(result["success"])
                self.assertIn("alpha==3.0", result["error"])
            self.write("more.txt", "alpha==2.0\n")
            self.assertTrue(self.run_module()["success"])
        with self.subTest("its interpreter is lost"):
            for name in os.listdir(os.path.join(self.venv, "bin")):
                if name.startswith("python"):
                    os.remove(os.path.join(self.venv, "bin", name))
            os.symlink("/no/such/python", os.path.join(self.venv, "bin", "python"))
            self.assertEqual(self.check_module()["would_change"], [f"{self.venv}: has lost its interpreter"])
            self.assertTrue(self.run_module()["changes"][self.venv]["created"])
            self.assertEqual(self.version("alpha"), "2.0")

        with self.subTest("packages that do not fit together fail the run"):
            self.wheel("beta", "1.0", requires=["alpha>=3"])
            self.declare(["beta"], pip_options=["--no-deps"])
            result = self.run_module()
            self.assertFalse(result["success"])
            self.assertIn("does not fit together", result["error"])


class Decisions(VenvsTest):
    def test_without_environments_it_says_so(self):
        self.assertTrue(self.run_module()["success"])
        self.assertIn("No Python environment", self.log())

    def test_a_disabled_environment_is_left_out(self):
        self.declare(["alpha"], enabled=False)
        self.assertEqual(self.run_module()["environments"], 0)

    def test_wrong_declarations_are_named(self):
        for settings, reason in (
            ({"path": "relative"}, "absolute"), ({"path": "/a/../b"}, "'..'"), ({"requirements": None}, "requirements"),
            ({"requirements": "relative.txt"}, "absolute"), ({"requirements": ["a\n-e /"]}, "one line"),
            ({"pip_options": "--pre"}, "pip_options"), ({"system_site_packages": 1}, "true or false"),
            ({"interpreter": "x"}, "unknown setting"), ({"requirements": self.path("none.txt")}, "No such file"),
            ({"python": "/no/such/python"}, "can't be started"),
        ):
            with self.subTest(settings=settings):
                self.declare(["alpha"])
                self.configure(environments=[{"path": self.venv, "requirements": ["alpha"], **settings}])
                result = self.run_module()
                self.assertFalse(result["success"])
                self.assertIn(reason, result["error"])
        self.assertFalse(os.path.exists(self.venv))

    def test_a_failed_environment_does_not_keep_the_others_from_being_looked_at(self):
        good = {"path": self.venv, "requirements": [], "python": sys.executable}
        self.configure(environments=[{"path": "bad"}, good])
        result = self.check_module()
        self.assertFalse(result["success"])
        self.assertEqual(result["would_change"], [f"{self.venv}: is not there yet"])

    def test_another_minor_version_means_a_new_environment(self):
        self.load()
        from components.declared import parse
        from components.fingerprint import needs

        environment = parse({"path": self.venv, "requirements": []}, [])
        self.write("venv/bin/python", "")
        for text, expected in (
            ("home = /usr/bin\nversion = 3.11.2\n", None),
            ("version_info = 3.11.9.final.0\n", None),
            ("version = 3.9.2\n", "made for Python 3.9.2"),
            ("home = /usr/bin\n", "unknown version"),
            ("version = 3.11.2\ninclude-system-site-packages = true\n", "system_site_packages"),
        ):
            with self.subTest(text=text):
                self.write("venv/pyvenv.cfg", text)
                reason = needs(environment, "3.11.7")
                self.assertEqual(reason is None, expected is None)
                self.assertIn(expected or "", reason or "")

    def test_the_fingerprint_follows_everything_that_decides(self):
        self.load()
        from components.declared import parse
        from components.fingerprint import fingerprint

        self.write("r.txt", "-c sub/c.txt\n-r r.txt\n")
        self.write("sub/c.txt", "a==1\n")

        def current(version="3.11.2", **settings):
            entry = {"path": self.venv, "requirements": self.path("r.txt"), **settings}
            return fingerprint(parse(entry, []), version)

        first = current()
        self.assertEqual(first, current())
        others = [current("3.11.3"), current(pip_options=["--pre"]), current(system_site_packages=True)]
        self.write("sub/c.txt", "a==2\n")
        others.append(current())
        self.assertEqual(len({first, *others}), 5)
        self.assertNotEqual(current(requirements=["a", "b"]), current(requirements=["ab"]))

    def test_the_lines_that_include_files_are_recognised(self):
        self.load()
        from components.fingerprint import included

        for line, expected in (
            ("-r a.txt", "a.txt"), ("-ra.txt", "a.txt"), ("--requirement=a.txt", "a.txt"), ("-c a.txt # why", "a.txt"),
            ("--constraint a.txt", "a.txt"), ("requests", None), ("--require-hashes", None), ("# -r a.txt", None),
        ):
            self.assertEqual(included(line), expected, line)


if __name__ == "__main__":
    unittest.main()
