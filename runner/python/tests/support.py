"""Runs the real host on a module in a temporary folder, with a thread that plays the supervisor at the channel."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import unittest

SDK = pathlib.Path(__file__).resolve().parent.parent
TIMEOUT = 60  # seconds, for a host that hangs


class Run:
    """What a hosted module did: its messages, its output and how its process ended."""

    def __init__(self, messages, stdout, stderr, status):
        self.messages = messages
        self.stdout = stdout
        self.stderr = stderr
        self.status = status

    def of_type(self, kind):
        return [message for message in self.messages if message["type"] == kind]

    @property
    def results(self):
        return [message["value"] for message in self.of_type("result")]

    @property
    def value(self):
        if len(self.results) != 1:
            raise AssertionError("%d results; stderr:\n%s" % (len(self.results), self.stderr))
        return self.results[0]

    @property
    def logged(self):
        return [(message["level"], message["message"]) for message in self.of_type("log")]

    @property
    def requests(self):
        return [(message["operation"], message["arguments"]) for message in self.of_type("request")]


class HostTest(unittest.TestCase):
    """Gives each test a folder `modules`; the replies are a dict of operation to ("ok", value) or ("error", text)."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, files, name="sample"):
        directory = self.root / "modules" / name
        for path, text in files.items():
            target = directory / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text), encoding="utf-8")
        return directory

    def run_main(self, source, *arguments, name="sample", files=None, **options):
        directory = self.write({"index.py": source, **(files or {})}, name)
        return self.run_host("main", directory / "index.py", *arguments, **options)

    def run_maintenance(self, source, manifest=None, **options):
        directory = self.write({"maintenance.py": source})
        replies = {"invocation": ("ok", {"protocol": 1, "manifest": manifest or {}})}
        return self.run_host("maintenance", directory / "maintenance.py", replies=replies, **options)

    def run_host(self, kind, entry, *arguments, replies=None, close_after=None, environment=None):
        ours, theirs = socket.socketpair()
        command = [sys.executable, "-I", "-S", str(SDK / "host.py"), str(theirs.fileno()), kind, str(entry)]
        process = subprocess.Popen(
            command + list(arguments),
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=entry.parent if entry.parent.exists() else None,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})},
        )
        theirs.close()
        messages = []
        supervisor = threading.Thread(target=_supervise, args=(ours, messages, replies or {}, close_after))
        supervisor.start()
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
            supervisor.join()
        return Run(messages, stdout.decode(), stderr.decode(), process.returncode)


def _supervise(channel, messages, replies, close_after):
    with channel, channel.makefile("rb") as lines:
        for line in lines:
            message = json.loads(line, parse_constant=_refuse)
            message["size"] = len(line)
            messages.append(message)
            if message["type"] != "request":
                continue
            if message["operation"] == close_after:
                channel.shutdown(socket.SHUT_RDWR)
                continue
            kind, value = replies.get(message["operation"], ("error", "no such operation"))
            reply = {"type": "reply", "id": message["id"], kind: value}
            channel.sendall(json.dumps(reply).encode() + b"\n")


def _refuse(constant):
    raise AssertionError("%s is not JSON" % constant)
