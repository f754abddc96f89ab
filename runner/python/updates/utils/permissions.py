"""Owner, group and mode of files, set by the supervisor within the paths that the module declares."""

import posix

from updates import _request
from updates._record import Record
from updates.index import log_message

__all__ = [
    "PermissionManager",
    "PermissionTarget",
    "create_service_permission_targets",
    "fix_common_service_permissions",
    "get_permissions",
    "restore_service_permissions_simple",
]

_TYPES = ("auto", "file", "directory")


class PermissionTarget(Record):
    """What one path shall belong to and allow.

    `mode` is an int (0o750) or an octal str ("750", "0750", "0o750"); it is kept as int. `target_type` is "auto",
    "file" or "directory"; with `recursive` the target covers all below a folder. Raises ValueError for a mode or a
    type that does not exist.
    """

    path: str
    owner: str
    group: str
    mode: int
    target_type: str = "auto"
    recursive: bool = False

    def __init__(self, *values, **named):
        super().__init__(*values, **named)
        self.path = str(self.path)
        self.mode = _mode(self.mode)
        if self.target_type not in _TYPES:
            raise ValueError("target_type must be one of %s, not %r" % (", ".join(_TYPES), self.target_type))


class PermissionManager:
    """Sets permissions on behalf of one module. `module_name` appears in what is logged."""

    def __init__(self, module_name):
        self.module_name = module_name

    def set_permissions(self, targets):
        """Apply the PermissionTargets, all or none. True once they hold; nothing to do is True as well."""
        targets = [targets] if isinstance(targets, PermissionTarget) else list(targets)
        if not targets:
            return True
        arguments = {"targets": [_as_dict(target) for target in targets]}
        answer = _request.ask("permissions.set", arguments, None)
        if not isinstance(answer, dict):
            return False
        log_message("permissions of %s: %s changed" % (self.module_name, answer.get("changed", 0)), "DEBUG")
        return True

    def get_permissions(self, path):
        """See the function `get_permissions`."""
        return get_permissions(path)


def create_service_permission_targets(
    service_name,
    config_dir=None,
    data_dir=None,
    log_dir=None,
    binary_path=None,
    database_file=None,
    owner=None,
    group=None,
):
    """Return the usual targets of a service, for those of its places that are given.

    Folders get 0o750 with all below them, a database file 0o640, both for `owner` and `group` (the service's name
    where they are not given); the binary gets 0o755 and belongs to root.
    """
    owner = owner or service_name
    group = group or service_name
    targets = [
        PermissionTarget(folder, owner, group, 0o750, "directory", recursive=True)
        for folder in (config_dir, data_dir, log_dir)
        if folder
    ]
    if binary_path:
        targets.append(PermissionTarget(binary_path, "root", "root", 0o755, "file"))
    if database_file:
        # After the folder that it is likely to lie in, whose mode it would get otherwise.
        targets.append(PermissionTarget(database_file, owner, group, 0o640, "file"))
    return targets


def restore_service_permissions_simple(
    service_name, config_dir=None, data_dir=None, log_dir=None, binary_path=None, database_file=None
):
    """Apply `create_service_permission_targets` of the places that are given. True once they hold."""
    targets = create_service_permission_targets(service_name, config_dir, data_dir, log_dir, binary_path, database_file)
    return PermissionManager(service_name).set_permissions(targets)


def fix_common_service_permissions(service_name):
    """Apply the usual targets to /etc, /var/lib and /var/log/<service_name>, as far as these exist.

    False, with a warning, when none of them does.
    """
    places = ["%s/%s" % (parent, service_name) for parent in ("/etc", "/var/lib", "/var/log")]
    found = [place if _exists(place) else None for place in places]
    if not any(found):
        log_message("%s: none of %s exists" % (service_name, ", ".join(places)), "WARNING")
        return False
    return restore_service_permissions_simple(service_name, *found)


def get_permissions(path):
    """Return what `path` has now, without following a symbolic link, or None after an ERROR line.

    A dict of `path`, `owner` and `group` (numbers as str where they have no name), `uid`, `gid`, `mode` (int),
    `mode_octal` ("0750") and `type` ("file", "directory", "symlink" or "other").
    """
    path = str(path)
    try:
        status = posix.lstat(path)
    except OSError as error:
        log_message("the permissions of %s can't be read: %s" % (path, error.strerror), "ERROR")
        return None
    mode = status.st_mode & 0o7777
    return {
        "path": path,
        "owner": _name("pwd", "getpwuid", status.st_uid),
        "group": _name("grp", "getgrgid", status.st_gid),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mode": mode,
        "mode_octal": "%04o" % mode,
        "type": {0o100000: "file", 0o040000: "directory", 0o120000: "symlink"}.get(status.st_mode & 0o170000, "other"),
    }


def _mode(value):
    if isinstance(value, str):
        try:
            value = int(value, 8)
        except ValueError:
            raise ValueError("mode must be octal, such as 0o750 or '750', not %r" % value) from None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 0o7777:
        raise ValueError("mode must lie between 0 and 0o7777, not %r" % (value,))
    return value


def _as_dict(target):
    return {name: getattr(target, name) for name in PermissionTarget.__annotations__}


def _name(database, function, number):
    try:
        return getattr(__import__(database), function)(number)[0]
    except KeyError:
        return str(number)


def _exists(path):
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
