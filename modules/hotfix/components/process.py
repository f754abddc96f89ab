"""Run one script with a deadline, its output logged line by line and its tail kept.

The script gets a process group of its own, so that the deadline ends what it started as well. Its output is bounded:
the log carries it all, the result only the end.
"""

import os
import selectors
import signal
import subprocess
import sys
import time

from updates.index import log_message

TAIL_BYTES = 4096
LINE_BYTES = 4096


class Finished:
    """How a script ended: `problem` is None when all is well, else a sentence."""

    def __init__(self, problem, tail, seconds):
        self.problem = problem
        self.tail = tail
        self.seconds = seconds


def interpreter(path):
    """The command that starts `path`: itself when executable, else by its ending; None when neither says how."""
    if os.access(path, os.X_OK):
        return [path]
    ending = os.path.splitext(path)[1]
    if ending == ".sh":
        return ["/bin/sh", path]
    if ending == ".py":
        return [sys.executable or "python3", path]
    return None


def run_script(path, arguments, timeout, folder, environment):
    """Run a script to its end or its deadline, in seconds."""
    command = interpreter(path)
    if command is None:
        return Finished("is not executable and has no ending that says how to start it", "", 0.0)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            command + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=folder, env={**os.environ, **environment}, start_new_session=True,
        )
    except OSError as error:
        return Finished(f"could not be started: {error.strerror}", "", 0.0)
    tail, timed_out = follow(process, started + timeout)
    # Before the script is reaped, while its number can't have gone to another: what it left in the background would
    # outlive its success or failure.
    end_group(process)
    code = process.wait()
    process.stdout.close()
    return Finished(describe(code, timed_out, timeout), tail, round(time.monotonic() - started, 3))


def follow(process, deadline):
    """Log each line until the script ends; the tail of the output, and whether the deadline came first."""
    tail, line = b"", b""
    pipe, ending = process.stdout.fileno(), os.pidfd_open(process.pid)
    os.set_blocking(pipe, False)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            # The end of the pipe does not tell: a background child may hold it open, a script may close it early.
            selector.register(ending, selectors.EVENT_READ)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    return finish(tail, line), True
                ready = {key.fd for key, _ in selector.select(left)}
                if pipe in ready:
                    chunk = os.read(pipe, 65536)
                    if not chunk:
                        selector.unregister(pipe)
                    tail = (tail + chunk)[-TAIL_BYTES:]
                    *complete, line = (line + chunk).split(b"\n")
                    for entry in complete:
                        say(entry)
                    if len(line) > LINE_BYTES:
                        say(line)
                        line = b""
                elif ending in ready:
                    return finish(tail, line), False
    finally:
        os.close(ending)


def finish(tail, line):
    if line:
        say(line)
    return tail.decode("utf-8", "replace")


def say(line):
    log_message("  " + line[:LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))


def end_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        # Everything has ended, or what is left runs as a user whom this sandbox may not signal.
        return


def describe(code, timed_out, timeout):
    if timed_out:
        return f"was ended after {timeout:g} seconds"
    if code < 0:
        return f"was ended by signal {-code}"
    return f"exited with {code}" if code else None
