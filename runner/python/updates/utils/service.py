"""Services, looked at and controlled by systemd on the module's behalf.

A module may name the units that its index.json declares in `sandbox.services`, `configuration.services` or
`configuration.service_name`; the supervisor's refusal says what to declare. Every function logs why it could not do
what it was asked and answers False, None or "unknown". What a module changed is taken back when the module fails.
"""

from updates import _request

__all__ = [
    "disable_service",
    "enable_service",
    "get_service_status",
    "is_service_active",
    "is_service_enabled",
    "reload_service",
    "restart_service",
    "start_service",
    "stop_service",
]


def get_service_status(unit):
    """Return the state of `unit` ("nginx" or "nginx.service") as a dict, or None when it can't be known.

    `unit` is the full name, `active` a bool; `load_state`, `active_state`, `sub_state` and `unit_file_state` are
    systemd's own words, such as "loaded", "failed", "running" and "enabled".
    """
    answer = _request.ask("service.status", {"unit": str(unit)}, None)
    if answer is not None and not isinstance(answer, dict):
        _request.unexpected("service.status", answer)
        return None
    return answer


def is_service_active(unit):
    """Whether `unit` runs now. False as well when that can't be known."""
    return bool((get_service_status(unit) or {}).get("active"))


def is_service_enabled(unit):
    """Whether `unit` is started at boot. False as well when that can't be known."""
    return (get_service_status(unit) or {}).get("unit_file_state") in ("enabled", "enabled-runtime")


def start_service(unit):
    """Start `unit` and wait until it has started. True when it has, or had already."""
    return _control("start", unit)


def stop_service(unit):
    """Stop `unit` and wait until it has stopped. True when it has, or had already."""
    return _control("stop", unit)


def restart_service(unit):
    """Stop `unit` where it runs, start it, and wait until it has started. True when it has."""
    return _control("restart", unit)


def reload_service(unit):
    """Let `unit` read its configuration again. True when it has; False for a unit that can't, or does not run."""
    return _control("reload", unit)


def enable_service(unit):
    """Let `unit` be started at boot; it is not started now. True when that is set."""
    return _control("enable", unit)


def disable_service(unit):
    """Let `unit` not be started at boot; it is not stopped now. True when that is set."""
    return _control("disable", unit)


def _control(verb, unit):
    answer = _request.ask("service." + verb, {"unit": str(unit)}, None)
    return isinstance(answer, dict) and answer.get("done") == verb
