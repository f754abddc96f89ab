"""Fetch block lists and keep the last good copy of each. Writes nothing but the cache, and that only when told to.

A source that fails, answers with something that is no list, or suddenly shrinks, is served from its last good copy:
a resolver with yesterday's list is better than one without.
"""

import hashlib
import json
import os

from components import domains

STATE = "sources.json"
CHUNK = 1 << 18


class SourceError(Exception):
    """Why a source gave nothing usable this time, for a person."""


class Source:
    """One checked entry of `configuration.sources`."""

    def __init__(self, url, kind):
        self.url = url
        self.kind = kind
        self.key = hashlib.sha256(url.encode()).hexdigest()[:32]


def declared(configuration):
    """The enabled sources; raises SourceError for one that is written wrongly."""
    sources, seen = [], set()
    for entry in configuration.get("sources", []):
        entry = {"url": entry} if isinstance(entry, str) else entry
        url = entry.get("url") if isinstance(entry, dict) else None
        if not isinstance(url, str) or not url.startswith(("https://", "http://", "file:///")):
            raise SourceError(f"source {url!r}: the url must begin with https://, http:// or file:///")
        if not url.isascii() or any(character.isspace() or not character.isprintable() for character in url):
            raise SourceError(f"source {url!r}: the url holds characters that a url may not")
        kind = entry.get("format", "auto")
        if kind not in domains.FORMATS:
            raise SourceError(f"source {url}: format must be one of {', '.join(domains.FORMATS)}, not {kind!r}")
        if entry.get("enabled", True) is True and url not in seen:
            seen.add(url)
            sources.append(Source(url, kind))
    return sources


class Cache:
    """Last good copies, in a folder of the module's state directory. An unreadable one is as good as none."""

    def __init__(self, folder):
        self.folder = folder
        try:
            with open(os.path.join(folder, STATE), encoding="utf-8") as stream:
                state = json.load(stream)
            self.entries = {key: entry for key, entry in state["sources"].items() if isinstance(entry, dict)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.entries = {}

    def copy(self, source):
        """The last good copy, or None; a copy that is not what was noted is not used."""
        entry = self.entries.get(source.key)
        if entry is None:
            return None
        try:
            with open(self.path(source.key), "rb") as stream:
                content = stream.read()
        except OSError:
            return None
        return content if digest(content) == entry.get("sha256") else None

    def path(self, key):
        return os.path.join(self.folder, f"{key}.list")

    def save(self, fetched):
        """Store what is new, forget what is no longer declared, and last of all the notes that point to it."""
        os.makedirs(self.folder, exist_ok=True)
        entries = {}
        for item in fetched:
            if item.fresh:
                replace(self.path(item.source.key), item.content)
            entries[item.source.key] = item.entry
        if entries != self.entries:
            state = json.dumps({"sources": entries}, indent=2, sort_keys=True)
            replace(os.path.join(self.folder, STATE), state.encode())
            self.entries = entries
        for name in os.listdir(self.folder):
            if name.endswith(".list") and name[:-5] not in entries:
                os.unlink(os.path.join(self.folder, name))


class Fetched:
    """One source's content: `fresh` when it differs from the cached copy, `problem` when it is only that copy."""

    def __init__(self, source, content, entry, parsed, fresh, problem=None):
        self.source = source
        self.content = content
        self.entry = entry
        self.parsed = parsed
        self.fresh = fresh
        self.problem = problem


def obtain(source, cache, configuration, accept_shrink=False):
    """The source's list, from where it is or from the last good copy; raises SourceError when there is neither."""
    old = cache.copy(source)
    entry = cache.entries.get(source.key, {}) if old is not None else {}
    try:
        content, validators = fetch(source, entry, configuration)
        if content is None:
            return Fetched(source, old, entry, read(old, source), fresh=False)
        parsed = read(content, source)
        judge(parsed, entry.get("count", 0), 0 if accept_shrink else configuration.get("minimum_ratio", 0.5))
        new = {"url": source.url, "sha256": digest(content), "count": len(parsed.block), **validators}
        return Fetched(source, content, new, parsed, fresh=content != old)
    except SourceError as error:
        if old is None:
            raise
        return Fetched(source, old, entry, read(old, source), fresh=False, problem=str(error))


def read(content, source):
    return domains.parse(content.decode("utf-8", "replace"), source.kind)


def judge(parsed, before, ratio):
    if not parsed.block:
        raise SourceError("holds no domain names; is it a block list?")
    if len(parsed.block) < before * ratio:
        raise SourceError(f"shrank from {before} names to {len(parsed.block)}; --accept-shrink takes it as it is")


def fetch(source, entry, configuration):
    """The content and its validators; content is None when the server says that the cached copy is current."""
    limit = int(configuration.get("maximum_source_mib", 64) * 1048576)
    if source.url.startswith("file://"):
        return fetch_file(source.url, limit), {}
    return fetch_http(source.url, entry, configuration, limit)


def fetch_file(url, limit):
    from urllib.parse import unquote

    path = unquote(url[len("file://"):])
    try:
        with open(path, "rb") as stream:
            content = stream.read(limit + 1)
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from error
    if len(content) > limit:
        raise SourceError(f"is larger than {limit >> 20} MiB")
    return content


def fetch_http(url, entry, configuration, limit):
    import http.client
    import time
    from urllib import error as errors
    from urllib import request

    headers = {"User-Agent": configuration.get("user_agent", "updates-adblock")}
    if entry.get("etag"):
        headers["If-None-Match"] = entry["etag"]
    if entry.get("last_modified"):
        headers["If-Modified-Since"] = entry["last_modified"]
    deadline = time.monotonic() + configuration.get("source_timeout", 120)
    try:
        with opener(request).open(
            request.Request(url, headers=headers), timeout=configuration.get("connect_timeout", 15)
        ) as response:
            content = receive(response, limit, deadline, time.monotonic)
            validators = {"etag": response.headers.get("ETag"), "last_modified": response.headers.get("Last-Modified")}
    except errors.HTTPError as error:
        if error.code == 304 and entry:
            return None, {}
        raise SourceError(f"the server answered {error.code} {error.reason}") from error
    except errors.URLError as error:
        raise SourceError(f"can't be reached: {error.reason}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SourceError(f"can't be read: {error or type(error).__name__}") from error
    return content, {key: value for key, value in validators.items() if value and len(value) <= 1024}


def receive(response, limit, deadline, now):
    """Read the body within its bounds in size and time: a server may send a byte a second, or for ever."""
    parts, size = [], 0
    while True:
        part = response.read1(CHUNK)
        if not part:
            break
        size += len(part)
        if size > limit:
            raise SourceError(f"is larger than {limit >> 20} MiB")
        if now() > deadline:
            raise SourceError("took too long")
        parts.append(part)
    expected = response.headers.get("Content-Length", "")
    if expected.isdigit() and size != int(expected):
        raise SourceError(f"broke off after {size} of {expected} bytes")
    return b"".join(parts)


def opener(request):
    """Only http and https, also after a redirect, and never from https back to http."""

    class Redirect(request.HTTPRedirectHandler):
        def redirect_request(self, req, fp, code, msg, headers, newurl):
            if not newurl.startswith(("https://", "http://") if req.full_url.startswith("http://") else "https://"):
                raise SourceError(f"redirects to {newurl}, which is not followed")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    director = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(), request.HTTPHandler(), request.HTTPSHandler(), Redirect(),
        request.HTTPDefaultErrorHandler(), request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    return director


def digest(content):
    return hashlib.sha256(content).hexdigest()


def replace(path, content, mode=0o600):
    """Put `content` at `path` as a whole: the old content or the new is there at any moment, never a part."""
    temporary = f"{path}.new"
    with open(temporary, "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
