"""Make environments and install into them: every call of `venv` and `pip` is here.

An environment is made where it will be used, because its scripts carry its path and can't be moved. The way back from
a half-made one is the supervisor's copy from before the run.
"""

import os
import subprocess
import tempfile

from updates.index import log_message

TAIL_LINES = 15


class BuildError(Exception):
    """A step that failed, with the end of its output."""


def python_version(python):
    """The version of an interpreter, such as `3.11.2`; raises BuildError."""
    program = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    return run([python, "-I", "-S", "-c", program], 30, f"{python} can't be started", {}, quiet=True).strip()


def create(environment, timeout):
    """Make the environment; `--clear` empties a broken one but keeps the folder, which may be a mount point."""
    command = [environment.python, "-m", "venv", "--clear"]
    if environment.system_site_packages:
        command.append("--system-site-packages")
    problem = f"{environment.path} could not be made (is python3-venv installed? is its folder in backup_paths?)"
    run([*command, environment.path], timeout, problem, {})


def install(environment, timeout):
    """Install the requirements and check that what is installed fits together."""
    pip = [environment.interpreter(), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    with tempfile.TemporaryDirectory(prefix="venvs-") as folder:
        requirements = environment.requirements
        if not isinstance(requirements, str):
            requirements = os.path.join(folder, "requirements.txt")
            with open(requirements, "w", encoding="utf-8") as stream:
                stream.writelines(line + "\n" for line in environment.requirements)
        # No cache: HOME is not kept between runs. No bar: the log takes lines.
        options = ["--no-cache-dir", "--progress-bar", "off", *environment.pip_options]
        run([*pip, "install", *options, "-r", requirements], timeout, "pip install failed", {"TMPDIR": folder})
    run([*pip, "check"], timeout, "what is installed does not fit together", {})


def installed(environment, timeout):
    """`{name: version}` of what the environment holds."""
    import json

    command = [environment.interpreter(), "-m", "pip", "--disable-pip-version-check", "list", "--format", "json"]
    if environment.system_site_packages:
        command.append("--local")
    output = run(command, timeout, "pip list failed", {}, quiet=True)
    try:
        return {item["name"]: item["version"] for item in json.loads(output)}
    except (ValueError, KeyError, TypeError) as error:
        raise BuildError(f"pip list printed something else than a list: {error}") from error


def run(command, timeout, problem, extra, quiet=False):
    """The standard output of a command that succeeded; its lines are logged unless `quiet`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    environment.update({"PYTHONUNBUFFERED": "1"}, **extra)
    try:
        # Files and not pipes: a build that leaves a child behind would hold a pipe open.
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors if quiet else output, timeout=timeout,
                env=environment, check=False,
            ).returncode
            text = content(output)
            if code != 0:
                raise BuildError(f"{problem}: {tail(text + content(errors)) or f'exit code {code}'}")
    except OSError as error:
        raise BuildError(f"{problem}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise BuildError(f"{problem}: not done after {timeout:g} seconds") from error
    if not quiet:
        for line in text.splitlines():
            if line.strip() and not line.startswith("Requirement already satisfied"):
                log_message(f"  {line}")
    return text


def content(stream):
    stream.seek(0)
    return stream.read(4 << 20).decode("utf-8", "replace")


def tail(text):
    return " / ".join([line.strip() for line in text.splitlines() if line.strip()][-TAIL_LINES:])
