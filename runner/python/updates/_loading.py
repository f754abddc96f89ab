"""Loads a module's code as `modules.<name>.<entry>`, always from its source as it is now.

The module's folder D becomes the package `modules.<name>`, so relative imports work; D is also the first folder of
`sys.path`, so plain imports of files beside the entry work. Compiled files in D are never used: a restart after a
self-update must see the new source even when its size and modification time equal those of the old.
"""

import posix
import sys

_bootstrap = sys.modules["_frozen_importlib"]
_external = sys.modules["_frozen_importlib_external"]


def load_entry(entry):
    """Run the file `entry` (an absolute path) as a member of its module's package and return it."""
    directory, _, filename = entry.rpartition("/")
    root, _, name = directory.rpartition("/")
    _extend_path(directory)
    sys.path_hooks.insert(0, _hook(root, directory))

    # A dot would make Python look for a package in a package; relative imports work under any name.
    package_name = "modules." + name.replace(".", "_")
    _namespace("modules", [root, directory + "/modules"])
    package = _package(package_name, directory)
    setattr(sys.modules["modules"], package_name[8:], package)

    entry_name = package_name + "." + filename.rpartition(".")[0]
    module = sys.modules.get(entry_name)  # __init__.py may have imported it
    if module is None:
        module = _execute(_external.spec_from_file_location(entry_name, entry, loader=FreshLoader(entry_name, entry)))
        setattr(package, entry_name.rpartition(".")[2], module)
    return module


class FreshLoader(_external.SourceFileLoader):
    """Compiles the source at each import and neither reads nor writes compiled files."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _extend_path(directory):
    """Put the module's folder first and the distribution's packages last, as `site` would without its cost.

    `.pth` files are not read. Debian keeps its packages in dist-packages, for the interpreter under /usr only.
    """
    version = "python%d.%d" % sys.version_info[:2]
    sys.path.insert(0, directory)
    if sys.prefix == "/usr":
        sys.path.append("/usr/local/lib/%s/dist-packages" % version)
        sys.path.append("/usr/lib/python3/dist-packages")
    for library in dict.fromkeys((sys.platlibdir, "lib")):
        sys.path.append("%s/%s/%s/site-packages" % (sys.prefix, library, version))


def _hook(root, directory):
    inside = directory + "/"
    loaders = (
        (_external.ExtensionFileLoader, sys.modules["_imp"].extension_suffixes()),
        (FreshLoader, [".py"]),
    )

    def find(path):
        if path in (root, directory) or path.startswith(inside):
            return _external.FileFinder(path, *loaders)
        raise ImportError  # tells the import system to ask the next hook

    return find


def _namespace(name, folders):
    module = type(sys)(name)
    module.__spec__ = _bootstrap.ModuleSpec(name, None, is_package=True)
    module.__spec__.submodule_search_locations = module.__path__ = folders
    module.__package__ = name
    sys.modules[name] = module
    return module


def _package(name, directory):
    path = directory + "/__init__.py"
    try:
        posix.stat(path)
    except FileNotFoundError:
        return _namespace(name, [directory])
    loader = FreshLoader(name, path)
    return _execute(
        _external.spec_from_file_location(name, path, loader=loader, submodule_search_locations=[directory])
    )


def _execute(spec):
    module = _bootstrap.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(spec.name, None)
        raise
    return sys.modules[spec.name]
