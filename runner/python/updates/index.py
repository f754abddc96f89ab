"""What every module needs: logging, progress, and whether this is only a check.

Under the supervisor messages go to the log of the run, by way of the channel; by hand they are printed. Importing this
module and logging a line costs next to nothing, so no module has a reason not to.
"""

import posix
import sys
import time

from updates import _channel, _encode

__all__ = ["is_check", "log_message", "progress"]

_LEVELS = {
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARNING": "WARNING",
    "WARN": "WARNING",
    "ERROR": "ERROR",
    "CRITICAL": "ERROR",
    "FATAL": "ERROR",
}
_PROGRESS_INTERVAL = 0.1  # seconds; the protocol allows ten a second
_last_progress = [0.0, None]  # when, and of which step


def log_message(message, level="INFO"):
    """Log `message` at `level`: DEBUG, INFO, WARNING or ERROR, in any case.

    WARN means WARNING, CRITICAL means ERROR, an unknown level INFO. Anything that is not a str is logged as `str()`
    shows it. A message of several lines stays one message; one over 64 KiB is cut, and says so.
    """
    message = message if type(message) is str else _text_of(message)
    level = _LEVELS.get(_text_of(level).strip().upper(), "INFO")
    channel = _channel.current
    if channel is not None:
        try:
            channel.send(_log_line(message, level, channel.max_line))
            return
        except _channel.ChannelError:
            pass  # printed instead: stdout is read separately and may still be heard
    stamp = time.strftime("%Y-%m-%d %H:%M:%S")
    print("[%s] [%s] %s" % (stamp, level, _printable(message)), flush=True)


def progress(step, current=None, total=None, unit=None):
    """Tell how far the module is: the name of the step and, where known, `current` of `total` in `unit` ("packages").

    Progress is for whoever watches and is not kept: more than ten messages a second of one step are dropped, but for
    the last one, where `current` equals `total`. `current` and `total` are numbers.
    """
    now = time.monotonic()
    same_step = _last_progress[1] == step
    if same_step and now - _last_progress[0] < _PROGRESS_INTERVAL and (current is None or current != total):
        return
    _last_progress[:] = now, step
    if _channel.current is None:
        count = "" if current is None else " %s" % current if total is None else " %s/%s" % (current, total)
        log_message("%s%s%s" % (step, count, " " + unit if unit and count else ""))
        return
    message = {"type": "progress", "step": str(step)[:1000], "current": current, "total": total, "unit": unit}
    message = {name: value for name, value in message.items() if value is not None}
    try:
        _channel.current.send(_encode.encode(message, _channel.current.max_line - 1)[0])
    except (_channel.ChannelError, _encode.EncodeError):
        pass  # lossy by contract


def is_check():
    """Whether this run only shows what would change. Everything is read-only then, whatever the module does."""
    return posix.environ.get(b"UPDATES_CHECK") == b"1"


def _log_line(message, level, limit):
    head = '{"type":"log","level":"' + level + '","message":'
    line = head + _encode.text(message) + "}"
    if len(line) * 4 < limit or len(line.encode()) < limit:  # a character takes at most 4 bytes
        return line
    keep = min(len(message), limit)
    while True:
        note = " [cut: %d characters more]" % (len(message) - keep)
        line = head + _encode.text(message[:keep] + note) + "}"
        size = len(line.encode())
        if size < limit:
            return line
        keep = min(keep - 1, keep * (limit - len(note)) // size)


def _text_of(message):
    try:
        return str(message)
    except Exception as error:  # logging must never be what ends a module
        return "(%s that can't be shown: %s)" % (type(message).__name__, type(error).__name__)


def _printable(message):
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return message.encode(encoding, "backslashreplace").decode(encoding)
