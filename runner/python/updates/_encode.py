"""Turns values into JSON (RFC 8259) without the cost of importing `json`.

What JSON has no word for is turned into something readable by `_convert`, so that no result is lost over a path or a
date. What a strict reader on the other side would refuse is never produced: NaN, infinities, lone surrogates, numbers
beyond 64 bits, nesting beyond its limit.
"""

MAX_DEPTH = 100  # the supervisor's reader stops at 128

_ESCAPES = {code: "\\u%04x" % code for code in range(32)}
_ESCAPES.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"})


class EncodeError(ValueError):
    """The value can't be sent: it contains itself, is nested too deeply, or is too large."""


def encode(value, limit):
    """Return the JSON text of `value` and how many numbers in it were not finite (they became null).

    Raises EncodeError as soon as the text exceeds `limit` bytes, without building the rest.
    """
    encoding = _Encoding(limit)
    encoding.add(value, ())
    encoded = "".join(encoding.pieces)
    if not encoded.isascii() and len(encoded.encode()) > limit:
        encoding.too_large()
    return encoded, encoding.not_finite


def text(value):
    """Return the JSON string for a str. A lone surrogate, as in a file name that is no UTF-8, becomes its escape."""
    if value.isascii():
        if value.isprintable() and '"' not in value and "\\" not in value:
            return '"' + value + '"'
    else:
        value = value.encode("utf-8", "backslashreplace").decode()
    return '"' + value.translate(_ESCAPES) + '"'


class _Encoding:
    __slots__ = ("limit", "not_finite", "pieces", "room")

    def __init__(self, limit):
        self.limit = self.room = limit
        self.not_finite = 0
        self.pieces = []

    def add(self, value, parents):
        """Append the text of `value`; `parents` are the containers around it, outermost first."""
        if value is None:
            self.put("null")
        elif value is True:
            self.put("true")
        elif value is False:
            self.put("false")
        elif isinstance(value, str):
            if len(value) > self.room:
                self.too_large()
            self.put(text(str.__str__(value)))
        elif isinstance(value, int):
            self.add_integer(value)
        elif isinstance(value, float):
            self.add_float(value)
        elif isinstance(value, dict):
            self.add_dict(value, self.inside(value, parents))
        elif isinstance(value, (list, tuple)):
            self.add_list(value, self.inside(value, parents))
        else:
            from updates import _convert

            self.add(_convert.convert(value), self.inside(value, parents))

    def add_integer(self, value):
        if -(2**63) <= value < 2**64:
            self.put(int.__repr__(value))
        else:
            self.put('"%#x"' % value)  # hexadecimal: Python refuses to write very long numbers in decimal

    def add_float(self, value):
        if value - value == 0.0:  # true for every finite number only
            self.put(float.__repr__(value))
        else:
            self.not_finite += 1
            self.put("null")

    def add_dict(self, value, parents):
        separator = "{"
        for key, item in list(value.items()):
            self.put(separator)
            self.put(text(str.__str__(key)) if isinstance(key, str) else self.key(key))
            self.put(":")
            self.add(item, parents)
            separator = ","
        self.put("{}" if separator == "{" else "}")

    def key(self, key):
        """A key that is no str reads as its own JSON would: {1: ...} has the key "1", {None: ...} the key "null"."""
        encoded = encode(key, self.room)[0]
        return encoded if encoded.startswith('"') else text(encoded)

    def add_list(self, value, parents):
        separator = "["
        for item in list(value):
            self.put(separator)
            self.add(item, parents)
            separator = ","
        self.put("[]" if separator == "[" else "]")

    def put(self, piece):
        self.room -= len(piece)
        if self.room < 0:
            self.too_large()
        self.pieces.append(piece)

    def inside(self, value, parents):
        if any(parent is value for parent in parents):
            raise EncodeError("contains itself")
        if len(parents) >= MAX_DEPTH:
            raise EncodeError("is nested more than %d levels deep" % MAX_DEPTH)
        return (*parents, value)

    def too_large(self):
        raise EncodeError("is larger than %d KiB" % -(-self.limit // 1024))  # rounded up
