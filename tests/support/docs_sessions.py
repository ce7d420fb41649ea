"""The commands of docs/, carried out in processes of their own, as the pages show them."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio

from blaxel_mcp.emulator import Emulator
from tests.support.docs_pages import code, commands
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
        lines: As they are typed.
        settings: What stands in the settings file.
        before: What was typed before, and is not shown.
    """

    lines: tuple[str, ...]
    settings: str = ""
    before: tuple[str, ...] = ()


SESSIONS: Mapping[str, Session] = {
    "output of run": Session((_ASK.replace("run", "run --demo"),)),
    "output of run --stream": Session((_ASK.replace("run", "run --demo --stream"),)),
    "output of models": Session(("blaxel-mcp models --demo",)),
    "output of a typo": Session(("blaxel-mcp models",), "[limits]\ntimeout_second = 30\n"),
    "output of usage": Session(("blaxel-mcp usage",), BUDGET, (_ASK, _ASK)),
    "output of a refusal": Session((_ASK,), BUDGET, (_ASK, _ASK)),
}


async def typed(emulator: Emulator, session: Session, home: Path) -> str:
    """Commands and what they print, as a page shows them."""
    if session.settings:
        file = home / ".config" / "blaxel-mcp" / "config.toml"
        file.parent.mkdir(parents=True)
        file.write_text(session.settings, encoding="utf-8")
    for line in session.before:
        await _output(emulator, line)
    shown = [f"{line}\n{await _output(emulator, line)}" for line in session.lines]
    return steady(code("".join(f"$ {text}" for text in shown), "console"), home)


async def _output(emulator: Emulator, line: str) -> str:
    """What a command prints, on both streams."""
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
