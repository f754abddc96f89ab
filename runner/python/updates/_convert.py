"""What becomes of a value that JSON has no word for: the closest thing that a person reading the report understands.

Types are recognised by what they offer and not by their class, so nothing has to be imported to know them.
"""


def convert(value):
    """Return something nearer to JSON than `value`: a dict, a list or a str. Its items may need converting again."""
    kind = type(value)
    if isinstance(value, type):
        return value.__module__ + "." + value.__qualname__
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("utf-8", "backslashreplace")
    if isinstance(value, (set, frozenset)):
        return _sorted(value)
    if isinstance(value, BaseException):
        return describe_exception(value)
    if hasattr(kind, "__fspath__"):  # pathlib.Path
        return convert_path(value)
    if hasattr(kind, "isoformat"):  # datetime, date, time
        return value.isoformat()
    if hasattr(kind, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in kind.__dataclass_fields__}
    if hasattr(kind, "__members__"):  # enum.Enum
        return value.value
    if hasattr(kind, "__index__"):  # the integers of other libraries
        return int(value)
    if hasattr(kind, "keys") and hasattr(kind, "__getitem__"):
        return {key: value[key] for key in value.keys()}  # noqa: SIM118 (a mapping of any class may iterate otherwise)
    if hasattr(kind, "__iter__") and hasattr(kind, "__len__"):  # deque, range, the views of a dict
        return list(value)
    return str(value)


def describe_exception(error):
    """The `TypeName: message` line that Python prints for an exception; the name alone when it has no message."""
    try:
        message = str(error)
    except Exception:  # the module's own __str__
        message = "(its message can't be read)"
    name = type(error).__qualname__
    return name + ": " + message if message else name


def convert_path(value):
    """The path as str, whether the object keeps it as str or as bytes."""
    path = value.__fspath__()
    return path if isinstance(path, str) else path.decode("utf-8", "backslashreplace")


def _sorted(values):
    try:
        return sorted(values)
    except TypeError:  # of several types: no order, but the same one at each run
        return sorted(values, key=lambda value: (type(value).__name__, str(value)))
