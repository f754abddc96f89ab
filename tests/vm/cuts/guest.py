"""Runs in the virtual machine, started by the job of the test with one of three tasks in the kernel's command line.

`prepare` installs the program and brings the machine to the old state, `cycle` lets updates.service take it to the new
one, and `verdict` says, after a power cut, what became of it. What is said goes to the job's output as lines of JSON.
"""

import glob
import json
import mmap
import os
import shutil
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, "/mnt")
from cuts.modules import MODULES, PARTS, VERSIONS

CODE = "/usr/local/lib/updates/modules"
MARKS = "/var/tmp/marks"
UNITS = {
    "cut-reader.service": """[Service]
# What it has read is told apart from what is on the disk: a service must not go on with what was taken back.
ExecStart=/bin/sh -c 'cp /srv/unit/conf /run/cut-read; exec sleep infinity'
[Install]
WantedBy=multi-user.target
""",
    "cut-extra.service": """[Service]
ExecStart=sleep infinity
[Install]
WantedBy=multi-user.target
""",
}


def main():
    """Does the task, and says what came of it."""
    task = next(word for word in read("/proc/cmdline").split() if word.startswith("cuts="))[5:]
    {"prepare": prepare, "cycle": cycle, "verdict": verdict}[task]()


def prepare():
    """Installs everything and reaches the old state; the source has moved on when the machine goes down."""
    shutil.copytree("/mnt/install", "/", symlinks=True, dirs_exist_ok=True)
    shutil.copytree("/mnt/source", "/srv/source")
    for name, text in UNITS.items():
        write("/etc/systemd/system/" + name, text)
    for name in MODULES:
        os.makedirs("/srv/" + name)
    write("/srv/unit/conf", "old\n")
    write("/etc/updates/config.toml", '[source]\nurl = "file:///srv/source"\n')
    write(MARKS, "\0" * 4096)
    run("systemctl", "daemon-reload")
    run("systemctl", "enable", "--now", "cut-reader.service")
    for unit in glob.glob("/usr/local/lib/systemd/system/updates-recover.service"):
        run("systemctl", "enable", os.path.basename(unit))
    run("systemctl", "start", "updates.service")
    say("prepared", state=state())
    shutil.copy("/srv/source/.git/refs/heads/new", "/srv/source/.git/refs/heads/main")
    os.sync()


def cycle():
    """One run of updates.service, from the old state to the new one, between two marks in the disk's writes."""
    os.sync()
    mark("cycle begins")
    began = time.monotonic()
    status = subprocess.run(["systemctl", "start", "updates.service"]).returncode
    seconds = round(time.monotonic() - began, 1)
    mark("cycle ends")
    # What a run says it has done must hold from then on, and the kernel takes its time: jbd2 commits after 5 s.
    time.sleep(10)
    mark("quiet ends")
    say("cycle", seconds=seconds, start=status, state=state())


def verdict():
    """What the cut has left once the interrupted run is settled, and whether the next run reaches the new state."""
    mark("settling begins")
    if glob.glob("/etc/systemd/system/*/updates-recover.service"):
        # Started at boot, and waited for here.
        subprocess.run(["systemctl", "start", "updates-recover.service"])
    else:
        subprocess.run(["updates", "recover"], stdout=sys.stderr)
    settled = state()
    status = subprocess.run(["systemctl", "start", "updates.service"]).returncode
    say("verdict", settled=settled, start=status, state=state())


def state():
    """Everything about the machine that a cut might have torn."""
    return {
        "modules": {name: {"code": code(name), "content": CONTENT[name]()} for name in MODULES},
        "installed": sorted(os.listdir(CODE)),
        "places": places(),
        "units": {unit: show(unit) for unit in UNITS},
        "read": read("/run/cut-read"),
        "status": status(),
        "program": output("updates", "--version").strip(),
        "self": json.loads(output("updates", "--json", "self", "show") or "{}"),
        "kernel": os.uname().release,
    }


def status():
    """What a person is told, without what differs from run to run."""
    told = json.loads(output("updates", "--json", "status") or "{}")
    last = told.get("last_run") or {}
    return {
        "last": last.get("status"),
        "recovered": [row.get("module") for row in last.get("recovered", [])],
        "problems": last.get("problems", []),
        "modules": {row["module"]: [row["status"], row.get("message")] for row in last.get("modules", [])},
        **{key: told.get(key) for key in ("interrupted", "settled_since", "held", "installed", "unusable")},
    }


def code(name):
    """Which version a module's folder holds: old, new, or a mixture in words."""
    folder = os.path.join(CODE, name)
    try:
        with open(os.path.join(folder, "index.json")) as manifest:
            version = json.load(manifest)["metadata"]["schema_version"]
        said = next(state for state in VERSIONS if VERSIONS[state] == version)
        expected = {"index.json", "index.py", *("part-%02d" % number for number in range(PARTS))}
        found = set(os.listdir(folder)) - {"__pycache__"}
        if found != expected:
            return "torn: index.json is %s, files differ: %s" % (said, sorted(found ^ expected))
        for number in range(PARTS):
            if read("%s/part-%02d" % (folder, number)) != (said + "\n") * 100:
                return "torn: index.json is %s, part-%02d is not" % (said, number)
        if read(folder + "/index.py") != MODULES[name][0] % said:
            return "torn: index.json is %s, index.py is not" % said
        return said
    except (OSError, ValueError, KeyError, StopIteration) as error:
        return "torn: %r" % error


def files(folder, expected):
    """Which version a folder holds; `expected` gives the whole content of each."""
    try:
        found = {name: read(os.path.join(folder, name)) for name in os.listdir(folder)}
    except OSError as error:
        return "torn: %r" % error
    for version in VERSIONS:
        if found == expected(version):
            return version
    old, new = expected("old"), expected("new")
    wrong = sorted(name for name in found if found[name] not in (old.get(name), new.get(name)))
    return "torn: %d files; %d are old, %d are new, neither: %s" % (
        len(found),
        sum(found[name] == old.get(name) for name in found),
        sum(found[name] == new.get(name) for name in found),
        ["%s (%d bytes)" % (name, len(found[name])) for name in wrong[:5]],
    )


def files_of(version):
    """What the module `files` leaves."""
    numbered = {"%03d" % number: (version + "\n") * (50 + number * 5) for number in range(120)}
    return {**numbered, **{"%s-only-%d" % (version, number): version + "\n" for number in range(20)}}


def broken_of(version):
    """What the module `broken` leaves, if its new version went through."""
    return {"%02d" % number: (version + "\n") * 200 for number in range(40)}


def ledger():
    """Which version the database holds, and whether it is whole."""
    try:
        database = sqlite3.connect("file:/srv/ledger/ledger.db?mode=ro", uri=True)
        integrity = database.execute("PRAGMA integrity_check").fetchall()
        columns = [row[1] for row in database.execute("PRAGMA table_info(entry)")]
        rows = database.execute("SELECT version, count(*) FROM entry GROUP BY version").fetchall()
        database.close()
    except sqlite3.Error as error:
        return "torn: %r" % error
    for version, width in (("old", 3), ("new", 4)):
        if integrity == [("ok",)] and rows == [(version, 300)] and len(columns) == width:
            return version
    return "torn: %s, columns %s, rows %s" % (integrity, columns, rows)


CONTENT = {
    "files": lambda: files("/srv/files", files_of),
    "ledger": ledger,
    "unit": lambda: files("/srv/unit", lambda version: {"conf": version + "\n"}),
    "broken": lambda: files("/srv/broken", broken_of),
}


def places():
    """The names of the supervisor's own places, where nothing temporary may stay."""
    found = []
    for top in ("/var/lib/updates/in-flight", "/var/lib/updates/catalog", "/var/lib/updates/checkpoints"):
        for folder, folders, names in os.walk(top):
            depth = folder[len(top) :].count("/")
            found += [os.path.join(folder, name) for name in folders + names]
            if depth >= 1:
                folders.clear()
    found += [os.path.join("/var/lib/updates", name) for name in os.listdir("/var/lib/updates")]
    found += glob.glob("/usr/local/lib/updates/*") + glob.glob("/usr/local/lib/updates/versions/**", recursive=True)
    found += glob.glob("/usr/local/lib/updates/versions/.*") + glob.glob("/var/lib/updates/self-update/*")
    found += glob.glob("/srv/*") + glob.glob("/srv/ledger/*") + glob.glob("/etc/updates/**", recursive=True)
    return sorted(found)


def show(unit):
    """What systemd says of a unit."""
    return output("systemctl", "show", "--value", "--property=ActiveState,UnitFileState", unit).split()


def mark(text):
    """Writes a text straight to the disk, to be found among its writes, and has nothing else written for that."""
    block = mmap.mmap(-1, 4096)
    block.write(b"mark: " + text.encode() + b"\n")
    descriptor = os.open(MARKS, os.O_WRONLY | os.O_DIRECT)
    os.write(descriptor, block)
    os.close(descriptor)
    say("mark", text=text)


def say(what, **fields):
    """One line for the test."""
    print(json.dumps({"what": what, **fields}), flush=True)


def run(*command):
    """Runs what has to go well."""
    subprocess.run(command, check=True, stdout=sys.stderr)


def output(*command):
    """What a command prints, whatever becomes of it."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout


def read(path):
    """A file's text; a file that is not there reads as nothing."""
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write(path, text):
    """Writes a file and the folders above it."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    main()
