"""Tell without calling pip whether an environment is as it was left, and for what it was left that way.

The fingerprint covers everything that decides what pip would install: the requirement files with all that they
include, the options, and the version of Python. What the package index offers today is not in it: an unpinned
requirement is brought up to date when its file changes, or with --refresh.
"""

import hashlib
import os

MAXIMUM_FILES = 100
MAXIMUM_BYTES = 4 << 20


class RequirementsError(Exception):
    """A requirement file that can't be read, for a person."""


def fingerprint(environment, version):
    """A digest of what the environment should be; raises RequirementsError."""
    digest = hashlib.sha256()
    for part in (version, str(environment.system_site_packages), *environment.pip_options):
        feed(digest, part.encode())
    if isinstance(environment.requirements, str):
        include(digest, environment.requirements, set())
    else:
        for line in environment.requirements:
            feed(digest, line.encode())
    return digest.hexdigest()


def feed(digest, content):
    # With its length in front, so that no two lists of parts look the same.
    digest.update(b"%d:" % len(content) + content)


def include(digest, path, seen):
    """Feed a requirement file and, relative to its folder, the files that it names with -r and -c."""
    path = os.path.normpath(path)
    if path in seen:
        return
    if len(seen) >= MAXIMUM_FILES:
        raise RequirementsError(f"{path}: more than {MAXIMUM_FILES} requirement files")
    seen.add(path)
    try:
        with open(path, "rb") as stream:
            content = stream.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise RequirementsError(f"{path}: {error.strerror}") from error
    if len(content) > MAXIMUM_BYTES:
        raise RequirementsError(f"{path}: is larger than {MAXIMUM_BYTES >> 20} MiB")
    feed(digest, content)
    for line in content.decode("utf-8", "replace").splitlines():
        named = included(line.strip())
        if named and "://" not in named:
            include(digest, os.path.join(os.path.dirname(path), named), seen)


def included(line):
    """The file that a line names with -r, --requirement, -c or --constraint, or None."""
    for option in ("--requirement", "--constraint", "-r", "-c"):
        if line.startswith(option):
            rest = line[len(option):]
            if rest[:1] in ("=", " ", "\t") or (len(option) == 2 and rest):
                return rest.lstrip("= \t").split(" #", 1)[0].strip()
    return None


def needs(environment, version):
    """Why the environment must be made anew, or None when it is whole and fits the wanted Python."""
    try:
        with open(f"{environment.path}/pyvenv.cfg", encoding="utf-8", errors="replace") as stream:
            settings = dict(line.partition("=")[::2] for line in stream.read(65536).splitlines())
    except OSError:
        return "is not there yet"
    settings = {key.strip().lower(): value.strip() for key, value in settings.items()}
    if not os.path.exists(environment.interpreter()):
        return "has lost its interpreter"
    made_for = settings.get("version") or settings.get("version_info", "")
    if made_for.split(".")[:2] != version.split(".")[:2]:
        return f"was made for Python {made_for or 'of an unknown version'}, this is {version}"
    if (settings.get("include-system-site-packages", "false").lower() == "true") != environment.system_site_packages:
        return "has another system_site_packages than declared"
    return None
