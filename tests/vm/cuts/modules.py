"""The modules of the cycle, in an old and a new version, as a git repository that the guest syncs from.

Each module leaves something of which every part says which version wrote it, so that a mixture is seen: `files` many
files, `ledger` a database, `unit` a service that reads a file, and another that is enabled by the new version only;
`broken` fails halfway in its new version.
"""

import hashlib
import json
import os
import shutil
import subprocess

VERSIONS = {"old": "1.0.0", "new": "2.0.0"}
# Files of a module's own folder, by which a code that is neither version is seen.
PARTS = 40

FILES = '''
import os

VERSION = "%s"


def main(args=None):
    """Rewrites every file, one after the other: some in place, some from their beginning, some by a rename."""
    for number in range(120):
        name = "/srv/files/%%03d" %% number
        way = number %% 3
        place = name + ".next" if way == 0 else name
        with open(place, "r+" if way == 1 and os.path.exists(name) else "w") as file:
            file.write((VERSION + "\\n") * (50 + number * 5))
        os.replace(place, name)
    for number in range(20):
        name = "/srv/files/%%s-only-%%d" %% (VERSION, number)
        with open(name, "w") as file:
            file.write(VERSION + "\\n")
        other = "/srv/files/%%s-only-%%d" %% ("old" if VERSION == "new" else "new", number)
        if os.path.exists(other):
            os.remove(other)
    return {"success": True, "updated": True}
'''

LEDGER = '''
import sqlite3

VERSION = "%s"


def main(args=None):
    """Rewrites the table in many transactions; the new version adds a column first."""
    database = sqlite3.connect("/srv/ledger/ledger.db", isolation_level=None)
    database.execute("CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, version TEXT, filler TEXT)")
    columns = [row[1] for row in database.execute("PRAGMA table_info(entry)")]
    if VERSION == "new" and "checked" not in columns:
        database.execute("ALTER TABLE entry ADD COLUMN checked INTEGER")
    for start in range(0, 300, 30):
        database.execute("BEGIN")
        for number in range(start, start + 30):
            database.execute("INSERT OR REPLACE INTO entry (id, version, filler) VALUES (?, ?, ?)",
                             (number, VERSION, VERSION * 100))
        database.execute("COMMIT")
    database.close()
    return {"success": True, "updated": True}
'''

UNIT = '''
from updates import service

VERSION = "%s"


def main(args=None):
    """Changes what a service reads and restarts it; the new version has another one started at boot besides."""
    with open("/srv/unit/conf", "w") as conf:
        conf.write(VERSION + "\\n")
    done = service.restart("cut-reader.service")
    if VERSION == "new":
        done = done and service.enable("cut-extra.service") and service.start("cut-extra.service")
    return {"success": bool(done), "updated": True}
'''

BROKEN = '''
VERSION = "%s"


def main(args=None):
    """Fails in the middle of its work, in the new version."""
    for number in range(40):
        with open("/srv/broken/%%02d" %% number, "w") as file:
            file.write((VERSION + "\\n") * 200)
        if VERSION == "new" and number == 25:
            raise ValueError("the new version is broken")
    return {"success": True, "updated": True}
'''

MODULES = {
    "files": (FILES, {"backup_paths": ["/srv/files/"]}, {}),
    "ledger": (
        LEDGER,
        {"backup_paths": ["/srv/ledger/"], "databases": [{"type": "sqlite", "database": "/srv/ledger/ledger.db"}]},
        {},
    ),
    "unit": (UNIT, {"backup_paths": ["/srv/unit/"]}, {"services": ["cut-reader.service", "cut-extra.service"]}),
    "broken": (BROKEN, {"backup_paths": ["/srv/broken/"]}, {}),
}


def repository(path, artifact, version):
    """Makes the repository; `refs/heads/old` and `refs/heads/new` are the two states, `main` is the old one.

    The new one has a `version` of the program itself as well, in the file `artifact`.
    """
    git(path, "init", "--quiet", "--initial-branch", "main", path)
    for state in VERSIONS:
        if state == "new":
            offer(path, artifact, version)
        for name, (code, configuration, sandbox) in MODULES.items():
            folder = os.path.join(path, "modules", name)
            os.makedirs(folder, exist_ok=True)
            # The last one has nobody after it whose checkpoint would write out what it left in memory.
            priority = 200 if name == "files" else 100
            manifest = {
                "metadata": {"schema_version": VERSIONS[state], "name": name, "priority": priority},
                "configuration": configuration,
                "sandbox": sandbox,
            }
            with open(os.path.join(folder, "index.json"), "w") as file:
                json.dump(manifest, file, indent=4)
            with open(os.path.join(folder, "index.py"), "w") as file:
                file.write(code % state)
            for number in range(PARTS):
                with open(os.path.join(folder, "part-%02d" % number), "w") as file:
                    file.write((state + "\n") * 100)
        git(path, "add", "--all")
        git(path, "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "--message", state)
        git(path, "branch", state)
    git(path, "update-ref", "refs/heads/main", "refs/heads/old")


def offer(path, artifact, version):
    """Puts an artifact into the repository, and the root `index.json` that names it."""
    name = "artifacts/updates-%s.tar.gz" % version
    os.makedirs(os.path.join(path, "artifacts"))
    shutil.copy(artifact, os.path.join(path, name))
    with open(artifact, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    found = {"path": name, "size": os.path.getsize(artifact), "sha256": digest}
    platform = "%s-linux" % os.uname().machine
    with open(os.path.join(path, "index.json"), "w") as index:
        json.dump({"metadata": {"schema_version": version}, "artifacts": {platform: found}}, index)


def git(path, *arguments):
    """Runs git apart from whatever this machine's settings are."""
    environment = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_NOSYSTEM="1")
    where = [] if arguments[0] == "init" else ["-C", path]
    subprocess.run(["git", *where, *arguments], env=environment, check=True)
