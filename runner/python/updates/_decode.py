"""Reads JSON with the C scanner of the standard library, without importing `json` and the `re` that it needs.

The scanner's place is not documented; where it is missing or stumbles, `json` itself decides what is an error.
"""


class _Options:
    """The attributes that the scanner asks of its owner."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo = None


def loads(text):
    """Return the value of the JSON `text` (str); raises ValueError that says where it is wrong."""
    try:
        from _json import make_scanner

        stripped = text.strip(" \t\r\n")
        value, end = make_scanner(_Options)(stripped, 0)
        if end == len(stripped):
            return value
    except (ImportError, AttributeError, TypeError, StopIteration):
        pass
    except SystemError:  # Python 3.11's scanner has no exception to raise before json.decoder is imported
        pass
    import json

    return json.loads(text)


def load_file(path):
    """Return the value of the JSON file at `path`; raises OSError, or ValueError for what is not JSON in UTF-8."""
    with open(path, encoding="utf-8") as file:
        return loads(file.read())
