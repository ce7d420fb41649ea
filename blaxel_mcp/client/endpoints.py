"""Builds the URL of a model: its base endpoint and the sub-endpoint below it.

Paths come from agents, and gateways differ in how often they decode a URL. So a path that leaves the base or names
another resource at any depth of decoding is rejected.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError, UpstreamError
from blaxel_mcp.core.hosts import is_internal, is_loopback
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

EndpointStyle = Literal["classic", "mk3", "own", "forced"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's base endpoint.

    Attributes:
        base: Its URL, without a trailing slash.
        style: `classic` is the workspace's gateway; `mk3` is a model's own gateway, which serves OpenAI's API below
            `/v1`; `own` is the URL in the record of any other model; `forced` is the URL in the settings.
    """

    base: str
    style: EndpointStyle


@lru_cache(maxsize=1024)
def check_model_name(name: str) -> str:
    """Return a model API's name; raises InvalidArgumentsError if it cannot be part of a URL."""
    return _checked_name(name, "model")


def _checked_name(name: str, kind: str) -> str:
    if _NAME.fullmatch(name) and name not in {".", ".."}:
        return name
    raise InvalidArgumentsError(
        f"{literal(name)} cannot be the name of a {kind}.",
        hint="A name has 1 to 128 letters, digits, '.', '_' or '-'; the Blaxel console shows it.",
    )


@lru_cache(maxsize=1024)
def classic_base(run_url: str, workspace: str, model: str) -> str:
    """Return a model's base URL at the gateway (Blaxel docs, Query-a-model); raises InvalidArgumentsError."""
    return f"{run_url.rstrip('/')}/{_checked_name(workspace, 'workspace')}/models/{check_model_name(model)}"


def resolve_base(
    settings: Settings,
    *,
    workspace: str,
    model: str,
    forced_url: str | None = None,
    generation: str | None = None,
    own_url: str | None = None,
) -> Endpoint:
    """Return a model's base endpoint.

    `forced_url`, the `url` of the model's entry in the settings, takes precedence over everything. The generation (None
    if unknown) and `own_url` are those in the model's record: Blaxel's TypeScript SDK sends `mk3` models to their own
    URL and all others to the gateway.

    Raises:
        InvalidArgumentsError: A name cannot be part of a URL.
        BlaxelError: The model's record has no URL, or an unsafe one.
    """
    classic = classic_base(settings.run_url, workspace, model)
    if forced_url:
        return Endpoint(forced_url.rstrip("/"), "forced")
    if settings.url_source == "run":
        return Endpoint(classic, "classic")
    if generation == "mk3":
        return Endpoint(_mk3_base(own_url, model, settings), "mk3")
    if settings.url_source == "metadata" and own_url:
        return Endpoint(_checked_own_url(own_url, model, settings), "own")
    return Endpoint(classic, "classic")


def _mk3_base(own_url: str | None, model: str, settings: Settings) -> str:
    if not own_url:
        raise BlaxelError(
            f"The model {model!r} is an mk3 model, but its record in Blaxel has no URL.",
            code="configuration_error",
            origin="blaxel",
            hint="It may still be deploying: check its status in the Blaxel console, or set `url` in its "
            "[[models]] entry.",
        )
    base = _checked_own_url(own_url, model, settings)
    # Only of the path: a host may be called v1.
    return base.removesuffix("/v1") if urlsplit(base).path else base


def _checked_own_url(url: str, model: str, settings: Settings) -> str:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        parts, host = urlsplit(""), None
    is_plain = url.isascii() and url.isprintable() and not set(url) & set(" \\@?#")
    is_secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host or ""))
    # A remote control plane must not send the key to an address that only this machine or its network can reach.
    own = [urlsplit(base) for base in (settings.api_url, settings.run_url)]
    is_own = any((parts.scheme, parts.netloc) == (base.scheme, base.netloc) for base in own)
    is_reachable = is_own or is_loopback(own[0].hostname or "") or not is_internal(host or "")
    if host and is_plain and is_secure and is_reachable and not path_problem(parts.path):
        return url.rstrip("/")
    raise UpstreamError(
        f"The URL in the record of the model {model!r} is not safe to call.",
        code="bad_response",
        origin="blaxel",
        hint="It must be an https URL of a public host, without user name, query or fragment. Set `url` in the model's "
        "[[models]] entry, or url_source = 'run', to use another URL.",
    )


@lru_cache(maxsize=256)
def endpoint_url(endpoint: Endpoint, path: str, query: str = "") -> str:
    """Return the URL of a sub-endpoint, from `split_path`; raises InvalidArgumentsError if it would leave the base.

    An mk3 endpoint serves everything below `/v1`, which is added if the path lacks it.
    """
    if endpoint.style == "mk3" and path != "/v1" and not path.startswith("/v1/"):
        path = f"/v1{path}"
    base = endpoint.base.rstrip("/")
    url = f"{base}{path}" + (f"?{query}" if query else "")
    joined, below = urlsplit(url), urlsplit(base)
    same_origin = (joined.scheme, joined.netloc) == (below.scheme, below.netloc)
    same_parts = (joined.path, joined.query, joined.fragment) == (below.path + path, query, "")
    if same_origin and same_parts and path[:1] in {"", "/"} and not {".", ".."} & set(path.split("/")):
        return url
    raise InvalidArgumentsError(
        f"The path {literal(path)} does not stay below the model's endpoint.",
        hint="Use a plain path such as '/v1/chat/completions'.",
    )


MAX_PATH_CHARS = 2000
"""The longest path, including its query: some proxies stop at 2 kB with an unhelpful error."""

_MAX_READINGS = 10
"""Each costs as much time as the text is long, and a caller could write thousands of them into one text."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")

# RFC 3986, sections 3.3 and 3.4; the percent sign keeps existing escapes.
_PATH_SAFE = "/%:@!$&'()*+,;=-._~"
_QUERY_SAFE = _PATH_SAFE + "?"

_SEPARATORS = {"\\": "a backslash", "/": "an encoded slash", "?": "an encoded question mark", "#": "an encoded '#'"}
"""Characters that separate the parts of a URL, and so must not be escaped."""


@lru_cache(maxsize=64)
def split_path(path: str) -> tuple[str, str]:
    """Split a sub-endpoint, such as `/v1/models?limit=2`, into its path and its query, both ready to be part of a URL.

    The path starts with one slash, or is empty for the base endpoint (`/`); the query has no question mark. Existing
    escapes are kept, missing ones are added.

    Raises:
        InvalidArgumentsError: The path is not clearly below the base endpoint; the message says why.
    """
    raw_path, _, raw_query = path.partition("?")
    problem = _text_problem(path) or path_problem(raw_path) or query_problem(raw_query)
    if problem:
        raise InvalidArgumentsError(
            f"The path {literal(path)} cannot be called: {problem}.",
            hint="Use a path below the model's endpoint, such as '/v1/chat/completions', or '/' for the endpoint.",
        )
    slashed = "/" + raw_path.removeprefix("/")
    return quote(slashed, safe=_PATH_SAFE) if slashed != "/" else "", quote(raw_query, safe=_QUERY_SAFE)


def _text_problem(text: str) -> str | None:
    """Return the problem with the path as a whole; None if there is none."""
    if len(text) > MAX_PATH_CHARS:
        return f"it is longer than {MAX_PATH_CHARS} characters"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it contains half of a surrogate pair"
    if "#" in text:
        return "it contains a '#', and a fragment is never sent"
    if _ABSOLUTE.match(text):
        return "it is a complete URL, and only the server's settings choose the host"
    if _BROKEN_ESCAPE.search(text):
        return "it contains a '%' without two hexadecimal digits; write '%25' for a percent sign"
    return None


def path_problem(path: str) -> str | None:
    """Return why a path, without its query, could name another resource; None if it cannot."""
    if path.startswith("//"):
        return "it begins with two slashes"
    segments = path.removeprefix("/").split("/")
    # A trailing slash is kept: on some servers it names a resource of its own.
    named = segments[:-1] if segments[-1] == "" else segments
    problems = (_segment_problem(reading) for segment in named for reading in _readings(segment))
    try:
        return next((problem for problem in problems if problem), None)
    except ValueError as error:
        return f"its percent escapes {error}"


def _readings(text: str) -> Iterator[str]:
    """Yield the text as servers may read it: undecoded, decoded once, decoded twice, until nothing changes.

    Each reading is also normalized: some servers turn full-width dots, slashes and percent signs into plain ones.

    Raises:
        ValueError: The text cannot be decoded; the message says why, after "its percent escapes".
    """
    for _ in range(_MAX_READINGS):
        yield text
        try:
            decoded = unicodedata.normalize("NFKC", unquote_to_bytes(text).decode())
        except UnicodeDecodeError:
            raise ValueError("are not UTF-8") from None
        if decoded == text:
            return
        text = decoded
    raise ValueError("are encoded too many times")


def _segment_problem(segment: str) -> str | None:
    if _has_control(segment) or any(unicodedata.category(character) == "Cf" for character in segment):
        return "it contains a control or an invisible character"
    for character, name in _SEPARATORS.items():
        if character in segment:
            return f"it contains {name}"
    # Some servers drop path parameters first, and then "..;x" is "..".
    name = segment.partition(";")[0].strip()
    if not name:
        return "it contains an empty segment"
    if not name.strip("."):
        return "it contains a segment of only dots"
    return None


def query_problem(query: str) -> str | None:
    """Return why a URL-encoded query must not be sent; None if it may be."""
    try:
        has_control = any(_has_control(reading) for reading in _readings(query))
    except ValueError as error:
        return f"the percent escapes of its query {error}"
    return "its query contains a control character" if has_control else None


def _has_control(text: str) -> bool:
    return any(unicodedata.category(character) in {"Cc", "Zl", "Zp"} for character in text)
