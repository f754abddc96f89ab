"""One backup slot a module: files, services and databases, backed up and restored by the supervisor.

A module may ask for its own declared paths, services and databases only; the supervisor's refusal names what to
declare. All methods log why they could not do what they were asked and answer False, None or {}.
"""

from updates import _request
from updates._record import Record

__all__ = [
    "ModuleBackupInfo",
    "StateManager",
    "StateManagerError",
    "backup_module_simple",
    "create_state_manager",
    "restore_module_simple",
]

DEFAULT_BACKUP_DIR = "/var/backups/updates"


class StateManagerError(Exception):
    """The arguments can't be what was meant: no module name, or a file, service or database of the wrong type."""


class ModuleBackupInfo(Record):
    """What a slot holds. `timestamp` is in seconds since 1970, `checksum` is SHA-256 in hexadecimal."""

    module_name: str
    timestamp: int
    description: str
    backup_dir: str
    files: "list[str]"
    services: "list[str]"
    databases: "list[dict]"
    checksum: str


class StateManager:
    """The slots under `backup_dir`."""

    def __init__(self, backup_dir=DEFAULT_BACKUP_DIR):
        self.backup_dir = _text(backup_dir, "the backup directory")

    def backup_module_state(self, module_name, description="", files=None, services=None, databases=None):
        """Back up into the module's slot, in place of what it held. True once the backup is complete.

        `files` are paths of files or folders, `services` unit names, `databases` dicts such as
        {"type": "postgresql", "host": ..., "user": ..., "database": ...} or {"type": "sqlite", "database": path}.
        Raises StateManagerError for arguments of the wrong type.
        """
        arguments = self._slot(module_name)
        arguments["description"] = str(description or "")
        arguments["files"] = [_text(each, "a file") for each in _listed(files)]
        arguments["services"] = [_text(each, "a service") for each in _listed(services)]
        arguments["databases"] = [_database(each) for each in _listed(databases)]
        answer = _request.ask("state.backup", arguments, None)
        return isinstance(answer, dict)

    def restore_module_state(self, module_name):
        """Put files, services and databases back as the slot has them. True once all of it is done."""
        return self._restore(module_name, forced_service_start=False)

    def restore_module_state_with_forced_service_start(self, module_name):
        """Restore, and start the slot's services even where they were not running when it was made."""
        return self._restore(module_name, forced_service_start=True)

    def has_backup(self, module_name):
        """Whether the module's slot holds a backup."""
        return self.get_backup_info(module_name) is not None

    def get_backup_info(self, module_name):
        """Return the ModuleBackupInfo of the module's slot, or None."""
        answer = _request.ask("state.info", self._slot(module_name), None)
        return None if answer is None else _info("state.info", answer)

    def list_module_backups(self):
        """Return a dict of module name to ModuleBackupInfo."""
        answer = _request.ask("state.list", {"backup_dir": self.backup_dir}, {})
        if not isinstance(answer, dict):
            _request.unexpected("state.list", answer)
            return {}
        found = {name: _info("state.list", each) for name, each in answer.items()}
        return {name: info for name, info in found.items() if info is not None}

    def remove_module_backup(self, module_name):
        """Empty the module's slot. True when there was a backup and it is gone."""
        answer = _request.ask("state.remove", self._slot(module_name), None)
        return isinstance(answer, dict) and answer.get("removed") is True

    def _restore(self, module_name, forced_service_start):
        arguments = self._slot(module_name)
        arguments["forced_service_start"] = forced_service_start
        answer = _request.ask("state.restore", arguments, None)
        return isinstance(answer, dict) and answer.get("restored") is True

    def _slot(self, module_name):
        return {"backup_dir": self.backup_dir, "module_name": _text(module_name, "the module name")}


def create_state_manager(backup_dir=DEFAULT_BACKUP_DIR):
    """Return a StateManager for `backup_dir`."""
    return StateManager(backup_dir)


def backup_module_simple(module_name, description="", files=None, services=None, databases=None):
    """Back up into the module's slot under the default directory; see StateManager.backup_module_state."""
    return StateManager().backup_module_state(module_name, description, files, services, databases)


def restore_module_simple(module_name):
    """Restore from the module's slot under the default directory."""
    return StateManager().restore_module_state(module_name)


def _info(operation, answer):
    """Fields that a later supervisor adds are left out; a missing one makes the answer unusable."""
    try:
        return ModuleBackupInfo(**{name: answer[name] for name in ModuleBackupInfo.__annotations__})
    except (LookupError, TypeError):
        _request.unexpected(operation, answer)
        return None


def _listed(values):
    if values is None:
        return []
    return [values] if isinstance(values, (str, bytes, dict)) or hasattr(values, "__fspath__") else list(values)


def _text(value, what):
    value = value.__fspath__() if hasattr(value, "__fspath__") else value
    if not isinstance(value, str) or not value:
        raise StateManagerError("%s must be a str that is not empty, not %r" % (what, value))
    return value


def _database(value):
    if not isinstance(value, dict):
        raise StateManagerError("a database must be a dict with its type and name, not %r" % (value,))
    return value
