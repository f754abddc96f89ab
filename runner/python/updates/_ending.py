"""Leaves the process: nothing that was written is lost, and nothing that was left running can hold up the end.

Tearing an interpreter down costs more than starting a small module, so it is skipped wherever nobody could tell.
"""

import gc
import posix
import sys
import time

_io = sys.modules["_io"]
EXIT_GRACE_SECONDS = 3  # for threads and exit hooks, once the result is sent


def flush_files():
    """Write out what open files still buffer, before the result claims that all is done."""
    # By identity: a module's classes may have a metaclass that can't be hashed or compared.
    text, writer, random = _io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom
    kinds = ((item, type(item)) for item in gc.get_objects())
    for item in [item for item, kind in kinds if kind is text or kind is writer or kind is random]:
        _flush(item)
    for stream in (sys.stdout, sys.stderr):  # the host froze these, so they are not among the objects above
        if stream is not None:
            _flush(stream)


def leave():
    """End the process with status 0. Returns only to let the interpreter end it, where that could be noticed."""
    if _has_hooks():
        _run_hooks()
    if _has_finalisers():
        _guard_by_signal()  # while the interpreter comes down no Python code runs that could watch over it
        return
    posix._exit(0)


def _has_hooks():
    if "threading" in sys.modules:
        return True
    atexit = sys.modules.get("atexit")
    return atexit is not None and atexit._ncallbacks() > 0


def _run_hooks():
    """Wait for threads and run exit hooks in the interpreter's order, but no longer than the grace allows."""
    import _thread
    import atexit

    try:
        _thread.start_new_thread(_end_late, ())
    except RuntimeError:  # no more threads are allowed
        _guard_by_signal()
    try:
        threading = sys.modules.get("threading")
        if threading is not None:
            threading._shutdown()
        atexit._run_exitfuncs()
    except BaseException as error:  # up to Python 3.9 the last hook's exception comes through
        sys.stderr.write("an exit hook of the module failed: %s\n" % type(error).__name__)
    flush_files()


def _end_late():
    time.sleep(EXIT_GRACE_SECONDS)
    try:
        from updates.index import log_message

        text = "threads or exit hooks of the module were still running %d s after its result and were ended"
        log_message(text % EXIT_GRACE_SECONDS, "WARNING")
    finally:
        posix._exit(0)


def _guard_by_signal():
    import _signal

    _signal.signal(_signal.SIGALRM, _signal.SIG_DFL)
    _signal.alarm(EXIT_GRACE_SECONDS)


def _has_finalisers():
    """Whether a live object has a `__del__` that the end of an interpreter would have run."""
    kinds = {id(kind): kind for kind in map(type, gc.get_objects())}
    for file in (_io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom, _io.BufferedReader, _io.FileIO):
        kinds.pop(id(file), None)  # flush_files has seen to these
    try:
        return any(hasattr(kind, "__del__") for kind in kinds.values())
    except Exception:  # a metaclass of the module's
        return True


def _flush(file):
    try:
        if not file.closed:
            file.flush()
    except Exception as error:  # a full disk, a broken pipe; the module ended without looking
        from updates.index import log_message

        log_message("%s could not be written out: %s" % (getattr(file, "name", file), error), "ERROR")
