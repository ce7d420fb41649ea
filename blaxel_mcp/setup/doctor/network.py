"""The way to Blaxel: names, proxies, certificates, connections, and what the workspace answers."""

import email.utils
import socket
import ssl
import sys
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from blaxel_mcp.client.auth.credentials import APIKey, KeyCommand, resolve_credentials
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.errors.network import not_connected
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.hosts import DEFAULT_PORTS
from blaxel_mcp.settings.loading import configuration
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Result, failed, failed_by, ok, skipped, warning
from blaxel_mcp.setup.doctor.proxies import proxy_for, proxy_variables
from blaxel_mcp.setup.doctor.runner import run_each
from blaxel_mcp.setup.doctor.settings import expiry, kind_of

NAME_SECONDS = 10.0
ANSWER_SECONDS = 20.0

CLOCK_FAILURE_SECONDS = 300.0
"""A clock that is off by more judges the life of tokens and certificates wrongly."""

CLOCK_WARNING_SECONDS = 60.0

_NOWHERE = "http://localhost:9"
"""The only place that a client without credentials trusts; nothing is sent there."""

_NEVER_ASKED = "discovery.enabled is false, so the control plane is never asked"
_SET_CLOCK = {"darwin": "sudo sntp -sS time.apple.com", "win32": "w32tm /resync"}
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


async def proxy(context: CheckContext) -> Result:
    """Say which variables name a proxy, and for whom."""
    named = proxy_variables(context.variables)
    if not named:
        return ok("none is set")
    values = ", ".join(f"{name}={value}" for name, value in named.items())
    ways = (f"{_host(url)} through {proxy_for(url, context.variables) or 'none'}" for url in base_urls(context))
    return ok(f"{values}: {', '.join(ways)}")


async def certificates(context: CheckContext) -> Result:
    """Say which certificates TLS connections are checked against."""
    name = next((name for name in _CERTIFICATES if context.variables.get(name)), None)
    if name is None:
        return ok("those that come with Python's certifi")
    path = Path(context.variables[name])
    problem = await anyio.to_thread.run_sync(_unreadable, name, path)
    if problem is None:
        return ok(f"{name}={path}")
    return failed(
        f"{name} names {path}, which {problem}.",
        f"`unset {name}` where no proxy signs your connections; else let it name a PEM file that can be read.",
    )


def _unreadable(name: str, path: Path) -> str | None:
    """Say why nothing can be checked against what is at a path; None where it can."""
    if not path.exists():
        return "does not exist"
    if name == "SSL_CERT_DIR":
        return None if path.is_dir() else "is not a folder"
    try:
        ssl.create_default_context(cafile=path)
    except OSError:
        return "holds no certificates in PEM form, or cannot be read"
    return None


async def names(context: CheckContext) -> Result:
    """Look the hosts' names up, where no proxy does that."""
    direct = [url for url in base_urls(context) if proxy_for(url, context.variables) is None]
    if not direct:
        return skipped("a proxy looks the names up")
    try:
        addresses = [f"{_host(url)} is {await _address(url)}" for url in direct]
    except BlaxelError as error:
        return failed_by(error, _where_urls_come_from(context))
    return ok(", ".join(addresses))


async def _address(url: str) -> str:
    parts = urlsplit(url)
    look_up = partial(
        socket.getaddrinfo, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], type=socket.SOCK_STREAM
    )
    try:
        with anyio.fail_after(NAME_SECONDS):
            found = await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True)
    except (OSError, UnicodeError, TimeoutError) as error:
        cause = socket.gaierror() if isinstance(error, TimeoutError) else error
        raise not_connected(_host(url), cause) from None
    return str(found[0][4][0])


async def connection(context: CheckContext) -> Result:
    """Connect to each host as a call would, without credentials; any answer will do."""
    without_credentials = Settings(run_url=_NOWHERE, api_url=_NOWHERE, limits=context.config.settings.limits)
    async with APIClient(configuration(without_credentials)) as client:
        results = await run_each(partial(_reach, context, client), base_urls(context))
    failure = next((result for result in results if result.outcome == "failed"), None)
    return failure or ok(", ".join(result.message for result in results))


async def _reach(context: CheckContext, client: APIClient, url: str) -> Result:
    trace = CallTrace()
    request = APIRequest(method="GET", url=f"{url}/", workspace="none")
    try:
        await client.send(request, timeout_seconds=ANSWER_SECONDS, trace=trace)
    except BlaxelError as error:
        if trace.status is None:
            return _connection_failed(context, error)
    secure = "TLS" if url.startswith("https:") else "plain http"
    return ok(f"{_host(url)} in {round((trace.first_byte_seconds or 0) * 1000)} ms ({secure})")


def _connection_failed(context: CheckContext, error: BlaxelError) -> Result:
    if error.billed != "no":
        # The hint is for calls of models, and none was made.
        return failed(error.message, "What answers there may not be Blaxel: check run_url and api_url in the settings.")
    if "certificate" in error.message:
        told = email.utils.formatdate(context.now(), usegmt=True)
        return failed_by(error, f"This machine's clock says {told}: a wrong one makes certificates look invalid.")
    return failed_by(error, _where_urls_come_from(context))


async def token(context: CheckContext) -> Result:
    """Get a token as a call would: run the key's command, or exchange the credentials."""
    resolved = resolve_credentials(context.config, None)
    assert resolved is not None
    expires = await context.runtime.client.auth.for_workspace(context.workspace).check()
    if isinstance(resolved.credentials, APIKey | KeyCommand):
        return ok("the key is sent as it is")
    return ok(f"{kind_of(resolved)} brought an access token{expiry(expires)}")


async def access(context: CheckContext) -> Result:
    """Say whether the workspace lets these credentials list its models."""
    if not context.runtime.control_plane.enabled:
        return skipped(_NEVER_ASKED)
    url = f"{context.config.settings.api_url}/models?limit=1"
    request = APIRequest(method="GET", url=url, workspace=context.workspace)
    try:
        response = await context.runtime.client.send(request, timeout_seconds=ANSWER_SECONDS)
    except BlaxelError as error:
        return failed_by(error, f"The workspace comes from {context.config.place('workspace')}.")
    context.shared.answer = response, context.now()
    return ok(f"workspace {context.workspace} lists its models")


async def clock(context: CheckContext) -> Result:
    """Compare this machine's clock with the time that an answer bears."""
    if context.shared.answer is None:
        return skipped("there is no answer of Blaxel's to compare it with")
    response, came_at = context.shared.answer
    stated = email.utils.parsedate_tz(response.headers.get("date", ""))
    if stated is None:
        return skipped("the answer that it would be compared with bears no date")
    off = came_at - email.utils.mktime_tz(stated)
    if abs(off) < CLOCK_WARNING_SECONDS:
        return ok("within a minute of Blaxel's")
    hours, minutes = divmod(round(abs(off) / 60), 60)
    found = f"It is {f'{hours} h ' if hours else ''}{minutes} min {'ahead' if off > 0 else 'behind'}"
    command = _SET_CLOCK.get(sys.platform, "sudo timedatectl set-ntp true")
    if abs(off) < CLOCK_FAILURE_SECONDS:
        return warning(f"{found}.", f"`{command}` sets it.")
    return failed(f"{found}, so the life of tokens and certificates is judged wrongly.", f"`{command}` sets it.")


def base_urls(context: CheckContext) -> list[str]:
    """The URLs of the platform that these settings make use of, one for each origin."""
    settings = context.config.settings
    resolved = resolve_credentials(context.config, None)
    exchanged = resolved is not None and not isinstance(resolved.credentials, APIKey | KeyCommand)
    urls = [settings.run_url]
    if context.runtime.control_plane.enabled or exchanged:
        urls.append(settings.api_url)
    return list(dict.fromkeys(f"{urlsplit(url).scheme}://{_host(url)}" for url in urls))


def _where_urls_come_from(context: CheckContext) -> str:
    given = (key for key in ("run_url", "api_url") if key in context.config.sources)
    return " ".join(f"{key} comes from {context.config.place(key)}." for key in given)


def _host(url: str) -> str:
    return urlsplit(url).netloc
