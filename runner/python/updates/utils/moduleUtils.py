"""Reading the global configuration, and handing a module's configuration out for debugging.

The name is the one that modules import.
"""

from updates import _decode
from updates.index import log_message

__all__ = ["conditional_config_return", "get_module_debug_mode", "load_root_config"]

ROOT_CONFIG = "/usr/local/lib/updates/index.json"


def load_root_config(path=ROOT_CONFIG):
    """Return the global index.json as a dict; {} after a WARNING line when it can't be read."""
    try:
        config = _decode.load_file(path)
    except (OSError, ValueError) as error:
        log_message("the global configuration %s can't be read: %s" % (path, error), "WARNING")
        return {}
    if not isinstance(config, dict):
        log_message("the global configuration %s is not a JSON object" % path, "WARNING")
        return {}
    return config


def get_module_debug_mode(config, debug_key="debug"):
    """Whether the flag `debug_key` is set in a module's manifest.

    It is looked up at the top level, then under `metadata`, then under `configuration` or, in older modules, `config`;
    the first place that has it decides. True, 1 and the words "true", "yes", "on" and "1" set it.
    """
    if not isinstance(config, dict):
        return False
    for place in (config, config.get("metadata"), config.get("configuration"), config.get("config")):
        if isinstance(place, dict) and debug_key in place:
            flag = place[debug_key]
            return flag.strip().lower() in ("true", "yes", "on", "1") if isinstance(flag, str) else bool(flag)
    return False


def conditional_config_return(result, config, debug_key="debug"):
    """Return `result` with `config` added under "config" when the debug flag is set, and as it is otherwise.

    `result` itself is never changed. A result that is not a dict has no place for it and is returned as it is.
    """
    if isinstance(result, dict) and get_module_debug_mode(config, debug_key):
        return {**result, "config": config}
    return result
