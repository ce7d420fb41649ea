"""Where `.ci/clients.py` has put the clients that are not ours, and what is skipped where it has not."""

import os
import shutil
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[2] / "build" / "clients"


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test unless these clients were installed, whole."""
    missing = [name for name in names if not (CLIENTS / name / "installed").is_file()]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: `.ci/clients.py` does it")


def program(client: str, name: str) -> str:
    """A program that npm installed with a client."""
    return str(CLIENTS / client / "node_modules" / ".bin" / name)


def python(client: str) -> str:
    """The Python of a client that has an environment of its own."""
    return str(CLIENTS / client / "bin" / "python")


def node() -> str:
    """Node.js in the version that came with the conformance suite, which needs a newer one; else whichever is there."""
    ours = program("conformance", "node")
    return ours if os.access(ours, os.X_OK) else shutil.which("node") or "node"
