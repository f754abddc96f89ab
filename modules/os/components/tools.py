"""Run apt and dpkg: one place for their options, their environment and how their output is read.

dpkg is never ended by a deadline of ours, because half a configured package is worse than a late one. The supervisor's
deadline comes as SIGTERM to this process; the tools have a session of their own and finish the batch at hand.
"""

import os
import selectors
import signal
import subprocess
import time

from updates.index import log_message

TAIL_LINES = 200
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin")


class Finished:
    """How a tool ended: its exit code, and its output line by line (the end of it when it is long)."""

    def __init__(self, code, lines):
        self.code = code
        self.lines = lines

    def reason(self):
        """What went wrong, in the tool's own words where it has said so."""
        errors = [line[3:].strip() for line in self.lines if line.startswith("E: ")]
        dpkg = []
        for line, following in zip(self.lines, [*self.lines[1:], ""]):
            if line.startswith(("dpkg: error", "dpkg: warning: unable")):
                # What is wrong comes indented on a line of its own.
                reason = following.strip() if line.endswith(":") and following.startswith(" ") else ""
                dpkg.append(f"{line.strip()} {reason}".strip())
        return "; ".join(dict.fromkeys([*dpkg, *errors])) or f"exit code {self.code}"


class Tools:
    """The configured programs with their common options."""

    def __init__(self, configuration, scratch=None):
        self.configuration = configuration
        self.scratch = scratch
        self.environment = environment(configuration)
        self.apt_get_path = self.find("apt_get")
        self.dpkg_path = self.find("dpkg")

    def find(self, key):
        program = self.configuration.get(key, key.replace("_", "-"))
        if "/" in program:
            return program if os.access(program, os.X_OK) else None
        for folder in self.environment["PATH"].split(":"):
            path = os.path.join(folder, program)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
        return None

    def apt_get(self, *arguments, timeout=None, on_line=None, quiet=False):
        return self.run([self.apt_get_path, *self.apt_options(), *arguments], timeout, on_line, quiet)

    def simulate(self, *arguments):
        """What apt-get would do, without a lock. In a check apt's caches and logs go to `scratch`."""
        return self.apt_get("-s", "-o", "Debug::NoLocking=true", *arguments, quiet=True)

    def apt_mark(self, *arguments):
        path = self.find("apt_mark")
        if path is None:
            return Finished(127, [])
        return self.run([path, *self.extra_options(), *arguments], None, None, True)

    def dpkg(self, *arguments, quiet=False):
        options = [f"--force-{force}" for force in self.configuration.get("dpkg_force", [])]
        options += self.configuration.get("dpkg_options", [])
        return self.run([self.dpkg_path, *options, *arguments], None, None, quiet)

    def apt_options(self):
        configuration = self.configuration
        options = {
            "DPkg::Lock::Timeout": configuration.get("lock_timeout", 600),
            "Dpkg::Use-Pty": "0",
            "Acquire::Retries": 1,
            "Acquire::http::Timeout": configuration.get("network_timeout", 30),
            "Acquire::https::Timeout": configuration.get("network_timeout", 30),
        }
        command = ["-q", "-y"]
        for name, value in options.items():
            command += ["-o", f"{name}={value}"]
        for force in configuration.get("dpkg_force", []):
            command += ["-o", f"Dpkg::Options::=--force-{force}"]
        return command + self.extra_options()

    def extra_options(self):
        command = []
        for option in self.configuration.get("apt_options", []):
            command += ["-o", option]
        if self.scratch is not None:
            # Built once there instead of once a call: half a second each on a small server.
            for name in ("pkgcache", "srcpkgcache"):
                command += ["-o", f"Dir::Cache::{name}={self.scratch}/{name}.bin"]
            command += ["-o", "Dir::Log::Planner=/dev/null"]
        return command

    def run(self, command, timeout, on_line, quiet):
        """Run to the end. With `timeout` (seconds; only for what is safe to end) a late tool has the code 124."""
        lines = []

        def take(raw):
            line = raw.decode("utf-8", "replace").rstrip()
            if line:
                keep(lines, line, quiet)
                if on_line is not None:
                    on_line(line)

        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=self.environment, start_new_session=True,
            )
        except OSError as error:
            return Finished(127, [f"E: {command[0]} can't be started: {error.strerror}"])
        late = follow(process, timeout, take)
        if late:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        process.stdout.close()
        if late:
            return Finished(124, [*lines, f"E: not done after {timeout:g} seconds"])
        return Finished(code, lines)


def follow(process, timeout, take):
    """Hand each line of output on until the tool has ended; whether its time ran out first."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pipe, ending, rest = process.stdout.fileno(), os.pidfd_open(process.pid), b""
    os.set_blocking(pipe, False)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            # Not the end of the pipe: a service that a package has started may hold it open for years.
            selector.register(ending, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return True
                ready = {key.fd for key, _ in selector.select(left)}
                if pipe in ready:
                    chunk = os.read(pipe, 65536)
                    if not chunk:
                        selector.unregister(pipe)
                    *complete, rest = (rest + chunk).split(b"\n")
                    for line in complete:
                        take(line)
                elif ending in ready:
                    take(rest)
                    return False
    finally:
        os.close(ending)


def keep(lines, line, quiet):
    if quiet:
        # Read by us and bounded by what apt knows of packages: kept whole.
        lines.append(line)
        return
    if not line.startswith("(Reading database"):
        log_message(f"  {line}")
    lines.append(line)
    if len(lines) > TAIL_LINES:
        del lines[: len(lines) - TAIL_LINES]


def environment(configuration):
    """The module's environment, with every question of the packaging tools answered in advance."""
    values = dict(os.environ)
    folders = [folder for folder in values.get("PATH", "").split(":") if folder]
    # dpkg refuses to work without ldconfig and start-stop-daemon in its PATH.
    values["PATH"] = ":".join([*folders, *(folder for folder in SBIN if folder not in folders)])
    values.update({
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
        "DEBCONF_NONINTERACTIVE_SEEN": "true",
        "APT_LISTCHANGES_FRONTEND": "none",
        "APT_LISTBUGS_FRONTEND": "none",
        "NEEDRESTART_SUSPEND": "1",
        "UCF_FORCE_CONFFOLD": "1",
    })
    values.update({str(key): str(value) for key, value in configuration.get("environment", {}).items()})
    return values
