"""What the tests of the shipped modules share: a module is loaded from a copy of its folder.

Each test has its own copy, its own index.json and its own state directory. The SDK is replaced by a recorder, because
what is tested here is the module and not the channel that its messages travel on.
"""

import importlib.util
import json
import os
import shutil
import sys
import tempfile
import types
import unittest

REPOSITORY = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
MODULES = os.path.join(REPOSITORY, "modules")


class ModuleTest(unittest.TestCase):
    """A test with a private copy of one shipped module."""

    module = None

    def setUp(self):
        self.root = os.path.realpath(tempfile.mkdtemp(prefix="updates-module-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)
        self.folder = os.path.join(self.root, "modules", self.module)
        self.state = os.path.join(self.root, "state")
        os.mkdir(self.state)
        shutil.copytree(os.path.join(MODULES, self.module), self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self.messages = []
        self.steps = []
        for key, value in {"STATE_DIRECTORY": self.state, "UPDATES_MODULE": self.module, "TMPDIR": self.root}.items():
            self.environment(key, value)
        self.environment("UPDATES_CHECK", None)

    def environment(self, key, value):
        before = os.environ.get(key)
        self.addCleanup(self._set_environment, key, before)
        self._set_environment(key, value)

    @staticmethod
    def _set_environment(key, value):
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def write(self, path, text, mode=None):
        path = path if os.path.isabs(path) else self.path(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        if mode is not None:
            os.chmod(path, mode)
        return path

    def read(self, path):
        with open(path if os.path.isabs(path) else self.path(path), encoding="utf-8") as stream:
            return stream.read()

    def configure(self, **configuration):
        """Replace settings in the copy's index.json, as the supervisor does with local settings."""
        path = os.path.join(self.folder, "index.json")
        manifest = json.loads(self.read(path))
        manifest["configuration"].update(configuration)
        self.write(path, json.dumps(manifest))

    def load(self):
        """Import the copy's index.py afresh, with a recorder in the place of the SDK."""
        for name in [name for name in sys.modules if name == "components" or name.startswith("components.")]:
            del sys.modules[name]
        self._leave()
        sys.path.insert(0, self.folder)
        package, index = types.ModuleType("updates"), types.ModuleType("updates.index")
        index.log_message = lambda message, level="INFO": self.messages.append((level, message))
        index.progress = lambda step, current=None, total=None, unit=None: self.steps.append((step, current, total))
        package.index = index
        sys.modules["updates"], sys.modules["updates.index"] = package, index
        specification = importlib.util.spec_from_file_location("module_index", os.path.join(self.folder, "index.py"))
        loaded = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(loaded)
        self.addCleanup(self._leave)
        return loaded

    def _leave(self):
        sys.path[:] = [entry for entry in sys.path if entry != self.folder]

    def run_module(self, *arguments):
        result = self.load().main(list(arguments))
        json.dumps(result)
        return result

    def check_module(self):
        """Run a check and prove that no file under the test's root was touched."""
        before = self.snapshot()
        result = self.run_module("--check")
        self.assertEqual(before, self.snapshot(), "a check changed something")
        self.assertFalse(result["updated"])
        return result

    def snapshot(self):
        found = {}
        for folder, names, files in os.walk(self.root):
            names[:] = [name for name in names if name != "__pycache__"]
            for name in names + files:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                found[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_size, status.st_mtime_ns
                               if os.path.isfile(path) else 0)
        return found

    def log(self, level=None):
        return "\n".join(message for kind, message in self.messages if level in (None, kind))
