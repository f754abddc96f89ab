"""Find the migration scripts and their order. Reads names and contents, runs nothing."""

import os


class ScriptsError(Exception):
    """The scripts can't be put in an order, with the reason for a person."""


class Script:
    """One migration: its name, its number (None in an explicit list) and where it is."""

    def __init__(self, name, number, path):
        self.name = name
        self.number = number
        self.path = path

    def digest(self):
        import hashlib

        with open(self.path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()


def find(module_folder, configuration):
    """All scripts in the order in which they run; raises ScriptsError."""
    folder = inside(module_folder, configuration.get("scripts_dir", "migrations"))
    listed = configuration.get("scripts") or []
    if not isinstance(listed, list):
        raise ScriptsError("scripts must be a list of names")
    return explicit(folder, listed) if listed else numbered(folder)


def inside(module_folder, name):
    if not isinstance(name, str) or not name or name.startswith("/") or ".." in name.split("/"):
        raise ScriptsError(f"scripts_dir must be a folder inside the module's folder, not {name!r}")
    return os.path.join(module_folder, name)


def explicit(folder, names):
    scripts = []
    for name in names:
        if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
            raise ScriptsError(f"{name!r} is not the name of a script in {folder}")
        if any(script.name == name for script in scripts):
            raise ScriptsError(f"{name} is listed twice")
        if not os.path.isfile(os.path.join(folder, name)):
            raise ScriptsError(f"{name} is listed but not in {folder}")
        scripts.append(Script(name, None, os.path.join(folder, name)))
    return scripts


def numbered(folder):
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    scripts = {}
    for name in sorted(names):
        if name.startswith(".") or name.endswith((".md", "~")) or name == "__pycache__":
            continue
        number, separator, rest = name.partition("-")
        if not (separator and rest and number.isascii() and number.isdigit() and len(number) <= 18):
            raise ScriptsError(f"{name} is not named NNN-what-it-does, so its place in the order is unknown")
        if not os.path.isfile(os.path.join(folder, name)):
            raise ScriptsError(f"{name} is not a file")
        if int(number) in scripts:
            raise ScriptsError(f"{scripts[int(number)].name} and {name} have the same number")
        scripts[int(number)] = Script(name, int(number), os.path.join(folder, name))
    return [scripts[number] for number in sorted(scripts)]
