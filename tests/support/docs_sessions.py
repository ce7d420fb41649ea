"""The commands whose output pages of docs/ show, run as processes."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from blaxel_mcp.emulator import Emulator
from tests.support.docs_pages import DOCS, code, commands
from tests.support.docs_steady import steady
from tests.support.leaks import look_at
from tests.support.processes import variables

BUDGET = """[budget]
calls_per_day = 2

[[models]]
name = "house-chat"
api = "chat-completions"
price = { input = 2.50, output = 10.0 }  # USD per million tokens
"""

_ASK = """blaxel-mcp run house-chat --data '{"messages": [{"role": "user", "content": "What is 17 * 23?"}]}'"""


@dataclass(frozen=True, slots=True)
class Session:
    """Commands, typed one after the other.

    Attributes:
        lines: The commands that the page shows.
        settings: The content of the settings file.
        before: Commands that come before, and are not shown.
    """

    lines: tuple[str, ...]
    settings: str = ""
    before: tuple[str, ...] = ()


SESSIONS: Mapping[tuple[Path, str], Session] = {
    (DOCS / "configure.md", "output of a typo"): Session(("blaxel-mcp models",), "[limits]\ntimeout_second = 30\n"),
    (DOCS / "configure.md", "output of models"): Session(("blaxel-mcp models --demo",)),
    (DOCS / "model-apis.md", "output of run"): Session((_ASK.replace("run", "run --demo"),)),
    (DOCS / "model-apis.md", "output of run --stream"): Session((_ASK.replace("run", "run --demo --stream"),)),
    (DOCS / "cost-control.md", "output of usage"): Session(("blaxel-mcp usage",), BUDGET, (_ASK, _ASK)),
    (DOCS / "cost-control.md", "output of a refusal"): Session((_ASK,), BUDGET, (_ASK, _ASK)),
}
"""The generated part of a page that shows each session."""


async def typed(emulator: Emulator, session: Session, home: Path) -> str:
    """Return commands and their output as a page shows them."""
    if session.settings:
        file = home / ".config" / "blaxel-mcp" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(session.settings, encoding="utf-8")
    for line in session.before:
        await _output(emulator, line)
    shown = [f"{line}\n{await _output(emulator, line)}" for line in session.lines]
    return steady(code("".join(f"$ {text}" for text in shown), "console"), home)


async def _output(emulator: Emulator, line: str) -> str:
    """Return the output of a command, of both streams."""
    (words,) = commands(line)
    environment = variables(emulator)
    if "--demo" in words:
        environment = {name: environment[name] for name in ("PATH", "HOME")}
    else:
        del environment["BLAXEL_MCP_MODELS"]
    run = partial(anyio.run_process, env=environment, check=False)
    with anyio.fail_after(30):
        finished = await run([sys.executable, "-m", "blaxel_mcp", *words])
    both = finished.stdout + finished.stderr
    look_at(f"the output of {line}", both)
    return "\n".join(shown.rstrip() for shown in both.decode().splitlines()) + "\n"
