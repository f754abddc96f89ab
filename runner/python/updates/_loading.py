"""Loads a module's code as `modules.<name>.<entry>`, always from its source as it is now.

The module's folder D becomes the package `modules.<name>`, so relative imports work; D is also the first folder of
`sys.path`, so plain imports of files beside the entry work. A compiled file in D is never believed for its time stamp:
a restart after a self-update must see the new source even when its size and modification time equal those of the old.
"""

import _imp
import io
import marshal
import posix
import sys

_bootstrap = sys.modules["_frozen_importlib"]
_external = sys.modules["_frozen_importlib_external"]
_HASH_CHECKED = b"\x03\x00\x00\x00"  # the flags of PEP 552: by hash, and to be checked
_CODE = type((lambda: None).__code__)


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
    """Reads the source at each import; a compiled file is used only if it carries the hash of exactly this source.

    That is what `compileall --invalidation-mode checked-hash` writes (PEP 552). Nothing is written here.
    """

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = self.get_data(path)
        return _compiled(path, source) or self.source_to_code(source, path)


def _compiled(path, source):
    try:
        with io.open_code(_external.cache_from_source(path)) as file:
            data = file.read()
        magic = _external.MAGIC_NUMBER
        if data[:4] != magic or data[4:8] != _HASH_CHECKED:
            return None
        if data[8:16] != _imp.source_hash(int.from_bytes(magic, "little"), source):
            return None
        code = marshal.loads(data[16:])
    except (OSError, ValueError, EOFError, TypeError, NotImplementedError):
        return None  # none there, cut short, or damaged
    if not isinstance(code, _CODE):
        return None
    _imp._fix_co_filename(code, path)  # it may have been compiled in another folder
    return code


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
        (_external.ExtensionFileLoader, _imp.extension_suffixes()),
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
