"""Checks of the connection to Blaxel: proxies, certificates, host names, tokens, and access to the workspace."""

import email.utils
import re
import socket
import ssl
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from blaxel_mcp.client.auth.credentials import APIKey, KeyCommand, resolve_credentials
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.connecting import addresses_of
from blaxel_mcp.client.errors.network import not_connected
from blaxel_mcp.client.proxies import Proxies, proxies_in
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.client.trace import CallTrace
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.hosts import DEFAULT_PORTS
from blaxel_mcp.settings.loading import Configuration
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.setup.doctor.checks import CheckContext, Result, failed, failed_by, ok, run_each, skipped, warning
from blaxel_mcp.setup.doctor.settings import expiry, kind_of

NAME_SECONDS = 10.0
ANSWER_SECONDS = 20.0

CLOCK_FAILURE_SECONDS = 300.0
"""A clock that is wrong by more than this misjudges whether tokens and certificates are valid."""

CLOCK_WARNING_SECONDS = 60.0

_NOWHERE = "http://localhost:9"
"""The only URL that the client without credentials trusts; nothing is sent there."""

_USER_INFO = re.compile(r"^([a-z][a-z0-9+.-]*://)?.*@", re.IGNORECASE | re.DOTALL)
_SET_CLOCK = {"darwin": "sudo sntp -sS time.apple.com", "win32": "w32tm /resync"}
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


async def proxy(context: CheckContext) -> Result:
    """Report the variables that name a proxy, and the hosts that are reached through it."""
    variables = proxy_variables(context.variables)
    if not variables:
        return ok("no proxy is set")
    values = ", ".join(f"{name}={value}" for name, value in variables.items())
    proxies = {url: proxy_for(url, context.variables) for url in base_urls(context)}
    routes = (f"{_host(url)} {f'through {variable}' if variable else 'directly'}" for url, variable in proxies.items())
    message = f"{values}: {', '.join(routes)}"
    problems = " ".join(_proxies(context.variables).problems())
    return warning(f"{message}. {problems}", "Correct these variables, or unset them.") if problems else ok(message)


def proxy_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the proxy variables that are set, by their exact names, with user names and passwords masked."""
    return {name: masked(value) for name, value in _proxy_settings(environ).values()}


def masked(value: str) -> str:
    """Return a proxy's URL, or a list of hosts, with user names and passwords masked."""
    return _USER_INFO.sub(r"\1***@", value)


def proxy_for(url: str, environ: Mapping[str, str]) -> str | None:
    """Return the variable that names the proxy of a URL; None if the connection is direct.

    Proxies in the system settings of macOS and Windows are not considered.
    """
    kind = _proxies(environ).kind_for(url)
    return _proxy_settings(environ)[kind][0] if kind else None


def _proxies(environ: Mapping[str, str]) -> Proxies:
    return proxies_in({kind: value for kind, (_, value) in _proxy_settings(environ).items()})


def _proxy_settings(environ: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Return the name and the value of each proxy variable that is set; one in lower case takes precedence."""
    lower = {kind: f"{kind}_proxy" for kind in ("http", "https", "all", "no")}
    names = {kind: name if name in environ else name.upper() for kind, name in lower.items()}
    return {kind: (name, environ[name]) for kind, name in names.items() if environ.get(name)}


async def certificates(context: CheckContext) -> Result:
    """Report the certificates that TLS connections are checked against."""
    name = next((name for name in _CERTIFICATES if context.variables.get(name)), None)
    if name is None:
        return ok("those of Python's certifi package")
    path = Path(context.variables[name])
    problem = await anyio.to_thread.run_sync(_unreadable, name, path)
    if problem is None:
        return ok(f"{name}={path}")
    return failed(
        f"{name} is set to {path}, which {problem}.",
        f"Run `unset {name}`; if a company's proxy signs connections, set it to a readable PEM file instead.",
    )


def _unreadable(name: str, path: Path) -> str | None:
    """Return why the certificates at a path cannot be used; None if they can."""
    try:
        if not path.exists():
            return "does not exist"
        if name == "SSL_CERT_DIR":
            return None if path.is_dir() else "is not a folder"
        ssl.create_default_context(cafile=path)
    except OSError:
        return "holds no PEM certificates, or cannot be read"
    return None


async def names(context: CheckContext) -> Result:
    """Resolve the host names, unless a proxy does that."""
    direct = [url for url in base_urls(context) if proxy_for(url, context.variables) is None]
    if not direct:
        return skipped("the proxy resolves the host names")
    try:
        addresses = [f"{_host(url)} is {await _address(url)}" for url in direct]
    except BlaxelError as error:
        return failed_by(error, _where_urls_come_from(context))
    return ok(", ".join(addresses))


async def _address(url: str) -> str:
    parts = urlsplit(url)
    try:
        with anyio.fail_after(NAME_SECONDS):
            addresses = await addresses_of(parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme])
    except (OSError, UnicodeError, TimeoutError) as error:
        cause = socket.gaierror() if isinstance(error, TimeoutError) else error
        raise not_connected(_host(url), cause) from None
    return str(addresses[0][4][0])


async def connection(context: CheckContext) -> Result:
    """Connect to each host as a call does, without credentials; any response passes."""
    without_credentials = Settings(run_url=_NOWHERE, api_url=_NOWHERE, limits=context.config.settings.limits)
    async with APIClient(Configuration(without_credentials)) as client:
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
            if error.billed != "no":
                # The error's hint is about model calls.
                fix = "Check run_url and api_url in the settings: that server may not be Blaxel."
                return failed(error.message, fix)
            if "certificate" in error.message:
                date = email.utils.formatdate(usegmt=True)
                return failed_by(error, f"Also check this machine's clock, which says {date}.")
            return failed_by(error, _where_urls_come_from(context))
    secure = "TLS" if url.startswith("https:") else "plain http"
    return ok(f"{_host(url)} in {round((trace.first_byte_seconds or 0) * 1000)} ms ({secure})")


async def token(context: CheckContext) -> Result:
    """Get a token as a call does: run the key's command, or exchange the credentials."""
    resolved = resolve_credentials(context.config, None)
    assert resolved is not None
    expires = await context.runtime.client.auth.for_workspace(context.workspace).check()
    if isinstance(resolved.credentials, APIKey | KeyCommand):
        return ok("the API key is sent as it is")
    return ok(f"access token from {kind_of(resolved)}{expiry(expires)}")


async def access(context: CheckContext) -> Result:
    """Check that the workspace lets these credentials list its models."""
    if not context.runtime.control_plane.enabled:
        return skipped("discovery.enabled is false, so the control plane is never queried")
    url = f"{context.config.settings.api_url}/models?limit=1"
    request = APIRequest(method="GET", url=url, workspace=context.workspace, runs_model=False)
    try:
        response = await context.runtime.client.send(request, timeout_seconds=ANSWER_SECONDS)
    except BlaxelError as error:
        return failed_by(error, f"The workspace comes from {context.config.place('workspace')}.")
    context.answer = response, time.time()
    return ok(f"the credentials can list the models of workspace {context.workspace}")


async def clock(context: CheckContext) -> Result:
    """Compare this machine's clock with the date of Blaxel's response."""
    if context.answer is None:
        return skipped("there is no response from Blaxel to compare it with")
    response, arrived = context.answer
    date = email.utils.parsedate_tz(response.headers.get("date", ""))
    if date is None:
        return skipped("Blaxel's response has no Date header to compare it with")
    offset = arrived - email.utils.mktime_tz(date)
    if abs(offset) < CLOCK_WARNING_SECONDS:
        return ok("within a minute of Blaxel's clock")
    hours, minutes = divmod(round(abs(offset) / 60), 60)
    duration = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    message = f"This machine's clock is {duration} {'ahead' if offset > 0 else 'behind'}"
    fix = f"Set it with `{_SET_CLOCK.get(sys.platform, 'sudo timedatectl set-ntp true')}`."
    if abs(offset) < CLOCK_FAILURE_SECONDS:
        return warning(f"{message}.", fix)
    return failed(f"{message}, so tokens and certificates can seem expired or not yet valid.", fix)


def base_urls(context: CheckContext) -> list[str]:
    """Return the origins of Blaxel's URLs that these settings use, such as `https://run.blaxel.ai`."""
    settings = context.config.settings
    resolved = resolve_credentials(context.config, None)
    exchanged = resolved is not None and not isinstance(resolved.credentials, APIKey | KeyCommand)
    urls = [settings.run_url]
    if context.runtime.control_plane.enabled or exchanged:
        urls.append(settings.api_url)
    return list(dict.fromkeys(f"{urlsplit(url).scheme}://{_host(url)}" for url in urls))


def _where_urls_come_from(context: CheckContext) -> str:
    keys = (key for key in ("run_url", "api_url") if key in context.config.sources)
    return " ".join(f"{key} comes from {context.config.place(key)}." for key in keys)


def _host(url: str) -> str:
    return urlsplit(url).netloc
