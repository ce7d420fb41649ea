"""This server, started through each client's own entry with the variables that the client passes on."""

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from blaxel_mcp.settings.placeholders import is_placeholder
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Result, count, failed, ok, skipped, warning
from blaxel_mcp.setup.doctor.handshake import Handshake, NoHandshakeError, last_words, shake_hands
from blaxel_mcp.setup.doctor.runner import run_each
from blaxel_mcp.setup.install import Client, InstalledEntry, client_named

CLIENTS_SECONDS = 180.0

_MIN_SECRET_CHARS = 8
_REFERENCE = re.compile(r"\$\{(?P<kind>env:|input:)?(?P<name>[^{}:]+)\}|\$(?P<bare>[A-Z_][A-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Variables:
    """The variables of an entry, by what reaches its server.

    Attributes:
        values: Those that reach it, with their values.
        prompted: The names of those that the client asks its user for.
        unset: The names of those that refer to a variable which is not set here.
        literal: The names of those that hold a reference which the client does not expand.
    """

    values: Mapping[str, str] = field(repr=False)
    prompted: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _EntryCheck:
    """One entry with its client and the variables that reach its server."""

    entry: InstalledEntry
    client: Client
    variables: Variables
    workspace: str

    @property
    def place(self) -> str:
        return f"the entry {self.entry.name!r} in {self.entry.file}"

    @property
    def reinstall(self) -> str:
        """The command that writes the entry again."""
        return f"blaxel-mcp install {self.client.name} --name {shlex.quote(self.entry.name)}"

    @property
    def provide_key(self) -> str:
        """The command that provides the key: as a reference if the client passes variables on, else in the entry."""
        passes = self.client.forwarding in {"reference", "list", "prompt"}
        return self.reinstall if passes else f"{self.reinstall} --with-key"


async def clients(context: CheckContext) -> list[Finding]:
    """Start the server through each client's own entry, and report the files that cannot be read."""
    findings = [
        Finding(
            f"client:{problem.client}",
            f"Client {problem.client}",
            failed(problem.message, "Fix the file by hand, then run `blaxel-mcp doctor` again."),
        )
        for problem in context.broken_files
    ]
    results = await run_each(partial(_check_entry, context), context.installed)
    findings += [
        Finding(f"client:{entry.client}:{entry.name}", f"Client {entry.client}", result)
        for entry, result in zip(context.installed, results, strict=True)
    ]
    if findings:
        return findings
    result = skipped(
        "no client on this machine has an entry for this server",
        "Run `blaxel-mcp install CLIENT` to add it to one; `blaxel-mcp install` lists the clients.",
    )
    return [Finding("clients", "Clients", result)]


async def _check_entry(context: CheckContext, entry: InstalledEntry) -> Result:
    client = client_named(entry.client)
    variables = variables_of(entry, client, context.variables)
    workspace = variables.values.get("BL_WORKSPACE") or context.workspace or "WORKSPACE"
    check = _EntryCheck(entry, client, variables, workspace)
    program = entry.command[0]
    if shutil.which(program, path=variables.values.get("PATH") or context.variables.get("PATH")) is None:
        return failed(
            f"{program!r}, which {check.place} starts, is not an executable program.",
            f"Run `{check.reinstall}` to write the entry again.",
        )
    if variables.literal:
        names = " and ".join(variables.literal)
        are = "is a placeholder" if len(variables.literal) == 1 else "are placeholders"
        return failed(
            f"{names} {are} in {check.place}, and {client.title} does not expand placeholders of this form.",
            f"Run `{check.provide_key}`, or remove {names} from the entry and run `bl login {workspace}`.",
        )
    return await _start(context, check)


async def _start(context: CheckContext, check: _EntryCheck) -> Result:
    values = check.variables.values
    try:
        async with context.servers:
            handshake = await shake_hands(check.entry.command, values, ask_models=True)
    except NoHandshakeError as error:
        printed = f"; before that it printed {error.stray!r} on standard output" if error.stray else ""
        log = error.log
        # One of the values may be a key.
        for value in sorted(values.values(), key=len, reverse=True):
            if len(value) >= _MIN_SECRET_CHARS:
                log = log.replace(value, "[redacted]")
        return failed(
            f"The server of {check.place} {error.reason}{printed}{last_words(log)}.",
            f"Run `{check.reinstall}` to write the entry again.",
        )
    if handshake.stray is not None:
        return failed(
            f"The server of {check.place} printed {handshake.stray!r} on standard output, which clients read as a "
            "protocol message.",
            f"Run `{check.reinstall}` to start the server without a wrapper that prints.",
        )
    return _judge(check, handshake)


def _judge(check: _EntryCheck, handshake: Handshake) -> Result:
    variables, client = check.variables, check.client
    message = f"{check.place}: {count(len(handshake.tools), 'tool')} in {handshake.seconds:.1f} s"
    if variables.unset:
        refer = "refers to a variable that is" if len(variables.unset) == 1 else "refer to variables that are"
        return warning(
            f"{message}; {' and '.join(variables.unset)} {refer} not set here.",
            f"Set it where {client.title} is started, or run `{check.reinstall} --with-key`.",
        )
    if variables.prompted:
        return ok(f"{message}; {client.title} asks for {' and '.join(variables.prompted)}")
    if handshake.listing is None or handshake.listing.get("credentials"):
        return ok(message)
    return failed(
        f"The server of {check.place} has no credentials when {client.title} starts it.",
        f"Run `{check.provide_key}`, or `bl login {check.workspace}`, which needs no key in the entry.",
    )


def variables_of(entry: InstalledEntry, client: Client, environ: Mapping[str, str]) -> Variables:
    """Return the variables that a client passes to the server of an entry.

    Args:
        entry: The entry.
        client: The client.
        environ: The variables of this process, taken for those of the client.
    """
    values = dict(environ) if client.forwarding == "inherited" else {}
    names: dict[str, list[str]] = {"prompted": [], "unset": [], "literal": []}
    for name, value in entry.environment.items():
        reason = _why_missing(value, client, environ)
        if reason is None:
            values[name] = _value(value, environ)
        else:
            names[reason].append(name)
    for name in entry.forwarded:
        if environ.get(name):
            values[name] = environ[name]
        else:
            names["unset"].append(name)
    return Variables(values, tuple(names["prompted"]), tuple(names["unset"]), tuple(names["literal"]))


def _why_missing(value: str, client: Client, environ: Mapping[str, str]) -> str | None:
    """Return why a client has no value for a variable, as an attribute of `Variables`; None if it has one."""
    reference = _reference(value)
    if reference is None:
        return "literal" if is_placeholder(value) else None
    asks = reference["kind"] == "input:"
    if asks or client.forwarding not in {"reference", "prompt"}:
        return "prompted" if asks and client.forwarding == "prompt" else "literal"
    return None if _value(value, environ) else "unset"


def _value(value: str, environ: Mapping[str, str]) -> str:
    reference = _reference(value)
    return value if reference is None else environ.get(reference["name"] or reference["bare"], "")


def _reference(value: str) -> re.Match[str] | None:
    return _REFERENCE.fullmatch(value.strip())
