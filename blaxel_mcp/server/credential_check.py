"""Ask Blaxel, in one request, whether it accepts the credentials that a new caller brings."""

from http import HTTPStatus
from typing import Literal

from pydantic import SecretStr

from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.errors.classify import is_platform_401
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.inference.runtime import Environment
from blaxel_mcp.settings.loading import configuration
from blaxel_mcp.settings.schema import Settings

CHECK_SECONDS = 5.0
"""How long a caller's first request waits for the answer; after that, its credentials count as unchecked."""

OWN_CREDENTIAL = "the caller's own X-Blaxel-Authorization"
"""The label of a caller's credentials in messages."""

Verdict = Literal["accepted", "forbidden", "unknown"]
"""Whether Blaxel accepted the credentials, accepted them for another purpose, or gave no usable answer."""


async def check_credential(
    settings: Settings, workspace: str, credential: SecretStr, environment: Environment
) -> Verdict | BlaxelError:
    """Return whether Blaxel accepts a credential, or its rejection.

    Args:
        settings: The owner's settings; only the address of the control plane and the limits of a request are used.
        workspace: The caller's workspace.
        credential: The caller's key or access token.
        environment: What replaces the network.
    """
    own = settings.model_copy(
        update={"workspace": workspace, "api_key": credential, "client_credentials": None, "api_key_command": None}
    )
    request = APIRequest(method="GET", url=f"{settings.api_url}/models?limit=1", workspace=workspace)
    config = configuration(own, sources={"api_key": OWN_CREDENTIAL})
    async with APIClient(config, transport=environment.transport) as client:
        try:
            await client.send(request, timeout_seconds=CHECK_SECONDS)
        except BlaxelError as error:
            if is_platform_401(error):
                return error
            return "forbidden" if error.status in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND) else "unknown"
    return "accepted"
