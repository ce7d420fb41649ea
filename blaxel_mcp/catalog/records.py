"""Model records of the control plane, parsed leniently.

A value of an unknown type is omitted rather than rejected: the platform adds types, statuses and fields without notice.
The fields are those of the Model resource in Blaxel's Python SDK, client/models/model.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.core.redaction import Redact, literal, quote

DEPLOYED = "DEPLOYED"
"""The status of a model that serves requests."""

_MAX_ID = 200
_MAX_URL = 2000
_MAX_DISPLAY_NAME = 80
_MAX_STATUS = 40
_MAX_POLICIES = 5
_MAX_POLICY = 60
_STATUS = re.compile(r"[A-Z]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """The fields of a Model resource that this server uses. Absent and empty values are None.

    Identifiers are exactly as the platform sent them, or omitted. `display_name` and `status` are
    only shown, and are cleaned for that.

    Attributes:
        name: The model API's name in its workspace.
        display_name: The name for people.
        runtime_type: The type of the provider, such as `openai`.
        provider_model: The provider's own id of the model.
        generation: `mk2`, `mk3` or None.
        url: The model's own endpoint URL.
        status: A status such as `DEPLOYED`; never a reason to reject a call.
        sandbox: Whether it is the trial model of a new workspace.
        policies: The names of the first few policies that limit the model.
        integration_path: The sub-endpoint from the integration of the model's type, empty for the base
            endpoint. It is requested only if `runtime_types.needs_integration` is true.
    """

    name: str
    display_name: str | None = None
    runtime_type: str | None = None
    provider_model: str | None = None
    generation: str | None = None
    url: str | None = None
    status: str | None = None
    enabled: bool = True
    sandbox: bool = False
    policies: tuple[str, ...] = ()
    integration_path: str | None = None

    @property
    def shown_status(self) -> str:
        """The status for a sentence: a word such as `FAILED` as it is, anything else quoted, empty if absent."""
        status = self.status or ""
        return status if not status or _STATUS.fullmatch(status) else literal(status)


def read_record(value: Any, redact: Redact | None = None) -> ModelRecord | None:
    """Parse a Model resource, any JSON value; None if it has no name. `redact` cleans the texts that are shown."""
    metadata, spec = _object(value, "metadata"), _object(value, "spec")
    runtime = _object(spec, "runtime")
    name = _id(metadata.get("name"))
    if name is None:
        return None
    policies = spec.get("policies")
    policies = policies if isinstance(policies, list) else []
    return ModelRecord(
        name=name,
        display_name=_display_text(metadata.get("displayName"), _MAX_DISPLAY_NAME, redact),
        runtime_type=_id(runtime.get("type")),
        provider_model=_id(runtime.get("model")),
        generation=_id(runtime.get("generation")),
        url=_id(metadata.get("url"), limit=_MAX_URL),
        status=_display_text(value.get("status"), _MAX_STATUS, redact),
        enabled=spec.get("enabled") is not False,
        sandbox=spec.get("sandbox") is True,
        policies=tuple(name for policy in policies[:_MAX_POLICIES] if (name := _id(policy, limit=_MAX_POLICY))),
    )


def read_model_list(value: Any, redact: Redact | None = None) -> tuple[list[ModelRecord], str | None]:
    """Parse a response of `GET /models`: a bare array, or a page with a cursor (Blaxel docs, API versioning).

    Returns:
        The records, without invalid entries, and the cursor of the next page, None on the last.

    Raises:
        TypeError: It has neither shape.
    """
    meta = _object(value, "meta")
    if isinstance(value, Mapping) and "data" in value:
        # Go, in which the platform's tools are written, encodes an empty list as null.
        value = [] if value["data"] is None else value["data"]
    if not isinstance(value, list):
        raise TypeError("it is not a list of models")
    records = [record for item in value if (record := read_record(item, redact))]
    cursor = _id(meta.get("nextCursor"), limit=_MAX_URL)
    return records, None if meta.get("hasMore") is False else cursor


def _object(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _id(value: Any, *, limit: int = _MAX_ID) -> str | None:
    """Return an identifier unchanged; None if it is too long or unprintable, since a cleaned one is another one."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip() if len(value) <= limit and value.isprintable() else None


def _display_text(value: Any, limit: int, redact: Redact | None) -> str | None:
    return quote(value, limit, redact) or None if isinstance(value, str) else None
