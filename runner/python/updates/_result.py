"""Sends the one result of a module, or a failure that says why the result itself could not be sent."""

from updates import _encode

MAX_RESULT = 1024 * 1024  # bytes of the whole line, with the newline
_HEAD = '{"type":"result","value":'


def send(channel, value):
    """Send `value` as the result. Raises ChannelError when nobody can be told."""
    try:
        encoded, not_finite = _encode.encode(value, MAX_RESULT - len(_HEAD) - 2)
        if not_finite:
            from updates.index import log_message

            text = "the result has numbers that are NaN or infinite (%d); they were sent as null"
            log_message(text % not_finite, "WARNING")
    except _encode.EncodeError as error:
        encoded = _unsendable("the result %s" % error)
    except BaseException as error:  # raised by a method of one of the module's own classes
        from updates._convert import describe_exception

        encoded = _unsendable("the result could not be turned into JSON: " + describe_exception(error)[:1000])
    channel.send(_HEAD + encoded + "}")


def _unsendable(reason):
    return '{"success":false,"error":%s}' % _encode.text(reason)
