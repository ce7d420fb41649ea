"""The clients of other projects that `.ci/clients.py` installs, and a mark that skips tests without them."""

import os
import shutil
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "build" / "clients"


def needs(*names: str) -> pytest.MarkDecorator:
    """Return a mark that skips a test unless these clients are completely installed."""
    missing = [name for name in names if not (CLIENTS / name / "installed").is_file()]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: `.ci/clients.py` does it")


def program(client: str, name: str) -> str:
    """Return a program that npm installed with a client."""
    return str(CLIENTS / client / "node_modules" / ".bin" / name)


def python(client: str) -> str:
    """Return the Python of a client with its own environment."""
    return str(CLIENTS / client / "bin" / "python")


def node() -> str:
    """Return the Node.js that came with the conformance suite, which needs a new one; otherwise the one on PATH."""
    ours = program("conformance", "node")
    return ours if os.access(ours, os.X_OK) else shutil.which("node") or "node"
