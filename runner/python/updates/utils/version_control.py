"""Versions of a module as git tags `<module>-v<version>-<timestamp>`.

The supervisor holds the repository, so each function here is a request to it, for the module's own code only. A
refusal is logged with its reason, and the function answers as for a failure. The module that asks keeps running the
code that it was started with: what it asked for takes its place when the run is settled.
"""

from updates import _request

__all__ = ["checkout_last_safe", "checkout_module_version", "list_module_versions"]


def checkout_module_version(module_name, target_version=None):
    """Put the module at `target_version` ("1.0.0"), or at its last safe version, when this run is settled.

    True when that version can be had, may be installed, and will be; False otherwise.
    """
    arguments = {"module_name": str(module_name), "target_version": target_version and str(target_version)}
    answer = _request.ask("version.checkout", arguments, None)
    return isinstance(answer, dict) and bool(answer.get("version"))


def list_module_versions(module_name):
    """Return the tagged versions, the newest first, as dicts with `tag`, `version` and `timestamp` (all str), or []."""
    answer = _request.ask("version.list", {"module_name": str(module_name)}, [])
    if not isinstance(answer, list):
        _request.unexpected("version.list", answer)
        return []
    return answer


def checkout_last_safe(module_name):
    """Put the module at its last safe version when this run is settled. True when that can be done."""
    return checkout_module_version(module_name)
