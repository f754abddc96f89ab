"""Compare version numbers as programs print them: numbers with dots, an optional pre-release after a hyphen.

This is semantic versioning's order, but for any number of parts and with absent parts as zero, because what
`--version` prints is seldom strict.
"""

OPERATORS = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    ">=": lambda order: order >= 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    "<": lambda order: order < 0,
}


def parse_requirement(operator, version):
    """The operator and the version, which may carry the operator itself (`">=1.2"`); raises ValueError."""
    version = str(version or "").strip()
    for known in sorted(OPERATORS, key=len, reverse=True):
        if version.startswith(known):
            if operator not in (None, known):
                raise ValueError(f"two operators, {operator!r} and {known!r}")
            operator, version = known, version[len(known):].strip()
            break
    operator = "==" if operator in (None, "=") else operator
    if operator not in OPERATORS:
        raise ValueError(f"unknown operator {operator!r}")
    parse(version)
    return operator, version


def holds(found, operator, wanted):
    return OPERATORS[operator](compare(found, wanted))


def compare(left, right):
    """-1, 0 or 1."""
    left_numbers, left_suffix = parse(left)
    right_numbers, right_suffix = parse(right)
    length = max(len(left_numbers), len(right_numbers))
    left_numbers += [0] * (length - len(left_numbers))
    right_numbers += [0] * (length - len(right_numbers))
    if left_numbers != right_numbers:
        return 1 if left_numbers > right_numbers else -1
    # No suffix is the release, which comes after each of its pre-releases.
    if left_suffix == right_suffix:
        return 0
    if not left_suffix or not right_suffix:
        return 1 if not left_suffix else -1
    return 1 if left_suffix > right_suffix else -1


def parse(version):
    """`([1, 2, 3], suffix)`, where the parts of the suffix are made comparable; raises ValueError."""
    text = version.strip().lstrip("vV").split("+")[0]
    numbers, _, suffix = text.partition("-")
    parts = numbers.split(".")
    if not all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        raise ValueError(f"{version!r} is not a version number")
    comparable = []
    for part in suffix.split(".") if suffix else []:
        # Numbers sort before words and by value; the pair keeps numbers and words from being compared directly.
        comparable.append((0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part))
    return [int(part) for part in parts], comparable
