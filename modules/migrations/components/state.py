"""Which migrations have run, in one JSON file in the module's state directory, replaced as a whole.

A file that can't be read is an error and not an empty state: an empty state would run every migration again.
"""

import json
import os

NAME = "migrations.json"


class StateError(Exception):
    """The state file is there and can't be understood."""


def load(folder):
    """The migrations that have run, in the order in which they ran: `[{name, sha256, time, seconds, output}]`."""
    path = os.path.join(folder, NAME)
    try:
        with open(path, encoding="utf-8") as stream:
            state = json.load(stream)
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StateError(f"{path} can't be read, so nothing was run: {error}") from error
    done = state.get("done") if isinstance(state, dict) else None
    if not isinstance(done, list) or not all(well_formed(entry) for entry in done):
        raise StateError(f"{path} is not a state of migrations, so nothing was run")
    return done


def well_formed(entry):
    return isinstance(entry, dict) and isinstance(entry.get("name"), str) and isinstance(entry.get("sha256"), str)


def save(folder, done):
    path = os.path.join(folder, NAME)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="utf-8") as stream:
        json.dump({"version": 1, "done": done}, stream, indent=2, sort_keys=True)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
