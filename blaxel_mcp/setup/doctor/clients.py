"""The check of each client's own entry: this server, started with the variables that the client passes on."""

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from blaxel_mcp.client.auth.credentials import APIKey, ClientCredentials, resolve_credentials
from blaxel_mcp.settings.placeholders import is_placeholder
from blaxel_mcp.setup.doctor.checks import CheckContext, Finding, Result, count, failed, ok, run_each, skipped, warning
from blaxel_mcp.setup.doctor.server import Handshake, NoHandshakeError, shake_hands
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.document import InstalledEntry
from blaxel_mcp.setup.install.entries import CREDENTIAL_VARIABLES, SECRET_VARIABLES

_MIN_SECRET_CHARS = 8
_REFERENCE = re.compile(r"\$\{(?P<kind>env:|input:)?(?P<name>[^{}:]+)\}|\$(?P<bare>[A-Z_][A-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of an entry: those that reach its server with their values, and the names of the others.

    The client asks its user for those that are `prompted`. A variable that is `unset` refers to one that is not set
    here. One that is `literal` has a reference that the client does not expand.
    """

    values: Mapping[str, str] = field(repr=False)
    prompted: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()


async def clients(context: CheckContext) -> list[Finding]:
    """Start the server through each client's own entry, and report the files that cannot be read."""
    fix = "Fix the file or its permissions, then run `blaxel-mcp doctor` again."
    findings = [
        Finding(f"client:{state.client.name}", f"Client {state.client.name}", failed(state.problem, fix))
        for state in context.clients
        if state.problem
    ]

    async def check(entry: InstalledEntry) -> Finding:
        client = entry.client.name
        return Finding(f"client:{client}:{entry.name}", f"Client {client}", await _check_entry(context, entry))

    findings += await run_each(check, [entry for state in context.clients for entry in state.entries])
    if findings:
        return findings
    result = skipped(
        "no client on this machine has an entry for this server",
        "Run `blaxel-mcp install CLIENT` to add it to one; `blaxel-mcp install` lists the clients.",
    )
    return [Finding("clients", "Clients", result)]


async def _check_entry(context: CheckContext, entry: InstalledEntry) -> Result:
    variables = variables_of(entry, context.variables)
    program = entry.command[0]
    if os.path.dirname(program) and not os.path.isabs(program):  # noqa: PTH120, PTH117 - `Path` drops a leading ./
        return failed(
            f"{program!r}, which {entry.place} starts, is relative to the folder that {entry.client.title} runs in.",
            f"Run `{_reinstall(context, entry)}` to write the entry again, with an absolute path.",
        )
    if shutil.which(program, path=variables.values.get("PATH") or context.variables.get("PATH")) is None:
        return failed(
            f"{program!r}, which {entry.place} starts, is not an executable program.",
            f"Run `{_reinstall(context, entry)}` to write the entry again.",
        )
    if variables.literal:
        names = " and ".join(variables.literal)
        are = "is a placeholder" if len(variables.literal) == 1 else "are placeholders"
        return failed(
            f"{names} {are} in {entry.place}, and {entry.client.title} does not expand placeholders of this form.",
            _provide_key(context, entry, variables),
        )
    return await _start(context, entry, variables)


async def _start(context: CheckContext, entry: InstalledEntry, variables: Variables) -> Result:
    # Any value of the entry's own may be a key.
    secrets = [
        value
        for name, value in variables.values.items()
        if len(value) >= _MIN_SECRET_CHARS and (name in SECRET_VARIABLES or context.variables.get(name) != value)
    ]
    try:
        # In an empty folder: commands such as `python -m` and `uv run` run code from the folder they are started in.
        with tempfile.TemporaryDirectory(prefix="blaxel-mcp-doctor-") as folder:
            async with context.servers:
                handshake = await shake_hands(
                    entry.command, variables.values, secrets=secrets, ask_models=True, folder=folder
                )
    except NoHandshakeError as error:
        return failed(
            f"The server of {entry.place} {error}", f"Run `{_reinstall(context, entry)}` to write the entry again."
        )
    if handshake.stray is not None:
        return failed(
            f"The server of {entry.place} printed {handshake.stray!r} on standard output, which clients read as a "
            "protocol message.",
            f"Run `{_reinstall(context, entry)}` to start the server without a wrapper that prints.",
        )
    return _judge(context, entry, variables, handshake)


def _judge(context: CheckContext, entry: InstalledEntry, variables: Variables, handshake: Handshake) -> Result:
    client = entry.client
    message = f"{entry.place}: {count(len(handshake.tools), 'tool')} in {handshake.seconds:.1f} s"
    if variables.unset:
        refer = "refers to a variable that is" if len(variables.unset) == 1 else "refer to variables that are"
        return warning(
            f"{message}; {' and '.join(variables.unset)} {refer} not set here.",
            _provide_key(context, entry, variables)
            if {"BL_WORKSPACE", *CREDENTIAL_VARIABLES}.issuperset(variables.unset)
            else f"Set it where {client.title} is started, or remove it from the entry.",
        )
    if variables.prompted:
        return ok(f"{message}; {client.title} asks for {' and '.join(variables.prompted)}")
    if handshake.listing is None or handshake.listing.get("credentials"):
        return ok(message)
    return failed(
        f"The server of {entry.place} has no credentials when {client.title} starts it.",
        _provide_key(context, entry, variables),
    )


def _reinstall(context: CheckContext, entry: InstalledEntry) -> str:
    """Return the command that writes an entry again, for a server with the settings of this command."""
    words = ("blaxel-mcp", "install", entry.client.name, "--name", entry.name, *context.serve[1:])
    return shlex.join(words)


def _provide_key(context: CheckContext, entry: InstalledEntry, variables: Variables) -> str:
    """Return the commands that give an entry's server credentials."""
    workspace = variables.values.get("BL_WORKSPACE") or context.workspace or "WORKSPACE"
    resolved = resolve_credentials(context.config, None)
    reinstall = _reinstall(context, entry)
    with_key = reinstall if entry.client.passes_variables else f"{reinstall} --with-key"
    if resolved is None:
        return f"Run `bl login {workspace}`, then `{reinstall}`; or set BL_API_KEY and run `{with_key}`."
    if entry.client.passes_variables or not resolved.source.isidentifier():
        return f"Run `{reinstall}`."
    if isinstance(resolved.credentials, APIKey | ClientCredentials):
        return f"Run `{with_key}`, or `bl login {workspace}`, which needs no key in the entry."
    return f"Run `bl login {workspace}`, or move {resolved.source} into the settings file."


def variables_of(entry: InstalledEntry, environ: Mapping[str, str]) -> Variables:
    """Return the variables that a client passes to the server of an entry, if its own variables are `environ`."""
    values = dict(environ) if entry.client.forwarding == "inherited" else {}
    resolved = {name: _resolved(value, entry.client, environ) for name, value in entry.environment.items()}
    for name in entry.forwarded:
        resolved[name] = environ.get(name, ""), "" if environ.get(name) else "unset"
    values |= {name: value for name, (value, problem) in resolved.items() if not problem}
    prompted, unset, literal = (
        tuple(name for name, (_, problem) in resolved.items() if problem == kind)
        for kind in ("prompted", "unset", "literal")
    )
    return Variables(values, prompted, unset, literal)


def _resolved(text: str, client: Client, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return a variable's value in the server, and why it has none, as an attribute of `Variables`, otherwise empty."""
    reference = _REFERENCE.fullmatch(text.strip())
    if reference is None:
        return text, "literal" if is_placeholder(text) else ""
    if reference["kind"] == "input:":
        return "", "prompted" if client.forwarding == "prompt" else "literal"
    if not client.reference:
        return "", "literal"
    value = environ.get(reference["name"] or reference["bare"], "")
    return value, "" if value else "unset"
