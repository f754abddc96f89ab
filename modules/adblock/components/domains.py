"""Read block lists: lines of three formats become domain names in one spelling. Pure, knows no files and no network.

A list is data from strangers. A line that is not understood is dropped and counted, and only names that pass the
pattern below ever reach unbound's configuration.
"""

import re

FORMATS = ("auto", "hosts", "domains", "adblock")

# RFC 1035's lengths, with the underscore that service names use. The last label holds a letter, so that no address
# passes. Neither quote, space nor line break can occur, which is what keeps the include file ours.
NAME = re.compile(
    r"(?=.{4,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,58}[a-z0-9])\Z"
)
ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}\Z|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%\w+)?\Z")
LOCAL = frozenset(("localhost.localdomain", "localhost4.localdomain4", "localhost6.localdomain6"))
# Filter options that still mean "this name, for everyone". Any other option narrows a rule to something that a
# resolver can't see, such as third-party requests.
WHOLE = frozenset(("important", "all"))


class Parsed:
    """What one list says: names to block, names it exempts, and how many lines were not understood."""

    def __init__(self):
        self.block = set()
        self.allow = set()
        self.rejected = 0


def normalise(name):
    """The name in lower case ASCII without a trailing dot, or None when it is not a name of two labels or more."""
    name = name.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    return name if NAME.match(name) and name not in LOCAL else None


def parse(text, kind="auto"):
    """Read one list."""
    parsed = Parsed()
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#!;[":
            continue
        if line.startswith(("||", "@@")):
            if kind in ("auto", "adblock"):
                adblock_rule(line, parsed)
            else:
                parsed.rejected += 1
            continue
        fields = line.split("#", 1)[0].split()
        if not fields:
            continue
        if kind in ("auto", "hosts") and ADDRESS.match(fields[0]):
            add(fields[1:], parsed)
        elif kind in ("auto", "domains") and len(fields) == 1 and "##" not in line:
            add([fields[0][2:] if fields[0].startswith("*.") else fields[0].lstrip(".")], parsed)
        else:
            parsed.rejected += 1
    return parsed


def add(names, parsed):
    for name in names:
        normal = normalise(name)
        if normal is not None:
            parsed.block.add(normal)
        elif "." in name:
            # `localhost` and its like stand in every hosts file and are nobody's mistake.
            parsed.rejected += 1


def adblock_rule(line, parsed):
    """`||name^` blocks, `@@||name^` exempts; anything finer is not for a resolver."""
    exempt = line.startswith("@@")
    rule, _, options = (line[2:] if exempt else line).partition("$")
    narrowed = any(option.strip() not in WHOLE for option in options.split(",")) if options else False
    normal = normalise(rule[2:].rstrip("^|")) if rule.startswith("||") and rule.rstrip("|").endswith("^") else None
    if normal is None or narrowed:
        parsed.rejected += 1
    elif exempt:
        parsed.allow.add(normal)
    else:
        parsed.block.add(normal)


def covered(name, names):
    """Whether a parent of `name` is in `names`."""
    position = name.find(".")
    while position != -1:
        if name[position + 1:] in names:
            return True
        position = name.find(".", position + 1)
    return False


def merge(block, allow, drop_covered):
    """The names to block, sorted, and the allowed names that need an exemption of their own below a blocked parent."""
    kept = {name for name in block if name not in allow and not covered(name, allow)} if allow else set(block)
    exempt = sorted(name for name in allow if covered(name, kept))
    if drop_covered:
        kept = {name for name in kept if not covered(name, kept)}
    return sorted(kept), exempt
