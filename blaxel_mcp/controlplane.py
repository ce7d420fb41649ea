"""What the control plane says about a model.

The record is read from JSON by hand and leniently: a value of an unknown kind is left out
rather than refused, since the platform adds types and statuses without notice.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import anyio

from blaxel_mcp import json_text
from blaxel_mcp.client import APIClient, APIRequest
from blaxel_mcp.endpoints import check_model_name
from blaxel_mcp.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.redaction import quote
from blaxel_mcp.settings import Settings

logger = logging.getLogger(__name__)

LOOKUP_SECONDS = 5.0
"""How long a call waits for a model's record: a slow control plane must not hold up inference."""

FAILURE_SECONDS = 30.0
"""How long a failed lookup is remembered, so that an outage is paid for once and not at every call."""

_MAX_TEXT = 200
_MAX_REMEMBERED = 1000
"""Models whose records are kept: an agent may make names up for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A Model resource, as far as a call depends on it. Absent and empty values are None.

    Attributes:
        name: The model API's name in its workspace.
        runtime_type: The provider's kind, such as `openai`.
        provider_model: The provider's own id of the model.
        generation: `mk2`, `mk3` or None.
        url: The model's own endpoint URL.
        status: Such as `DEPLOYED`; shown, never a reason to refuse a call.
        enabled: Whether the model serves.
    """

    name: str
    runtime_type: str | None = None
    provider_model: str | None = None
    generation: str | None = None
    url: str | None = None
    status: str | None = None
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Lookup:
    """A record, or a sentence on why there is none."""

    record: ModelRecord | None
    problem: str | None = None


def read_record(value: Any) -> ModelRecord | None:
    """Read a Model resource leniently; None if it does not even have a name."""
    metadata, spec = _object(value, "metadata"), _object(value, "spec")
    runtime = _object(spec, "runtime")
    name = _text(metadata, "name")
    if name is None:
        return None
    return ModelRecord(
        name=name,
        runtime_type=_text(runtime, "type"),
        provider_model=_text(runtime, "model"),
        generation=_text(runtime, "generation"),
        url=_text(metadata, "url", limit=2000),
        status=_text(value, "status"),
        enabled=spec.get("enabled") is not False,
    )


def _object(value: Any, name: str) -> Mapping[str, Any]:
    inner = value.get(name) if isinstance(value, Mapping) else None
    return inner if isinstance(inner, Mapping) else {}


def _text(value: Mapping[str, Any], name: str, *, limit: int = _MAX_TEXT) -> str | None:
    text = value.get(name)
    if not isinstance(text, str) or not text.strip():
        return None
    return text.strip() if len(text) <= limit and text.isprintable() else None


class ControlPlane:
    """Looks models up, remembers what it found, and asks once for any number of callers.

    Args:
        client: Sends the requests.
        settings: `api_url`, and `discovery` for whether and how often to ask.
        now: A monotonic clock, in seconds.
    """

    def __init__(self, client: APIClient, settings: Settings, *, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._settings = settings
        self._now = now
        self._known: dict[tuple[str, str], tuple[float, Lookup]] = {}
        self._locks: defaultdict[tuple[str, str], anyio.Lock] = defaultdict(anyio.Lock)

    @property
    def enabled(self) -> bool:
        """Whether the control plane may be asked at all."""
        return self._settings.discovery.enabled is not False

    async def find(self, workspace: str, model: str) -> Lookup:
        """The record of a model, from memory while it is fresh.

        A control plane that does not answer is not a reason to fail: a key may be allowed to run
        a model and not to read its record.

        Raises:
            ConfigurationError: there are no credentials to ask with.
        """
        if not self.enabled:
            return Lookup(None)
        key = (workspace, check_model_name(model))
        if len(self._known) > _MAX_REMEMBERED:
            self._known.clear()
            self._locks.clear()
        async with self._locks[key]:
            expires, lookup = self._known.get(key, (float("-inf"), Lookup(None)))
            if self._now() >= expires:
                lookup = await self._ask(workspace, model)
                lifetime = self._settings.discovery.refresh_seconds if lookup.record else FAILURE_SECONDS
                self._known[key] = (self._now() + lifetime, lookup)
        return lookup

    async def _ask(self, workspace: str, model: str) -> Lookup:
        request = APIRequest(method="GET", url=f"{self._settings.api_url}/models/{model}", workspace=workspace)
        try:
            response = await self._client.send(request, timeout_seconds=LOOKUP_SECONDS)
            record = read_record(json_text.parse(response.body.decode()))
        except ConfigurationError:
            raise
        except BlaxelError as error:
            logger.info("no record of model %r: %s", model, error)
            return Lookup(None, _problem(error))
        except ValueError:
            return Lookup(None, "the control plane's answer was not a model record")
        if record is None:
            return Lookup(None, "the control plane's answer was not a model record")
        return Lookup(record)


def _problem(error: BlaxelError) -> str:
    if error.status is None:
        return f"the control plane could not be asked ({error.code})"
    return quote(f"the control plane answered {error.status} ({error.code})", _MAX_TEXT)
