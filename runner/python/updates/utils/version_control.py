"""Versions of a module as git tags `<module>-v<version>-<timestamp>`.

The supervisor holds the repository, so each function here is a request to it. A supervisor without version control
refuses; the refusal is logged and the function answers as for a failure.
"""

from updates import _request

__all__ = ["checkout_last_safe", "checkout_module_version", "list_module_versions"]


def checkout_module_version(module_name, target_version=None):
    """Put the module at `target_version` ("1.0.0"), or at its manifest's last safe version. True when that is done."""
    arguments = {"module_name": str(module_name), "target_version": target_version and str(target_version)}
    answer = _request.ask("version.checkout", arguments, None)
    return isinstance(answer, dict) and bool(answer.get("version"))


def list_module_versions(module_name):
    """Return the tagged versions as dicts with `tag`, `version` and `timestamp` (all str), or []."""
    answer = _request.ask("version.list", {"module_name": str(module_name)}, [])
    if not isinstance(answer, list):
        _request.unexpected("version.list", answer)
        return []
    return answer


def checkout_last_safe(module_name):
    """Put the module at its manifest's last safe version. True when that is done."""
    return checkout_module_version(module_name)
