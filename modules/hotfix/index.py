"""Run repair scripts whose conditions hold, each once.

A target that has run well is noted in the state directory and never run again. A target that fails does not keep the
others from running, and fails the run unless it says `"required": false`; the supervisor then puts files and state
back together, so that what is noted as done is always what is on the disk.
"""

import json
import os

from components import state
from components.conditions import ConditionError, evaluate
from updates.index import log_message, progress

HERE = os.path.dirname(os.path.abspath(__file__))


def main(args=None):
    """Run what is due; with --check only say what would run."""
    check = "--check" in (args or []) or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    folder = os.environ.get("STATE_DIRECTORY")
    if not folder:
        return failure("STATE_DIRECTORY is not set: without it nothing can be remembered, so nothing was run")
    try:
        done = state.load(folder)
    except state.StateError as error:
        return failure(str(error))

    due, skipped, broken = select(configuration, done)
    for name, reason in skipped.items():
        log_message(f"{name}: not run, {reason}", "DEBUG")
    for name, reason in broken.items():
        log_message(f"{name}: {reason}", "ERROR")
    if check:
        for target in due:
            log_message(f"{target['id']}: would run {target['script']}")
        result = {"success": not broken, "updated": False, "would_change": [target["id"] for target in due]}
    else:
        ran, failed, tolerated = run_all(due, configuration, done, folder)
        broken.update(failed)
        result = {"success": not broken, "updated": bool(ran), "ran": ran}
        if tolerated:
            result["tolerated"] = tolerated
    if not due and not broken:
        log_message("No hotfix is due")
    result["skipped"] = skipped
    if broken:
        result["failed"] = broken
        result["error"] = "; ".join(f"{name}: {reason}" for name, reason in sorted(broken.items()))
    return result


def failure(message):
    log_message(message, "ERROR")
    return {"success": False, "updated": False, "error": message}


def select(configuration, done):
    """Sort the targets into due, skipped (with the reason) and broken (with the reason)."""
    settings = {
        "modules_dir": configuration.get("modules_dir") or os.path.dirname(HERE),
        "version_timeout": configuration.get("version_timeout", 15),
    }
    due, skipped, broken, seen = [], {}, {}, set()
    for position, target in enumerate(configuration.get("targets", [])):
        name = target.get("id") if isinstance(target, dict) else None
        if not isinstance(name, str) or not name or len(name) > 128:
            broken[f"target {position + 1}"] = "has no id"
        elif name in seen:
            broken[name] = "is declared twice"
        elif target.get("enabled", True) is not True:
            skipped[name] = "disabled"
        elif name in done or target.get("has_run") is True:
            skipped[name] = "has run already"
        else:
            try:
                target = dict(target, path=script_path(target))
                held, reason = evaluate(target.get("conditions"), settings)
                if held:
                    due.append(target)
                else:
                    skipped[name] = reason
            except ConditionError as error:
                broken[name] = str(error)
        seen.add(name)
    return due, skipped, broken


def script_path(target):
    """The script's real path, which must lie in the module's own folder."""
    script, arguments, timeout = target.get("script"), target.get("arguments", []), target.get("timeout", 1)
    if not isinstance(script, str) or not script or script.startswith("/") or ".." in script.split("/"):
        raise ConditionError(f"script must be a path inside the module's folder, not {script!r}")
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise ConditionError("arguments must be a list of strings")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ConditionError(f"timeout must be a number of seconds, not {timeout!r}")
    if target.get("run", "once") != "once":
        raise ConditionError(f"run must be \"once\", not {target['run']!r}")
    path = os.path.realpath(os.path.join(HERE, script))
    if not path.startswith(os.path.realpath(HERE) + os.sep):
        raise ConditionError(f"{script} leads outside the module's folder")
    if not os.path.isfile(path):
        raise ConditionError(f"{script} is not there")
    return path


def run_all(due, configuration, done, folder):
    """Run each due target: the names that ran, `{name: reason}` that failed, and those that were allowed to."""
    from components.process import run_script

    ran, failed, tolerated = [], {}, {}
    for position, target in enumerate(due):
        name = target["id"]
        progress("hotfix", position, len(due), "targets")
        log_message(f"{name}: running {target['script']}")
        digest = digest_of(target["path"])
        timeout = target.get("timeout", configuration.get("default_timeout", 600))
        finished = run_script(target["path"], target.get("arguments", []), timeout, HERE, {"HOTFIX_ID": name})
        if finished.problem is None:
            log_message(f"{name}: done in {finished.seconds:.1f} s")
            done[name] = note(target, digest, finished)
            # After each one: what ran is remembered even if a later one takes the whole module down.
            state.save(folder, done)
            ran.append(name)
        elif target.get("required", True) is False:
            log_message(f"{name}: {finished.problem}; not required, tried again next time", "WARNING")
            tolerated[name] = finished.problem
        else:
            log_message(f"{name}: {finished.problem}", "ERROR")
            failed[name] = finished.problem
    return ran, failed, tolerated


def digest_of(path):
    import hashlib

    with open(path, "rb") as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def note(target, digest, finished):
    import time

    return {
        "script": target["script"],
        "sha256": digest,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": finished.seconds,
        "output": finished.tail,
    }
