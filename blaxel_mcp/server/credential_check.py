"""Ask Blaxel, in one request, whether it accepts the credentials that a new caller brings."""

from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Literal

from blaxel_mcp.catalog.control_plane import FAILURE_SECONDS
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.errors.classify import is_platform_401
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.server.callers import Caller
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings

CHECK_SECONDS = 5.0
"""How long a caller's first request waits for the answer; after that, its credentials count as unchecked."""

REJECTED_SECONDS = 10.0
"""How long a rejection is remembered, so that one key cannot make the server ask with each request."""

_MAX_REJECTIONS = 1000

Verdict = Literal["accepted", "unknown"]
"""Whether Blaxel accepted the credentials, or gave no verdict: they may allow calls without allowing this request."""


def with_own_credentials(settings: Settings, caller: Caller, **more: Any) -> Configuration:
    """Return the settings with a caller's workspace and credential in place of all of the owner's."""
    own: dict[str, Any] = {"workspace": caller.workspace, "api_key": caller.credential}
    own |= {"client_credentials": None, "api_key_command": None, "workspaces": {}}
    sources = {"api_key": "the caller's own X-Blaxel-Authorization"}
    return Configuration(settings.model_copy(update=own | more), sources=sources)


class CredentialCheck:
    """Checks the credentials of new callers."""

    def __init__(self, environment: Environment, now: Callable[[], float]) -> None:
        self._environment = environment
        self._now = now
        self._rejections: OrderedDict[str, tuple[float, BlaxelError]] = OrderedDict()
        self._paused_until = float("-inf")

    async def ask(self, settings: Settings, caller: Caller) -> Verdict | BlaxelError:
        """Return whether Blaxel accepts a caller's credentials, or its rejection.

        Of the owner's settings, only the control plane's address and the limits of a request are used. Nothing is asked
        if `discovery.enabled` is false, or while the control plane is down.
        """
        until, rejection = self._rejections.get(caller.identity, (0.0, None))
        if rejection is not None and self._now() < until:
            return rejection
        if settings.discovery.enabled is False or self._now() < self._paused_until:
            return "unknown"
        url = f"{settings.api_url}/models?limit=1"
        config = with_own_credentials(settings, caller)
        async with APIClient(config, transport=self._environment.transport) as client:
            try:
                request = APIRequest(method="GET", url=url, workspace=caller.workspace or "", runs_model=False)
                await client.send(request, timeout_seconds=CHECK_SECONDS)
            except BlaxelError as error:
                if is_platform_401(error):
                    self._rejections[caller.identity] = self._now() + REJECTED_SECONDS, error
                    if len(self._rejections) > _MAX_REJECTIONS:
                        self._rejections.popitem(last=False)
                    return error
                # Any other client error is about this caller, and must not change how others are served.
                if error.status is None or error.status == HTTPStatus.TOO_MANY_REQUESTS or error.status >= 500:  # noqa: PLR2004 - a server error
                    self._paused_until = self._now() + FAILURE_SECONDS
                return "unknown"
        return "accepted"
