"""Asks the supervisor for what needs privilege, and turns every way of not getting it into a logged error."""

from updates import _channel, _encode
from updates.index import log_message

_BY_HAND = "%s needs the supervisor: run this module with `updates runner MODULE`"


def ask(operation, arguments, otherwise):
    """Return what the supervisor answers to `operation`, or `otherwise` after an ERROR line that says why not.

    A refusal's line is the supervisor's own sentence; it names what the module has to declare.
    """
    channel = _channel.current
    if channel is None:
        log_message(_BY_HAND % operation, "ERROR")
        return otherwise
    try:
        return channel.request(operation, arguments)
    except _channel.RequestError as refusal:
        log_message(str(refusal), "ERROR")
    except _channel.ChannelError as error:
        log_message("%s: %s" % (operation, error), "ERROR")
    except _encode.EncodeError as error:
        log_message("%s: the request %s" % (operation, error), "ERROR")
    return otherwise


def unexpected(operation, answer):
    """Log that `answer` is not what the protocol says for `operation`."""
    log_message("%s: the supervisor answered with an unexpected %s" % (operation, type(answer).__name__), "ERROR")
