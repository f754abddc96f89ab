"""The SDK's end of the channel to the runner: one JSON object a line, both ways.

`current` is the channel that the host attached, or None when a module is run by hand. Lines may be sent from any
thread, and from a signal handler that interrupts a sending thread. Requests are answered one at a time.
"""

import _thread
import posix

from updates import _encode

MAX_LINE = 64 * 1024  # bytes, with the newline
# One write of this size is one buffer in an AF_UNIX stream, so a forked child's line can't land inside another line.
MAX_LINE_OF_CHILD = 32 * 1024

current = None


class ChannelError(Exception):
    """The runner can't be reached: there is no channel, or its other end is closed."""


class RequestError(Exception):
    """The supervisor refused a request; the text is a sentence for a person and names what to declare."""


def attach(descriptor):
    """Make `descriptor` the channel of this process and keep the programs that the module starts away from it."""
    global current
    posix.set_inheritable(descriptor, False)
    posix.set_blocking(descriptor, True)
    current = Channel(descriptor)
    posix.register_at_fork(after_in_child=current._after_fork)
    return current


class Channel:
    """A connected stream socket. Its methods raise ChannelError when the other end is gone."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._identity = self._look()
        self._forked = False
        self._received = b""
        self._replies = {}
        self._last_id = 0
        self._new_locks()

    @property
    def max_line(self):
        """The longest line in bytes, newline included, that may be sent from this process; a result may be longer."""
        return MAX_LINE_OF_CHILD if self._forked else MAX_LINE

    def send(self, line):
        """Send `line`, a JSON object as str without its newline."""
        with self._sending:
            self._unsent.append(line.encode() + b"\n")
            if self._busy:
                return  # a signal handler in the middle of the loop below, which will send this line as well
            self._busy = True
            try:
                while self._unsent:
                    self._write(self._unsent.pop(0))
            finally:
                self._busy = False

    def request(self, operation, arguments):
        """Ask the supervisor for `operation` and return the `ok` of its reply; raises RequestError with its `error`."""
        if self._forked:
            raise ChannelError("%s: a forked process can't ask, only the process that runs main can" % operation)
        with self._asking:
            self._last_id += 1
            number = self._last_id
            encoded = _encode.encode(arguments, MAX_LINE)[0]
            line = '{"type":"request","id":%d,"operation":%s,"arguments":%s}'
            line %= (number, _encode.text(operation), encoded)
            if len(line.encode()) >= MAX_LINE:
                raise RequestError("%s: the request is over %d KiB" % (operation, MAX_LINE // 1024))
            self.send(line)
            reply = self._reply(number)
        if "ok" in reply:
            return reply["ok"]
        raise RequestError(str(reply.get("error") or "%s was refused without a reason" % operation))

    def _reply(self, number):
        from updates import _decode

        while number not in self._replies:
            line, newline, rest = self._received.partition(b"\n")
            if not newline:
                self._received += self._read()
                continue
            self._received = rest
            try:
                message = _decode.loads(line.decode())
            except ValueError as error:
                raise ChannelError("the runner sent a line that is not JSON: %s" % error) from None
            if isinstance(message, dict) and message.get("type") == "reply":
                self._replies[message.get("id")] = message  # not ours when a signal handler asks in between
        return self._replies.pop(number)

    def _read(self):
        self._check()
        try:
            data = posix.read(self._descriptor, 65536)
        except OSError as error:
            raise ChannelError("the channel to the runner failed: %s" % error) from None
        if not data:
            raise ChannelError("the runner closed the channel")
        return data

    def _write(self, data):
        self._check()
        try:
            while data:
                data = data[posix.write(self._descriptor, data) :]
        except OSError as error:
            raise ChannelError("the channel to the runner failed: %s" % error) from None

    def _check(self):
        """A module may close all descriptors; the number can then belong to a file, which must not be written to."""
        if self._look() != self._identity:
            raise ChannelError("the module closed the descriptor of the channel to the runner")

    def _look(self):
        try:
            status = posix.fstat(self._descriptor)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _after_fork(self):
        # Another thread of the parent may have held these.
        self._forked = True
        self._new_locks()

    def _new_locks(self):
        self._sending = _thread.RLock()
        self._asking = _thread.RLock()
        self._unsent = []
        self._busy = False
