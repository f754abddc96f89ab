"""Turns an exception that left the module into the result that the supervisor reports.

Only imported when a module has failed; the traceback shows the module's own frames and not the host's.
"""

import sys

from updates._convert import describe_exception

MAX_ERROR = 8 * 1024  # characters
MAX_TRACEBACK = 64 * 1024  # characters
_EX_TEMPFAIL = 75  # of sysexits.h: "try again", the exit status by which an executable module asks for a restart


def describe(error):
    """Return the result for `error`: a failure, or for SystemExit what its code asks for.

    `sys.exit(0)` is success, `sys.exit(75)` asks for the restart (False), anything else is a failure.
    """
    if isinstance(error, SystemExit):
        if error.code is None or (isinstance(error.code, int) and error.code == 0):
            return {"success": True, "note": "the module ended itself with sys.exit(0)"}
        if error.code == _EX_TEMPFAIL:
            return False
        if isinstance(error.code, int):
            return {"success": False, "error": "the module ended itself with sys.exit(%d)" % error.code}
        return {"success": False, "error": "SystemExit: " + _shortened(str(error.code), MAX_ERROR)}
    return {
        "success": False,
        "error": _shortened(describe_exception(error), MAX_ERROR),
        "traceback": _traceback(error),
    }


def _traceback(error):
    import traceback

    try:
        summary = traceback.TracebackException.from_exception(error)
    except Exception:  # the module's own __str__
        return "".join(traceback.format_tb(error.__traceback__))
    _cut(summary, _host_files(), set())
    return _shortened("".join(summary.format()), MAX_TRACEBACK)


def _cut(summary, host_files, seen):
    """Take the host's frames out of `summary` and of the exceptions that led to it.

    They are its first ones, but also lie between a module's import and the file in which that import failed.
    """
    if summary is None or id(summary) in seen:
        return
    seen.add(id(summary))
    frames = [each for each in summary.stack if not _is_host(each.filename, host_files)]
    while frames and "/asyncio/" in frames[0].filename:  # between the host and an `async def main`
        frames.pop(0)
    summary.stack[:] = frames
    _cut(summary.__cause__, host_files, seen)
    _cut(summary.__context__, host_files, seen)


def _is_host(filename, host_files):
    return filename.startswith("<frozen importlib") or filename in host_files


def _host_files():
    names = ("__main__", "updates._host", "updates._loading", "updates._maintenance")
    return {getattr(sys.modules[name], "__file__", None) for name in names if name in sys.modules}


def _shortened(text, limit):
    """Keep the head and the tail: the first line names the place, the last one the error."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return "%s\n[%d characters left out]\n%s" % (text[:half], len(text) - 2 * half, text[-half:])
