"""Decide whether a target's conditions hold. Looks, and never changes anything.

A condition that is written wrongly raises ConditionError; one that does not hold is an answer with its reason.
"""

import json
import os

from components.versions import holds, parse_requirement

MAXIMUM_OUTPUT = 65536
VERSION_PATTERN = r"\d+(?:\.\d+)+(?:-[0-9A-Za-z][0-9A-Za-z.]*)?|\d+"


class ConditionError(Exception):
    """A condition that can't be evaluated because of how it is written."""


def evaluate(conditions, settings):
    """`(True, "")` when all conditions hold, else `(False, reason)` for the first that does not."""
    if not isinstance(conditions, list) or not conditions:
        raise ConditionError("has no conditions; {\"type\": \"always\"} says that it always applies")
    for condition in conditions:
        kind = condition.get("type") if isinstance(condition, dict) else None
        if kind not in KINDS:
            raise ConditionError(f"unknown condition type {kind!r}; known are {', '.join(sorted(KINDS))}")
        held, reason = KINDS[kind](condition, settings)
        if not held:
            return False, reason
    return True, ""


def always(_condition, _settings):
    return True, ""


def file_exists(condition, _settings):
    path, invert = condition.get("path"), condition.get("invert", False)
    if not isinstance(path, str) or not path.startswith("/"):
        raise ConditionError(f"file_exists: path must be absolute, not {path!r}")
    if not isinstance(invert, bool):
        raise ConditionError("file_exists: invert must be true or false")
    exists = os.path.lexists(path)
    return exists != invert, f"{path} is {'there' if exists else 'not there'}"


def module_schema(condition, settings):
    module = condition.get("module")
    if not isinstance(module, str) or not module or "/" in module or module.startswith("."):
        raise ConditionError(f"module_schema: {module!r} is not a module's name")
    operator, wanted = requirement(condition)
    try:
        with open(os.path.join(settings["modules_dir"], module, "index.json"), encoding="utf-8") as stream:
            found = json.load(stream)["metadata"]["schema_version"]
        held = holds(found, operator, wanted)
    except FileNotFoundError:
        return False, f"module {module} is not installed"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return False, f"the schema version of module {module} can't be read: {error}"
    return held, f"module {module} has schema {found}, not {operator}{wanted}"


def binary_version(condition, settings):
    import re
    import subprocess

    binary, arguments = condition.get("binary"), condition.get("arguments", ["--version"])
    if not isinstance(binary, str) or not binary:
        raise ConditionError(f"binary_version: {binary!r} is not a program's name")
    if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
        raise ConditionError("binary_version: arguments must be a list of strings")
    operator, wanted = requirement(condition)
    try:
        pattern = re.compile(condition.get("pattern") or VERSION_PATTERN)
    except re.error as error:
        raise ConditionError(f"binary_version: the pattern is wrong: {error}") from error
    try:
        output = subprocess.run(
            [binary, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=settings["version_timeout"], check=False,
        ).stdout[:MAXIMUM_OUTPUT].decode("utf-8", "replace")
    except FileNotFoundError:
        return False, f"{binary} is not installed"
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{binary} does not say its version: {error}"
    match = pattern.search(output)
    if match is None:
        return False, f"{binary} printed no version"
    found = match.group(1) if pattern.groups else match.group(0)
    try:
        return holds(found or "", operator, wanted), f"{binary} is {found}, not {operator}{wanted}"
    except ValueError as error:
        return False, f"{binary}: {error}"


def requirement(condition):
    try:
        return parse_requirement(condition.get("operator"), condition.get("version"))
    except ValueError as error:
        raise ConditionError(f"{condition['type']}: {error}") from error


KINDS = {
    "always": always,
    "file_exists": file_exists,
    "module_schema": module_schema,
    "binary_version": binary_version,
}
