"""Refresh the package lists, try again where a source fails, and name each source that stays out of reach."""

from updates.index import log_message, progress


class Refreshed:
    """`failed` is `{source: reason}`; `reached` tells whether any source answered."""

    def __init__(self, failed, reached):
        self.failed = failed
        self.reached = reached


def refresh(tools):
    """Run `apt-get update` until every source has answered or the attempts are used up."""
    configuration = tools.configuration
    attempts = max(1, int(configuration.get("refresh_attempts", 3)))
    refreshed = Refreshed({}, False)
    for attempt in range(attempts):
        if attempt:
            import time

            time.sleep(configuration.get("refresh_wait", 15))
        progress("refresh", attempt, attempts, "attempts")
        finished = tools.apt_get("update", timeout=configuration.get("refresh_timeout", 900), quiet=True)
        refreshed = read(finished)
        if not refreshed.failed:
            break
        for source, reason in refreshed.failed.items():
            log_message(f"{source}: {reason} (attempt {attempt + 1} of {attempts})", "WARNING")
    progress("refresh", attempts, attempts, "attempts")
    return refreshed


def read(finished):
    """What a run of `apt-get update` says of each source."""
    failed, last, current = {}, {}, None
    for line in finished.lines:
        kind, _, rest = line.partition(":")
        number, _, source = rest.partition(" ")
        if kind in ("Hit", "Get", "Ign", "Err") and number.isdigit():
            # `Hit:1 http://host suite InRelease`; the size at the end of a Get line is no part of the name.
            current = source.split(" [", 1)[0].strip() if kind == "Err" else None
            # An item is announced with Get before it is asked for: only the last word on it counts.
            last[number] = kind
            if current:
                failed.setdefault(current, "failed")
        elif current and line.startswith("  "):
            # The reason of an Err line follows it, indented.
            failed[current] = line.strip()
            current = None
        elif line.startswith(("E: Failed to fetch ", "W: Failed to fetch ")):
            url, _, reason = line[len("E: Failed to fetch "):].partition(" ")
            if not any(same_source(url, known) for known in failed):
                failed[url] = reason.strip() or "failed"
        elif line.startswith(("E: ", "W: GPG error", "W: An error occurred during the signature")):
            notable(line[3:], failed)
    if finished.code != 0 and not failed:
        failed["apt-get update"] = finished.reason()
    return Refreshed(failed, any(kind in ("Hit", "Get") for kind in last.values()))


def notable(text, failed):
    """An error that is not about fetching; those that only sum others up are left out."""
    if text.startswith(("Some index files failed", "Failed to fetch")):
        return
    if any(same_source(source.split(" ")[0], text) for source in failed):
        return
    for word in text.replace("'", " ").split():
        if "://" in word or word.startswith("file:"):
            failed[word] = text
            return
    failed["apt-get update"] = text


def same_source(url, known):
    """An Err line and a `Failed to fetch` line name the same source, one as `host suite`, one as a full address."""
    return known.split(" ")[0].rstrip("/") in url or url in known
