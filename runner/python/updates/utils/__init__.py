"""The utilities of the SDK in one place; all but logging are loaded when they are first used."""

from updates.utils.index import get_module_version, is_check, log_message, progress

_HOMES = {
    "state_manager": (
        "ModuleBackupInfo",
        "StateManager",
        "StateManagerError",
        "backup_module_simple",
        "create_state_manager",
        "restore_module_simple",
    ),
    "version_control": ("checkout_last_safe", "checkout_module_version", "list_module_versions"),
    "permissions": (
        "PermissionManager",
        "PermissionTarget",
        "create_service_permission_targets",
        "fix_common_service_permissions",
        "get_permissions",
        "restore_service_permissions_simple",
    ),
    "service": (
        "disable_service",
        "enable_service",
        "get_service_status",
        "is_service_active",
        "is_service_enabled",
        "reload_service",
        "restart_service",
        "start_service",
        "stop_service",
    ),
    "moduleUtils": ("conditional_config_return", "get_module_debug_mode", "load_root_config"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["get_module_version", "is_check", "log_message", "progress"]
__all__ += list(_HOME_OF)


def __getattr__(name):
    home = name if name in _HOMES else _HOME_OF.get(name)
    if home is None:
        raise AttributeError("module %r has no attribute %r" % (__name__, name))
    __import__("updates.utils." + home)
    import sys

    module = sys.modules["updates.utils." + home]
    value = module if name in _HOMES else getattr(module, name)
    globals()[name] = value
    return value
