"""Hosts one module: load its entry, call it, send its result, leave.

Start-up is paid by every module at every run, so this file and what it imports use only what the interpreter has
already loaded under -I -S. All that is needed for failures or for maintenance is imported when it happens.
"""

import gc
import posix
import sys

from updates import _channel, _encode, _ending, _loading

_USAGE = "usage: host.py FD main|maintenance ENTRY [ARG...]\n"
MAX_RESULT = 1024 * 1024  # bytes of the whole line, with the newline
_RESULT = '{"type":"result","value":%s}'
_EXIT_USAGE = 64  # EX_USAGE of sysexits.h
_EXIT_UNDELIVERED = 74  # EX_IOERR of sysexits.h


def run(argv):
    """Host the module that `argv` (FD, KIND, ENTRY, ARG...) names. Ends the process with 0 once its result is sent."""
    if len(argv) < 3 or not argv[0].isdigit() or argv[1] not in ("main", "maintenance"):
        sys.stderr.write(_USAGE)
        sys.exit(_EXIT_USAGE)
    kind, entry, arguments = argv[1], argv[2], argv[3:]
    host_pid = posix.getpid()
    _prepare_streams()
    channel = _channel.attach(int(argv[0]))
    gc.freeze()  # what is there already is the host's: collections and the end look at the module's objects only

    try:
        value = _call(kind, entry, arguments)
    except BaseException as error:
        if posix.getpid() != host_pid:
            raise  # a forked child of the module: it ends the way any Python process ends
        value = _describe(error)
    if posix.getpid() != host_pid:
        return  # likewise; the result is the parent's to send

    _ending.flush_files()
    try:
        channel.send(_result_line(value))
    except _channel.ChannelError as error:
        sys.stderr.write("the result could not be delivered: %s\n" % error)
        sys.stderr.flush()
        posix._exit(_EXIT_UNDELIVERED)
    _ending.leave()


def _call(kind, entry, arguments):
    sys.argv = [entry, *arguments]
    module = _loading.load_entry(entry)
    if kind == "maintenance":
        from updates import _maintenance

        return _finished(_maintenance.run(module), "run_maintenance")
    main = getattr(module, "main", None)
    if not callable(main):
        return {"success": False, "error": "%s defines no function main(args)" % entry}
    return _finished(_call_main(main, arguments), "main")


def _call_main(main, arguments):
    """Call `main` with the list of arguments, or without when it takes no parameters."""
    function = main
    while hasattr(function, "__wrapped__"):  # set by functools.wraps: the decorated function says what it takes
        function = function.__wrapped__
    code = getattr(function, "__code__", None)
    if code is None:
        return main(arguments)  # a callable object or a builtin
    own = 1 if hasattr(function, "__self__") else 0
    takes_any = code.co_flags & 0x04  # CO_VARARGS
    if code.co_argcount > own or takes_any:
        return main(arguments)
    keyword_only = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    if "args" in keyword_only:
        return main(args=arguments)
    return main()


def _finished(value, name):
    """What the call came to: a coroutine is run to its end, a generator is a mistake that would look like success."""
    if hasattr(value, "__await__"):
        import asyncio

        async def wait():
            return await value

        return asyncio.run(wait())
    if type(value).__name__ in ("generator", "async_generator"):
        return {"success": False, "error": "%s contains `yield`: it returned a generator and none of it ran" % name}
    return value


def _result_line(value):
    """The result message for `value`, or for the failure that says why `value` itself can't be sent."""
    try:
        encoded, not_finite = _encode.encode(value, MAX_RESULT - len(_RESULT) + 1)
        if not_finite:
            from updates.index import log_message

            text = "the result has numbers that are NaN or infinite (%d); they were sent as null"
            log_message(text % not_finite, "WARNING")
        return _RESULT % encoded
    except _encode.EncodeError as error:
        reason = "the result %s" % error
    except BaseException as error:  # raised by a method of one of the module's own classes
        from updates._convert import describe_exception

        reason = "the result could not be turned into JSON: " + describe_exception(error)[:1000]
    return _RESULT % ('{"success":false,"error":%s}' % _encode.text(reason))


def _describe(error):
    try:
        from updates import _failure

        return _failure.describe(error)
    except BaseException as second:  # out of memory, or the module broke the standard library for this process
        names = (type(error).__name__, type(second).__name__)
        return {"success": False, "error": "%s (and %s while it was being described)" % names}


def _prepare_streams():
    """Lines reach the log in the order in which they were written, and text that is no UTF-8 can't end the module."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
