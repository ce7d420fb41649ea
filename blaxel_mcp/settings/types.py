"""Types of settings and their validation."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

TOOL_NAME_LIMIT = 40
"""Maximum characters of a tool name: clients add a prefix and reject names longer than 60 to 64 characters."""


def _matching(pattern: str, requirement: str) -> AfterValidator:
    """Return a validator for text that has to match a pattern; its error states the requirement, not the value."""
    compiled = re.compile(pattern)

    def validate(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError(f"must be {requirement}")
        return value

    return AfterValidator(validate)


ToolName = Annotated[
    str, _matching(rf"[A-Za-z0-9_-]{{1,{TOOL_NAME_LIMIT}}}", f"1 to {TOOL_NAME_LIMIT} letters, digits, '_' or '-'")
]

HeaderValue = Annotated[str, _matching(r"[A-Za-z0-9._-]{1,128}", "1 to 128 letters, digits, '.', '_' or '-'")]
"""Text that is sent as the value of a header, such as a workspace or a version."""

IssuerUrl = Annotated[
    str,
    _matching(
        # "$", "{" and "}" are rejected so that `https://${HOST}` is an error and not a host.
        r"https?://(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]${}]+)(:[0-9]{1,5})?(/[^\s?#]*)?",
        "an http(s) URL with no user name, query or fragment",
    ),
]
"""A URL that is compared as text (RFC 8414, section 3.3): a trailing slash is significant."""

HttpUrl = Annotated[IssuerUrl, AfterValidator(lambda url: url.rstrip("/"))]

ResultKind = Literal["json", "text"]
"""What a tool returns: the whole answer as JSON, or only the model's text."""

StreamKind = Literal["auto", "always", "never"]
"""When an answer is requested as a stream of events."""

RefuseOrAllow = Literal["refuse", "allow"]

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base class of the tables of settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
