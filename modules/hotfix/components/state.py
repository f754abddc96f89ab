"""What has run, in one JSON file in the module's state directory, replaced as a whole.

A file that can't be read is an error and not an empty state: an empty state would run every hotfix again.
"""

import json
import os

NAME = "hotfix.json"


class StateError(Exception):
    """The state file is there and can't be understood."""


def load(folder):
    """`{target id: {sha256, time, ...}}`, empty when nothing has run yet."""
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as stream:
            state = json.load(stream)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise StateError(f"{path} can't be read, so nothing was run: {error}") from error
    if not isinstance(state, dict) or not isinstance(state.get("targets"), dict):
        raise StateError(f"{path} is not a hotfix state, so nothing was run")
    return state["targets"]


def save(folder, targets):
    path = os.path.join(folder, NAME)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "targets": targets}, stream, indent=2, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
