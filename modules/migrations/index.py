"""Run migration scripts in their order, each once, and stop at the first that fails.

What has run is noted after each script in the state directory. When one fails the run fails, and the supervisor puts
files and state back together: what is noted as done is always what is on the disk.
"""

import json
import os

from components import scripts, state
from updates.index import log_message, progress

HERE = os.path.dirname(os.path.abspath(__file__))


def main(args=None):
    """Run what has not run yet; with --check only say what would run."""
    check = "--check" in (args or []) or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    folder = os.environ.get("STATE_DIRECTORY")
    if not folder:
        return failure("STATE_DIRECTORY is not set: without it nothing can be remembered, so nothing was run")
    try:
        limit, timeout = limits(configuration)
        done = state.load(folder)
        found = scripts.find(HERE, configuration)
    except (state.StateError, scripts.ScriptsError, ValueError) as error:
        return failure(str(error))

    pending, changed = compare(found, done)
    if not pending:
        log_message(f"No migration is pending, {len(done)} have run")
    if check:
        for script in pending:
            log_message(f"would run {script.name}")
        names = [script.name for script in pending]
        return {"success": True, "updated": False, "would_change": names, "changed_since": changed}
    return run_all(pending, limit, timeout, folder, done, changed)


def failure(message):
    log_message(message, "ERROR")
    return {"success": False, "updated": False, "error": message}


def limits(configuration):
    limit, timeout = configuration.get("per_run", 0), configuration.get("timeout", 1800)
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
        raise ValueError(f"per_run must be 0 or a number of scripts, not {limit!r}")
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or timeout <= 0:
        raise ValueError(f"timeout must be a number of seconds, not {timeout!r}")
    return limit, timeout


def compare(found, done):
    """The scripts that have not run yet, and the names of those that were edited since; warns about what is odd."""
    digests = {entry["name"]: entry["sha256"] for entry in done}
    changed = [script.name for script in found if script.name in digests and script.digest() != digests[script.name]]
    for name in changed:
        log_message(f"{name} was edited after it ran; it is not run again, write another migration instead", "WARNING")
    pending = [script for script in found if script.name not in digests]
    numbers = [script.number for script in found if script.name in digests and script.number is not None]
    newest = max(numbers, default=-1)
    for script in pending:
        if script.number is not None and script.number < newest:
            log_message(f"{script.name} comes before number {newest}, which has run already", "WARNING")
    return pending, changed


def run_all(pending, limit, timeout, folder, done, changed):
    from components.process import run_script

    selected = pending[:limit] if limit else pending
    ran = []
    result = {"success": True, "updated": False, "ran": ran, "remaining": 0, "changed_since": changed}
    for position, script in enumerate(selected):
        progress("migrations", position, len(selected), "scripts")
        log_message(f"running {script.name}")
        digest = script.digest()
        finished = run_script(script.path, [], timeout, HERE, {"MIGRATION": script.name})
        if finished.problem is not None:
            result.update(failure(f"{script.name} {finished.problem}; nothing after it was run"))
            result.update(failed=script.name, output=finished.tail)
            break
        done.append(note(script, digest, finished))
        state.save(folder, done)
        ran.append(script.name)
        log_message(f"{script.name} done in {finished.seconds:.1f} s")
    result["updated"] = bool(ran)
    result["remaining"] = len(pending) - len(ran)
    return result


def note(script, digest, finished):
    import time

    return {
        "name": script.name,
        "sha256": digest,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": finished.seconds,
        "output": finished.tail,
    }
