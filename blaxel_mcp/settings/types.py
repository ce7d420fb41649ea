"""The kinds of values that settings have."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

TOOL_NAME_LIMIT = 40
"""Characters in a tool's name: clients put prefixes before it and cut at 60 to 64."""

_TOOL_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{TOOL_NAME_LIMIT}}}")


# "$", "{" and "}" are refused so that `https://${HOST}` is a mistake and not a host.
_HTTP_URL = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]${}]+)(:[0-9]{1,5})?(/[^\s?#]*)?")
_HEADER_VALUE = re.compile(r"[A-Za-z0-9._-]{1,128}")


def _issuer_url(value: str) -> str:
    if not _HTTP_URL.fullmatch(value):
        raise ValueError("must be an http(s) URL with no user name, query or fragment")
    return value


def _http_url(value: str) -> str:
    return _issuer_url(value).rstrip("/")


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise ValueError("must be 1 to 128 letters, digits, '.', '_' or '-'")
    return value


def _tool_name(value: str) -> str:
    if not _TOOL_NAME.fullmatch(value):
        raise ValueError(f"must be 1 to {TOOL_NAME_LIMIT} letters, digits, '_' or '-'")
    return value


ToolName = Annotated[str, AfterValidator(_tool_name)]

HttpUrl = Annotated[str, AfterValidator(_http_url)]
IssuerUrl = Annotated[str, AfterValidator(_issuer_url)]
"""A URL that is compared as text (RFC 8414, section 3.3): a slash at its end is a part of it."""

HeaderValue = Annotated[str, AfterValidator(_header_value)]
"""What is sent as the value of a header, as a workspace and a version are."""

ResultKind = Literal["json", "text"]
"""Whether a tool's result is the answer as it came, or the model's text alone."""

StreamKind = Literal["auto", "always", "never"]
"""Whether an answer is asked for as a stream of events."""

RefuseOrAllow = Literal["refuse", "allow"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
