"""Types of settings and their validation."""

import math
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)

from blaxel_mcp.core import json_text
from blaxel_mcp.core.hosts import is_loopback
from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.placeholders import bare_credential

TOOL_NAME_LIMIT = 40
"""Maximum characters of a tool name: clients add a prefix and reject names longer than 60 to 64 characters."""


def _requiring(is_met: Callable[[Any], Any], requirement: str) -> AfterValidator:
    """Return a validator for values of which `is_met` is true; its error states the requirement, not the value."""

    def validate(value: Any) -> Any:
        if not is_met(value):
            raise ValueError(requirement)
        return value

    return AfterValidator(validate)


def _matching(pattern: str, requirement: str) -> AfterValidator:
    return _requiring(re.compile(pattern).fullmatch, f"must be {requirement}")


def _is_encrypted_or_local(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def _is_rooted(path: str) -> bool:
    # The working directory depends on the client that starts the server; with some of them it is "/".
    is_in_home = path == "~" or path.startswith(("~/", f"~{os.sep}"))
    return "\0" not in path and (is_in_home or Path(path).is_absolute())


_PORT = "(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"

ToolName = Annotated[
    str, _matching(rf"[A-Za-z0-9_-]{{1,{TOOL_NAME_LIMIT}}}", f"1 to {TOOL_NAME_LIMIT} letters, digits, '_' or '-'")
]

ToolPrefix = Annotated[str, _matching(r"[A-Za-z0-9_-]{0,20}", "at most 20 letters, digits, '_' or '-'")]

HeaderValue = Annotated[str, _matching(r"[A-Za-z0-9._-]{1,128}", "1 to 128 letters, digits, '.', '_' or '-'")]
"""Text that is sent as the value of a header, such as a workspace or a version."""

IssuerUrl = Annotated[
    str,
    _matching(
        # "$", "{" and "}" are rejected so that `https://${HOST}` is an error and not a host.
        r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]${}]+)(:[0-9]{1,5})?(/[^\s?#]*)?",
        "an http(s) URL with no user name, query or fragment",
    ),
    _requiring(
        re.compile(rf"[a-z]+://(\[.*\]|[^:/]*)(:{_PORT})?(/.*)?").fullmatch, "must have a port of at most 65535"
    ),
]
"""A URL that is compared as text (RFC 8414, section 3.3): a trailing slash is significant."""

HttpUrl = Annotated[IssuerUrl, AfterValidator(lambda url: url.rstrip("/"))]

ListenAddress = Annotated[
    str,
    _matching(
        rf"((\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9.-]+):)?{_PORT}",
        "a port, or an address and a port such as 0.0.0.0:9464",
    ),
]

CredentialUrl = Annotated[
    HttpUrl,
    _requiring(_is_encrypted_or_local, "must be an https URL: over http, your credentials could be read on the way"),
]
"""A URL that credentials are sent to: https, or http on loopback."""

Credential = Annotated[
    SecretStr, BeforeValidator(lambda value: bare_credential(value) if isinstance(value, str) else value)
]
_REDIS_PLACE = rf"(?:[^/@\s]*@)?(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(?::{_PORT})?(?:/\d{{0,3}})?"
_REDIS_URL = re.compile(rf"redis://{_REDIS_PLACE}|rediss://{_REDIS_PLACE}(?:\?ssl_ca_certs=[^\s&#]+)?")
_A_REDIS_URL = "a URL such as redis://host:6379/0 or rediss://:password@host"
_MIN_SECRET_CHARS = 32


def _is_redis_url(url: Any) -> bool:
    # One of another type is reported as no text.
    return not isinstance(url, str) or _REDIS_URL.fullmatch(url) is not None


RedisUrl = Annotated[SecretStr, BeforeValidator(_requiring(_is_redis_url, f"must be {_A_REDIS_URL}").func)]
"""The URL of a Redis or Valkey, which may hold a password."""

LedgerLocation = Annotated[
    str,
    _requiring(lambda ledger: "://" not in ledger or _is_redis_url(ledger), f"must be a file, or {_A_REDIS_URL}"),
]

LongSecret = Annotated[
    SecretStr,
    _requiring(
        lambda secret: len(secret) >= _MIN_SECRET_CHARS,
        f"must have at least {_MIN_SECRET_CHARS} characters; use the output of `openssl rand -hex 32`",
    ),
]
"""A secret that encrypts."""

RootedPath = Annotated[str, _requiring(_is_rooted, "must be an absolute path, or begin with ~/")]

RESERVED_HEADER = re.compile(
    r"(?:proxy-)?authorization|x-blaxel-.*|(?:.*[-_])?api[-_]?key|host|(?:set-)?cookie2?|connection|content-length|"
    r"transfer-encoding|accept-encoding",
    re.IGNORECASE,
)
"""Request headers that only this server sets: credentials, the host, cookies and the framing of the message."""

_RESERVED_IN_SETTINGS = re.compile(
    r"content-type|te|trailer|upgrade|keep-alive|expect|proxy-connection|"
    r"(?:.*[-_])?(?:access[-_]?key|subscription[-_]key|token|secret|password|credentials?)",
    re.IGNORECASE,
)
"""Other headers that settings may not set: the type of the body, and names of other credentials."""

HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def _check_headers(headers: dict[str, str]) -> dict[str, str]:
    names = [name.lower() for name in headers]
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name):
            raise ValueError(f"has {name!a}, which is not the name of a header")
        if RESERVED_HEADER.fullmatch(name) or _RESERVED_IN_SETTINGS.fullmatch(name):
            raise ValueError(f"may not set {name}: this server sets credentials, host, cookies and framing itself")
        if names.count(name.lower()) > 1:
            raise ValueError(f"sets {name} twice")
        if not HEADER_VALUE.fullmatch(value) or value != value.strip():
            raise ValueError(f"has a value for {name} that is not plain ASCII text on one line")
    return headers


RequestHeaders = Annotated[dict[str, str], AfterValidator(_check_headers)]

API_NAMES = (
    *("chat-completions", "responses", "messages", "generate-content", "cohere-chat"),
    *("embeddings", "images", "speech", "transcriptions", "rerank", "raw"),
)
"""The names of the APIs, as the package `apis` defines them."""


def _known_api(name: str) -> str:
    if name not in API_NAMES:
        guess = closest(name, API_NAMES)
        advice = f"did you mean {guess}?" if guess else f"valid names: {', '.join(API_NAMES)}; `raw` speaks any other"
        raise ValueError(f"is not the name of an API; {advice}")
    return name


APIName = Annotated[str, AfterValidator(_known_api)]


def _pointers(value: Any) -> Any:
    """Return JSON Pointers as a list, which may be written as a single text."""
    pointers = (value,) if isinstance(value, str) else value
    texts = [text for text in pointers if isinstance(text, str)] if isinstance(pointers, list | tuple) else []
    if any(text[:1] not in ("", "/") for text in texts):
        raise ValueError("must be JSON Pointers, such as /choices/0/message/content")
    return pointers


Pointers = Annotated[tuple[str, ...], BeforeValidator(_pointers)]


def _json_only(table: dict[str, Any]) -> dict[str, Any]:
    """Reject what no request body can hold: TOML has dates, times, nan and inf, and its keys nest without an end."""
    try:
        text = json_text.dump(table)
        text.encode()
        is_deep = json_text.depth(text) > json_text.MAX_DEPTH
    except RecursionError:
        is_deep = True
    except (TypeError, ValueError):
        raise ValueError("has a value that JSON does not have, such as a date or nan; write a date as text") from None
    if is_deep:
        raise ValueError(f"nests more than {json_text.MAX_DEPTH} levels deep")
    return table


JSONTable = Annotated[dict[str, Any], AfterValidator(_json_only)]
"""A table that becomes JSON."""

Whole = Annotated[int, Field(le=2**53)]
"""A whole number within what C, databases and JSON count with."""

ReceiptKind = Literal["meta", "text"]
"""Where the receipt of a call is: in `_meta` only, or also in a short line for the model."""

ResultKind = Literal["json", "text"]
"""What a tool returns: the whole answer as JSON, or only the model's text."""

StreamKind = Literal["auto", "always", "never"]
"""When an answer is requested as a stream of events."""

RefuseOrAllow = Literal["refuse", "allow"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _auto_or_seconds(value: Any) -> Any:
    """Return "auto" or a number of seconds, 0 included; one message covers both."""
    if value == "auto":
        return value
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError('must be "auto" or a number of seconds, 0 or more')
    return seconds


DetachAfter = Annotated[Literal["auto"] | float, BeforeValidator(_auto_or_seconds)]
"""When a running call is handed back: as the client needs it, or after this many seconds; 0 for never."""


class Section(BaseModel):
    """Base class of the tables of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        # pydantic reads `true` as 1, an unintended cap.
        if isinstance(value, bool):
            parts = list(parts_of(cls.model_fields[str(info.field_name)].annotation))
            if int in parts or float in parts:
                raise ValueError("must be a number")
        return value


class ClosedSection(Section):
    """Base class of the tables with restricting keys: a value that cannot take effect is an error, not unset."""


def parts_of(annotation: Any) -> Iterator[Any]:
    """Yield a type and all its parts, such as `Price | None`, `Price` and `None`."""
    yield annotation
    for argument in get_args(annotation):
        yield from parts_of(argument)
