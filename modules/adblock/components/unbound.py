"""Everything that knows unbound: the include file's text, its checks, and the request to reload."""

import os

HEADER = "# Written by the adblock module of updates, which replaces the whole file."
ACTIONS = ("always_nxdomain", "always_nodata", "always_refuse", "always_null", "always_deny")


def find(program):
    """The program's path, or None. Its folders are searched even when PATH, as for a plain user, leaves sbin out."""
    if "/" in program:
        return program if os.access(program, os.X_OK) else None
    for folder in [*os.environ.get("PATH", "").split(":"), "/usr/local/sbin", "/usr/sbin", "/sbin"]:
        path = os.path.join(folder, program)
        if folder and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def render(names, exempt, action):
    """The include file. It holds no time, so that the same lists give the same bytes."""
    lines = [
        HEADER,
        f"# {len(names)} names blocked, {len(exempt)} exempt.",
        "server:",
    ]
    lines += [f'    local-zone: "{name}" always_transparent' for name in exempt]
    lines += [f'    local-zone: "{name}" {action}' for name in names]
    return "\n".join(lines) + "\n"


def run(command, timeout):
    """`(exit code, output)`; a program that can't be started or doesn't end has the code None."""
    import subprocess

    try:
        finished = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return finished.returncode, finished.stdout[-4096:].decode("utf-8", "replace").strip()


def check_alone(checker, content, timeout):
    """Check the text on its own, before unbound could see it: None, or what is wrong with it."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix="adblock-") as folder:
        path = os.path.join(folder, "alone.conf")
        with open(path, "w", encoding="utf-8") as stream:
            # No chroot, user or folder: what is checked is this text, not where unbound is installed.
            stream.write('server:\n    chroot: ""\n    username: ""\n    directory: ""\n    pidfile: ""\n')
            stream.write(content)
        code, output = run([checker, path], timeout)
    return None if code == 0 else output or f"exit code {code}"


def check_whole(checker, main_config, timeout):
    """Check the configuration that unbound really reads: None, or what is wrong with it."""
    code, output = run([checker, main_config], timeout)
    return None if code == 0 else output or f"exit code {code}"


def reload(control, timeout):
    """Tell a running unbound to read its configuration: `(done, level, sentence)`."""
    code, output = run([control, "status"], timeout)
    if code != 0:
        return False, "INFO", f"unbound does not answer ({last_line(output)}); it reads the list when it next starts"
    code, output = run([control, "reload"], timeout)
    if code != 0:
        return False, "WARNING", f"unbound would not reload: {last_line(output)}"
    return True, "INFO", "unbound has reloaded"


def last_line(output):
    return output.splitlines()[-1] if output else "no output"
