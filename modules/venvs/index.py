"""Bring declared Python environments to their requirement files.

An environment whose fingerprint is the one noted after its last installation is left alone, without a call of pip.
What is compared is in components/fingerprint.py, what is run in components/build.py.
"""

import json
import os

from updates.index import log_message, progress

HERE = os.path.dirname(os.path.abspath(__file__))
STATE = "environments.json"


def main(args=None):
    """Bring every environment up to date; with --check say which are not; --refresh asks pip in any case."""
    arguments = args or []
    check = "--check" in arguments or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    entries = [
        entry for entry in configuration.get("environments", [])
        if not isinstance(entry, dict) or entry.get("enabled", True) is True
    ]
    if not entries:
        log_message("No Python environment is declared: nothing to do")
        return {"success": True, "updated": False, "environments": 0}
    folder = os.environ.get("STATE_DIRECTORY")
    if not folder:
        log_message("STATE_DIRECTORY is not set: nothing can be remembered", "ERROR")
        return {"success": False, "updated": False, "error": "STATE_DIRECTORY is not set"}
    return bring_all(entries, configuration, folder, check, "--refresh" in arguments)


def bring_all(entries, configuration, folder, check, refresh):
    from components.build import BuildError
    from components.declared import DeclarationError, parse
    from components.fingerprint import RequirementsError

    noted = load(folder)
    changed, failed = {}, {}
    for position, entry in enumerate(entries):
        progress("environments", position, len(entries), "environments")
        name = f"environment {position + 1}"
        try:
            environment = parse(entry, configuration.get("pip_options", []))
            name = environment.path
            change = bring(environment, configuration, noted, folder, check, refresh)
        except (DeclarationError, RequirementsError, BuildError) as error:
            log_message(f"{name}: {error}", "ERROR")
            failed[name] = str(error)
            continue
        if change is None:
            log_message(f"{name}: as declared")
            continue
        changed[name] = change
    progress("environments", len(entries), len(entries), "environments")

    result = {"success": not failed, "updated": bool(changed) and not check, "environments": len(entries)}
    if check:
        result["would_change"] = [f"{name}: {change}" for name, change in changed.items()]
    else:
        result["changes"] = changed
    if failed:
        result["failed"] = failed
        result["error"] = "; ".join(f"{name}: {reason}" for name, reason in failed.items())
    return result


def bring(environment, configuration, noted, folder, check, refresh):
    """Bring one environment up to date: what changed (or would, as a sentence), None when nothing."""
    from components import build
    from components.fingerprint import fingerprint, needs

    version = build.python_version(environment.python)
    wanted = fingerprint(environment, version)
    broken = needs(environment, version)
    if broken is None and noted.get(environment.path) == wanted and not refresh:
        return None
    if check:
        reason = broken or ("pip would be asked" if noted.get(environment.path) == wanted else "requirements changed")
        log_message(f"{environment.path}: {reason}")
        return reason

    # Until all is well this environment counts as unknown, whatever happens on the way.
    if noted.pop(environment.path, None) is not None:
        save(folder, noted)
    before = {}
    timeout = configuration.get("pip_timeout", 1800)
    if broken is not None:
        log_message(f"{environment.path}: {broken}, making it with Python {version}")
        build.create(environment, configuration.get("create_timeout", 300))
    else:
        before = build.installed(environment, timeout)
    build.install(environment, timeout)
    after = build.installed(environment, timeout)
    noted[environment.path] = wanted
    save(folder, noted)
    change = {
        "created": broken is not None,
        "packages": {
            name: f"{before.get(name, 'none')} -> {after.get(name, 'none')}"
            for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)
        },
    }
    log_message(f"{environment.path}: {len(change['packages'])} packages changed, {len(after)} installed")
    return change


def load(folder):
    """`{path: fingerprint}`; an unreadable file only means that pip is asked once more, which changes nothing."""
    try:
        with open(os.path.join(folder, STATE), encoding="utf-8") as stream:
            return dict(json.load(stream)["environments"])
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        log_message(f"{STATE} can't be read, so every environment is looked at: {error}", "WARNING")
        return {}


def save(folder, noted):
    path = os.path.join(folder, STATE)
    with open(f"{path}.new", "w", encoding="utf-8") as stream:
        json.dump({"environments": noted}, stream, indent=2, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(f"{path}.new", path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
