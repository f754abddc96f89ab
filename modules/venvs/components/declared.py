"""Turn one entry of `configuration.environments` into a checked Environment. Opens nothing."""

KNOWN = {
    "id", "path", "requirements", "python", "pip_options", "system_site_packages", "enabled", "description",
}


class DeclarationError(Exception):
    """An environment that is declared wrongly, with the reason for a person."""


class Environment:
    """One environment: `requirements` is a path, or the list of requirements itself."""

    def __init__(self, path, requirements, python, pip_options, system_site_packages):
        self.path = path
        self.requirements = requirements
        self.python = python
        self.pip_options = pip_options
        self.system_site_packages = system_site_packages

    def interpreter(self):
        return f"{self.path}/bin/python"


def parse(entry, common_options):
    """Check one declared environment; raises DeclarationError."""
    if not isinstance(entry, dict):
        raise DeclarationError("is not an object")
    path = entry.get("path")
    if not isinstance(path, str) or not path.startswith("/") or ".." in path.split("/") or not path.strip("/"):
        raise DeclarationError(f"path must be absolute and without '..', not {path!r}")
    unknown = sorted(set(entry) - KNOWN)
    if unknown:
        raise DeclarationError(f"{path}: unknown setting {unknown[0]!r}")
    requirements = entry.get("requirements")
    if isinstance(requirements, str):
        if not requirements.startswith("/"):
            raise DeclarationError(f"{path}: requirements must be an absolute path or a list, not {requirements!r}")
    elif not strings(requirements):
        raise DeclarationError(f"{path}: requirements must be an absolute path or a list of strings")
    elif any("\n" in line or "\r" in line for line in requirements):
        raise DeclarationError(f"{path}: a requirement is one line")
    python = entry.get("python", "python3")
    if not isinstance(python, str) or not python or python.startswith("-"):
        raise DeclarationError(f"{path}: python must be a program, not {python!r}")
    own_options = entry.get("pip_options", [])
    if not strings(own_options) or not strings(common_options):
        raise DeclarationError(f"{path}: pip_options must be a list of strings")
    system = entry.get("system_site_packages", False)
    if not isinstance(system, bool):
        raise DeclarationError(f"{path}: system_site_packages must be true or false")
    return Environment("/" + path.strip("/"), requirements, python, [*common_options, *own_options], system)


def strings(value):
    return isinstance(value, list) and all(isinstance(item, str) and "\0" not in item for item in value)
