"""Put declared owners and modes back.

Reads the targets from index.json beside this file, walks each one and changes what differs. Which owners and modes are
right is the administrator's to say; nothing here guesses. The walk itself is in components/walk.py, the reading of
targets in components/targets.py.
"""

import json
import os

from components.targets import TargetError, parse_target
from components.walk import apply_target
from updates.index import log_message, progress

HERE = os.path.dirname(os.path.abspath(__file__))


def main(args=None):
    """Bring every declared target to its owner, group and mode; with --check only list what has drifted."""
    check = "--check" in (args or []) or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    declared = configuration.get("targets", [])
    if not declared:
        log_message("No targets are declared: nothing to do")
        return {"success": True, "updated": False, "targets": 0}

    targets, errors = [], []
    for position, entry in enumerate(declared):
        if isinstance(entry, dict) and entry.get("enabled") is False:
            continue
        try:
            targets.append(parse_target(entry))
        except TargetError as error:
            errors.append(f"target {position + 1}: {error}")

    changes = []
    for done, target in enumerate(targets):
        progress("permissions", done, len(targets), "targets")
        apply_target(target, check, changes, errors)
    progress("permissions", len(targets), len(targets), "targets")

    return report(check, len(declared), changes, errors, configuration.get("report_limit", 200))


def report(check, targets, changes, errors, limit):
    """Say what was done, on the log and as the module's result."""
    verb = "would change" if check else "changed"
    for change in changes[:limit]:
        log_message(f"{verb} {change['path']}: {change['before']} -> {change['after']}")
    if len(changes) > limit:
        log_message(f"{verb} {len(changes) - limit} more paths, not listed one by one")
    for error in errors:
        log_message(error, "ERROR")
    if not changes and not errors:
        log_message("Every target has its declared owner and mode")

    result = {"success": not errors, "updated": bool(changes) and not check, "targets": targets}
    if check:
        result["would_change"] = changes[:limit]
        result["would_change_count"] = len(changes)
    else:
        result["changes"] = changes[:limit]
        result["changed"] = len(changes)
    if errors:
        result["error"] = errors[0] if len(errors) == 1 else f"{errors[0]} (and {len(errors) - 1} more)"
        result["errors"] = errors[:limit]
    return result
