"""A model as the control plane describes it, read from JSON by hand and leniently.

A value of an unknown kind is left out rather than refused: the platform adds types, statuses
and fields without notice. The fields are those of the Model resource in Blaxel's Python SDK,
client/models/model.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.core.redaction import quote

DEPLOYED = "DEPLOYED"
"""The status of a model that answers."""

_MAX_ID = 200
_MAX_URL = 2000
_MAX_DISPLAY_NAME = 80
_MAX_STATUS = 40
_MAX_NAMES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A Model resource, as far as a call or a reader depends on it. Absent and empty values are None.

    Identifiers are as the platform gave them or left out; `display_name` and `status` are for
    showing, and were made fit for that.

    Attributes:
        name: The model API's name in its workspace.
        display_name: What people call it.
        runtime_type: The provider's kind, such as `openai`.
        provider_model: The provider's own id of the model.
        generation: `mk2`, `mk3` or None.
        url: The model's own endpoint URL.
        status: Such as `DEPLOYED`; shown, never a reason to refuse a call.
        enabled: Whether the model serves.
        sandbox: Whether it is the trial model of a new workspace.
        policies: The names of the policies that limit it.
        integration_path: The sub-endpoint that the integration of its type names, empty for the
            base endpoint. The control plane is asked for it only where the type leaves it open.
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


def read_record(value: Any) -> ModelRecord | None:
    """Read a Model resource leniently; None if it does not even have a name."""
    metadata, spec = _object(value, "metadata"), _object(value, "spec")
    runtime = _object(spec, "runtime")
    name = _id(metadata.get("name"))
    if name is None:
        return None
    return ModelRecord(
        name=name,
        display_name=_shown(metadata.get("displayName"), _MAX_DISPLAY_NAME),
        runtime_type=_id(runtime.get("type")),
        provider_model=_id(runtime.get("model")),
        generation=_id(runtime.get("generation")),
        url=_id(metadata.get("url"), limit=_MAX_URL),
        status=_shown(value.get("status"), _MAX_STATUS),
        enabled=spec.get("enabled") is not False,
        sandbox=spec.get("sandbox") is True,
        policies=_ids(spec.get("policies")),
    )


def read_model_list(value: Any) -> tuple[list[ModelRecord], str | None]:
    """Read an answer of `GET /models`: a bare array, or a page with a cursor (Blaxel docs, API versioning).

    Returns:
        The records, without the entries that are none, and the cursor of the next page, None on the last.

    Raises:
        TypeError: It is neither shape, so nothing can be said of the models.
    """
    meta: Mapping[str, Any] = {}
    if isinstance(value, Mapping) and "data" in value:
        meta, value = _object(value, "meta"), value["data"]
        if value is None:
            # How Go, which the platform's tools are written in, spells an empty list.
            value = []
    if not isinstance(value, list):
        raise TypeError("it is not a list of models")
    records = [record for record in map(read_record, value) if record is not None]
    cursor = _id(meta.get("nextCursor"), limit=_MAX_URL)
    return records, None if meta.get("hasMore") is False else cursor


def _object(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _id(value: Any, *, limit: int = _MAX_ID) -> str | None:
    """Read text that names something: cut or cleaned it would name something else."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip() if len(value) <= limit and value.isprintable() else None


def _ids(value: Any) -> tuple[str, ...]:
    names = map(_id, value[:_MAX_NAMES]) if isinstance(value, list) else ()
    return tuple(name for name in names if name is not None)


def _shown(value: Any, limit: int) -> str | None:
    return quote(value, limit) or None if isinstance(value, str) else None
