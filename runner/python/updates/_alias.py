"""Lets one tree of modules be imported under a second name: the same objects, not copies.

Modules of an older layout import the SDK as `initialization.files.user_local_lib.updates...`; a class that exists
twice would fail every `isinstance` and `except` across the two names.
"""

import sys

_bootstrap = sys.modules["_frozen_importlib"]


def install(alias, original):
    """From now on let `alias` and every name below it import what `original` and the name below it are."""
    sys.meta_path.insert(0, _Finder(alias, original))


class _Finder:
    def __init__(self, alias, original):
        self._alias = alias
        self._original = original

    def find_spec(self, name, path=None, target=None):
        if not name.startswith(self._alias + "."):
            return None
        original = self._original + name[len(self._alias) :]
        try:
            __import__(original)
        except ModuleNotFoundError as error:
            if error.name != original:
                raise
            return None
        return _bootstrap.ModuleSpec(name, _Loader(sys.modules[original]))


class _Loader:
    def __init__(self, module):
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec):
        return self._module

    def exec_module(self, module):
        module.__spec__ = self._spec  # the import system has just put the alias's there
