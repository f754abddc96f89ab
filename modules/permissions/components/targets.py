"""Turn one entry of `configuration.targets` into a checked Target.

Everything a walk needs is decided here, user and group names included, so that a typing error is found before the
first file is touched. Nothing here opens a declared path.
"""

import grp
import os
import pwd

KNOWN = {
    "id", "path", "owner", "group", "mode", "directory_mode", "recursive", "optional", "hard_links", "enabled",
    "description",
}


class TargetError(Exception):
    """A target that can't be used, with the reason for a person."""


class Target:
    """One checked target; `uid`, `gid` and the modes are None where they are to stay as they are."""

    def __init__(self, path, uid, gid, file_mode, directory_mode, recursive, optional, hard_links):
        self.path = path
        self.uid = uid
        self.gid = gid
        self.file_mode = file_mode
        self.directory_mode = directory_mode
        self.recursive = recursive
        self.optional = optional
        self.hard_links = hard_links


def parse_target(entry):
    """Check one declared target; raises TargetError."""
    if not isinstance(entry, dict):
        raise TargetError("is not an object")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise TargetError(f"path must be absolute, not {path!r}")
    if ".." in path.split("/"):
        raise TargetError(f"{path}: a path may not contain '..'")
    normal = os.path.normpath(path)
    if normal.strip("/") == "":
        raise TargetError("the root folder can't be a target")
    unknown = sorted(set(entry) - KNOWN)
    if unknown:
        raise TargetError(f"{path}: unknown setting {unknown[0]!r}")

    recursive = flag(entry, "recursive", path)
    mode = parse_mode(entry.get("mode"), path)
    directory_mode = parse_mode(entry.get("directory_mode"), path)
    if directory_mode is None and mode is not None:
        # A mode for a tree is written with its files in mind: a folder needs x wherever it may be read.
        directory_mode = searchable(mode) if recursive else mode
    target = Target(
        normal, user_id(entry.get("owner"), path), group_id(entry.get("group"), path), mode, directory_mode,
        recursive, flag(entry, "optional", path), flag(entry, "hard_links", path),
    )
    if target.uid is None and target.gid is None and mode is None and directory_mode is None:
        raise TargetError(f"{path}: says neither owner nor group nor mode")
    return target


def flag(entry, key, path):
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise TargetError(f"{path}: {key} must be true or false")
    return value


def parse_mode(value, path):
    """Read an octal string; a JSON number is refused because 640 and 0o640 can't be told apart in it."""
    if value is None:
        return None
    if not isinstance(value, str) or not 3 <= len(value) <= 5 or value.strip("01234567"):
        raise TargetError(f"{path}: mode must be an octal string such as \"0640\", not {value!r}")
    mode = int(value, 8)
    if mode > 0o7777:
        raise TargetError(f"{path}: mode {value} is out of range")
    return mode


def searchable(mode):
    """The mode with x added wherever r is set."""
    return mode | (mode & 0o444) >> 2


def user_id(value, path):
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    try:
        return pwd.getpwnam(value).pw_uid
    except (KeyError, TypeError):
        raise TargetError(f"{path}: no user {value!r} on this machine") from None


def group_id(value, path):
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    try:
        return grp.getgrnam(value).gr_gid
    except (KeyError, TypeError):
        raise TargetError(f"{path}: no group {value!r} on this machine") from None
