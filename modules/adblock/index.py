"""Merge block lists into an include file of unbound, and have unbound read it.

Fetching and caching are in components/sources.py, the formats in components/domains.py, unbound itself in
components/unbound.py. This file decides what happens in which order: nothing is written before the new text has passed
unbound's own check, and nothing is reloaded before it has been published.
"""

import json
import os

from components import unbound
from updates.index import log_message, progress

HERE = os.path.dirname(os.path.abspath(__file__))
STATE = "adblock.json"


class AdblockError(Exception):
    """Why this run can't go on, for a person."""


def main(args=None):
    """Bring the include file up to date; with --check fetch and compare, and change nothing."""
    arguments = args or []
    check = "--check" in arguments or os.environ.get("UPDATES_CHECK") == "1"
    with open(os.path.join(HERE, "index.json"), encoding="utf-8") as stream:
        configuration = json.load(stream).get("configuration", {})
    if unbound.find(configuration.get("unbound", "unbound")) is None:
        return skipped("unbound is not installed: nothing to do")

    if not wanted(configuration) and not is_ours(configuration.get("output_path")):
        return skipped("no source is enabled and no name is blocked by hand: nothing to do")

    from components import sources

    try:
        declared = sources.declared(configuration)
        return refresh(configuration, declared, check, "--accept-shrink" in arguments)
    except (AdblockError, sources.SourceError) as error:
        log_message(str(error), "ERROR")
        return {"success": False, "updated": False, "error": str(error)}


def wanted(configuration):
    """Whether anything is to be blocked at all."""
    entries = configuration.get("sources", [])
    enabled = (not isinstance(entry, dict) or entry.get("enabled", True) is True for entry in entries)
    return any(enabled) or bool(configuration.get("block"))


def is_ours(path):
    """Whether an earlier run wrote the list: with the last source gone its names must be let go."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().rstrip("\n") == unbound.HEADER
    except (OSError, TypeError):
        return False


def skipped(reason):
    log_message(reason)
    return {"success": True, "updated": False, "skipped": reason}


def refresh(configuration, declared, check, accept_shrink):
    from components import sources

    state_folder = os.environ.get("STATE_DIRECTORY")
    if not state_folder:
        raise AdblockError("STATE_DIRECTORY is not set: there is no place for the last good copies")
    output = configuration.get("output_path")
    if not isinstance(output, str) or not output.startswith("/"):
        raise AdblockError(f"output_path must be an absolute path, not {output!r}")
    cache = sources.Cache(os.path.join(state_folder, "sources"))
    fetched, failed = fetch_all(declared, cache, configuration, accept_shrink)
    if declared and not fetched:
        reasons = "; ".join(f"{url}: {reason}" for url, reason in failed.items())
        raise AdblockError(f"no source could be read, now or before: {reasons}")

    names, exempt = combine(fetched, configuration)
    content = unbound.render(names, exempt, action(configuration))
    before = current(output)
    if len(fetched) < len(declared) and not accept_shrink:
        refuse_shrink(before, len(names), configuration)
    added, removed = difference(before, content)
    result = {
        "success": True, "updated": False, "domains": len(names), "exempt": len(exempt),
        "added": added, "removed": removed, "sources": len(fetched),
    }
    if failed:
        result["failed_sources"] = failed
    if check:
        result["would_change"] = [] if content == before else [f"{output}: {added} names added, {removed} removed"]
        for change in result["would_change"]:
            log_message(f"would change {change}")
        return result

    if content == before:
        log_message(f"{output} is up to date with {len(names)} names")
    else:
        publish(output, content, before, configuration)
        result["updated"] = True
        log_message(f"{output}: {len(names)} names, {added} added, {removed} removed")
    # The copies are kept only once what was made of them is in place.
    cache.save(fetched)
    result["reloaded"] = settle_reload(state_folder, content, result["updated"], configuration)
    return result


def fetch_all(declared, cache, configuration, accept_shrink):
    """What each source gave, and `{url: reason}` of those that failed; a cached copy stands in where there is one."""
    from components import sources

    fetched, failed = [], {}
    for position, source in enumerate(declared):
        progress("sources", position, len(declared), "sources")
        try:
            item = sources.obtain(source, cache, configuration, accept_shrink)
        except sources.SourceError as error:
            failed[source.url] = str(error)
            log_message(f"{source.url}: {error}; there is no earlier copy of it", "WARNING")
            continue
        fetched.append(item)
        if item.problem is not None:
            failed[source.url] = item.problem
            log_message(f"{source.url}: {item.problem}; its last good copy is used", "WARNING")
        else:
            state = "new" if item.fresh else "unchanged"
            log_message(f"{source.url}: {state}, {len(item.parsed.block)} names, {item.parsed.rejected} lines not used")
    progress("sources", len(declared), len(declared), "sources")
    return fetched, failed


def combine(fetched, configuration):
    from components import domains

    block, allow = set(by_hand(configuration, "block")), set(by_hand(configuration, "allow"))
    own = frozenset(block)
    for item in fetched:
        block |= item.parsed.block
        # A list's own exemptions don't undo what the administrator blocks by hand.
        allow |= item.parsed.allow - own
    names, exempt = domains.merge(block, allow, configuration.get("drop_covered", True))
    limit = configuration.get("maximum_domains", 2000000)
    if len(names) > limit:
        raise AdblockError(f"{len(names)} names are more than maximum_domains, {limit}; the old list is kept")
    return names, exempt


def by_hand(configuration, key):
    from components import domains

    for name in configuration.get(key, []):
        normal = domains.normalise(name) if isinstance(name, str) else None
        if normal is None:
            raise AdblockError(f"{key}: {name!r} is not a domain name")
        yield normal


def action(configuration):
    value = configuration.get("action", "always_nxdomain")
    if value not in unbound.ACTIONS:
        raise AdblockError(f"action must be one of {', '.join(unbound.ACTIONS)}, not {value!r}")
    return value


def current(path):
    """What is there now, None when nothing is."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AdblockError(f"{path}: {error.strerror}") from error


def refuse_shrink(before, count, configuration):
    """With a source missing altogether, a list that would lose most of its names is left as it is."""
    had, ratio = len(zones(before)), configuration.get("minimum_ratio", 0.5)
    if count < had * ratio:
        raise AdblockError(f"a source is missing and the list would shrink from {had} names to {count}: kept as it is")


def difference(before, after):
    old, new = zones(before), zones(after)
    return len(new - old), len(old - new)


def zones(content):
    return {line for line in (content or "").splitlines() if "local-zone:" in line}


def publish(output, content, before, configuration):
    """Check the text, put it in place, check the whole configuration, and take it back if that fails because of it."""
    from components import sources

    checker = unbound.find(configuration.get("unbound_checkconf", "unbound-checkconf"))
    main_config = configuration.get("main_config", "/etc/unbound/unbound.conf")
    timeout = configuration.get("command_timeout", 60)
    broken_before = None
    if checker is None:
        log_message("unbound-checkconf is not installed: the list goes in unchecked", "WARNING")
    else:
        problem = unbound.check_alone(checker, content, timeout)
        if problem is not None:
            raise AdblockError(f"unbound-checkconf refuses the list, the old one is kept: {problem}")
        broken_before = unbound.check_whole(checker, main_config, timeout)
    try:
        os.makedirs(os.path.dirname(output), exist_ok=True)
        sources.replace(output, content.encode("utf-8"), 0o644)
    except OSError as error:
        raise AdblockError(f"{output}: {error.strerror}; is its folder in backup_paths?") from error
    problem = unbound.check_whole(checker, main_config, timeout) if checker is not None else None
    if problem is None:
        return
    if broken_before is not None:
        log_message(f"{main_config} does not pass unbound-checkconf, with the list or without: {problem}", "WARNING")
        return
    if before is None:
        os.unlink(output)
    else:
        sources.replace(output, before.encode("utf-8"), 0o644)
    raise AdblockError(f"with the new list unbound-checkconf refuses {main_config}, the old list is back: {problem}")


def settle_reload(folder, content, updated, configuration):
    """Reload unbound unless it is known to have read this very text; what it has read is kept in the state."""
    from components import sources

    path, wanted = os.path.join(folder, STATE), sources.digest(content.encode("utf-8"))
    try:
        with open(path, encoding="utf-8") as stream:
            loaded = json.load(stream).get("loaded")
    except (OSError, ValueError, AttributeError):
        loaded = None
    if not updated and loaded == wanted:
        return False
    control = unbound.find(configuration.get("unbound_control", "unbound-control"))
    if control is None:
        log_message("unbound-control is not installed; unbound reads the list when it next starts", "WARNING")
        return False
    done, level, sentence = unbound.reload(control, configuration.get("command_timeout", 60))
    log_message(sentence, level)
    if done:
        sources.replace(path, json.dumps({"loaded": wanted}).encode())
    return done
