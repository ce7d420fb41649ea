"""This server through the entry that each client has of it: started as that client starts it."""

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from blaxel_mcp.settings.placeholders import is_placeholder
from blaxel_mcp.setup.doctor.context import CheckContext
from blaxel_mcp.setup.doctor.findings import Finding, Result, failed, ok, skipped, warning
from blaxel_mcp.setup.doctor.handshake import Handshake, NoHandshakeError, last_words, shake_hands
from blaxel_mcp.setup.doctor.runner import run_each
from blaxel_mcp.setup.install import Client, InstalledEntry, client_named

CLIENTS_SECONDS = 180.0

_INSTALL = "`blaxel-mcp install CLIENT` adds it to one; `blaxel-mcp install` lists them."
_SECRET_CHARS = 8
_REFERENCE = re.compile(r"\$\{(?P<kind>env:|input:)?(?P<name>[^{}:]+)\}|\$(?P<bare>[A-Z_][A-Z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Variables:
    """What reaches the server of an entry's variables, and what does not.

    Attributes:
        given: Those that have a value.
        asked: The names of those that the client asks its user for.
        unset: The names of those that refer to a variable which is not set here.
        literal: The names of those that hold a reference which this client does not expand.
    """

    given: Mapping[str, str] = field(repr=False)
    asked: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    literal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Trial:
    """One entry, about to be started."""

    entry: InstalledEntry
    client: Client
    handed: Variables

    @property
    def where(self) -> str:
        return f"the entry {self.entry.name!r} in {self.entry.file}"

    @property
    def anew(self) -> str:
        return f"`blaxel-mcp install {self.client.name} --name {shlex.quote(self.entry.name)}` writes the entry anew"


async def clients(context: CheckContext) -> list[Finding]:
    """Start the server through each client's own entry, and say of each file that cannot be read what is wrong."""
    found = [
        Finding(
            f"client:{problem.client}",
            f"Client {problem.client}",
            failed(problem.message, "Mend the file by hand, then run `blaxel-mcp doctor` again."),
        )
        for problem in context.broken_files
    ]
    results = await run_each(partial(_try, context), context.installed)
    found += [
        Finding(f"client:{entry.client}:{entry.name}", f"Client {entry.client}", result)
        for entry, result in zip(context.installed, results, strict=True)
    ]
    return found or [Finding("clients", "Clients", skipped("no client's settings start this server", _INSTALL))]


async def _try(context: CheckContext, entry: InstalledEntry) -> Result:
    client = client_named(entry.client)
    trial = _Trial(entry, client, variables_of(entry, client, context.variables))
    program, handed = trial.entry.command[0], trial.handed
    if shutil.which(program, path=handed.given.get("PATH") or context.variables.get("PATH")) is None:
        return failed(f"{program!r}, which {trial.where} starts, is no program here.", f"{trial.anew}.")
    if handed.literal:
        names = ", ".join(handed.literal)
        return failed(
            f"{names} is a placeholder in {trial.where}, and {trial.client.title} expands none.",
            f"{trial.anew}; --with-key puts the key itself there. Or take {names} out and run `bl login WORKSPACE`.",
        )
    return await _started(context, trial)


async def _started(context: CheckContext, trial: _Trial) -> Result:
    try:
        async with context.servers:
            met = await shake_hands(trial.entry.command, trial.handed.given, ask_models=True)
    except NoHandshakeError as error:
        printed = f"; it had printed {error.stray!r} on standard output" if error.stray else ""
        said = last_words(_without_values(error.log, trial.handed.given))
        return failed(f"The server of {trial.where} {error.reason}{printed}{said}.", f"{trial.anew}.")
    if met.stray is not None:
        return failed(
            f"The server of {trial.where} printed {met.stray!r} on standard output, which clients take for a frame.",
            f"{trial.anew}, with nothing around the server that could print.",
        )
    return _judged(met, trial)


def _judged(met: Handshake, trial: _Trial) -> Result:
    found, handed, client = f"{trial.where}: {len(met.tools)} tools in {met.seconds:.1f} s", trial.handed, trial.client
    if handed.unset:
        return warning(
            f"{found}; {', '.join(handed.unset)} refers to a variable that is not set here.",
            f"Set it where {client.title} is started from, or `blaxel-mcp install {client.name} --with-key`.",
        )
    if handed.asked:
        return ok(f"{found}; {client.title} asks for {', '.join(handed.asked)}")
    if met.listing is None or met.listing.get("credentials"):
        return ok(found)
    return failed(
        f"The server of {trial.where} has no credentials when {client.title} starts it.",
        f"{trial.anew}; --with-key puts the key there, and a login of `bl login WORKSPACE` is found without one.",
    )


def variables_of(entry: InstalledEntry, client: Client, environ: Mapping[str, str]) -> Variables:
    """What a client hands to the server of an entry.

    Args:
        entry: The entry.
        client: The client that it belongs to.
        environ: The variables that the client has, as far as they can be told from here.
    """
    given = dict(environ) if client.forwarding == "inherited" else {}
    names: dict[str, list[str]] = {"asked": [], "unset": [], "literal": []}
    for name, value in entry.environment.items():
        missing = _missing(value, client, environ)
        if missing is None:
            given[name] = _value(value, environ)
        else:
            names[missing].append(name)
    for name in entry.forwarded:
        if environ.get(name):
            given[name] = environ[name]
        else:
            names["unset"].append(name)
    return Variables(given, tuple(names["asked"]), tuple(names["unset"]), tuple(names["literal"]))


def _missing(value: str, client: Client, environ: Mapping[str, str]) -> str | None:
    """Say why a client has no value for a variable; None where it has one."""
    reference = _reference(value)
    if reference is None:
        return "literal" if is_placeholder(value) else None
    asks = reference["kind"] == "input:"
    if asks or client.forwarding not in {"reference", "prompt"}:
        return "asked" if asks and client.forwarding == "prompt" else "literal"
    return None if _value(value, environ) else "unset"


def _value(value: str, environ: Mapping[str, str]) -> str:
    reference = _reference(value)
    return value if reference is None else environ.get(reference["name"] or reference["bare"], "")


def _reference(value: str) -> re.Match[str] | None:
    return _REFERENCE.fullmatch(value.strip())


def _without_values(log: str, environment: Mapping[str, str]) -> str:
    """A server's log without the values that it was given, one of which may be a key."""
    for value in sorted(environment.values(), key=len, reverse=True):
        if len(value) >= _SECRET_CHARS:
            log = log.replace(value, "[redacted]")
    return log
