"""Logging under the name `updates.utils.index`, and the version of a module's folder."""

import posix

from updates.index import is_check, log_message, progress

__all__ = ["get_module_version", "is_check", "log_message", "progress"]


def get_module_version(module_path):
    """Return `metadata.schema_version` of a module's index.json, or None when there is none that can be read.

    `module_path` is the module's folder or the index.json itself, as str or path object.
    """
    from updates import _decode

    path = posix.fspath(module_path)
    path = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    if not path.endswith(".json"):
        path = path.rstrip("/") + "/index.json"
    try:
        metadata = _decode.load_file(path)["metadata"]
        version = metadata["schema_version"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return version if isinstance(version, str) else None
