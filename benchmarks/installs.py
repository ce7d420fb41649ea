"""Installs the other servers, each once below `build/benchmarks`, in an environment of its own and an exact version."""

import shutil
import subprocess
import sys
from importlib.metadata import distributions, version
from pathlib import Path

from benchmarks.driver import ROOT, BenchmarkError

FOLDER = ROOT / "build" / "benchmarks"
BARE = "bare"
PACKAGES = {
    BARE: f"mcp=={version('mcp')} httpx=={version('httpx')}",
    "fastmcp": "fastmcp==4.2.3",
    "awslabs": "awslabs.openapi-mcp-server==1.1.6",
    "ivotoby": "@ivotoby/openapi-mcp-server@1.16.1",
    "runpod": "@runpod/mcp-server@4.0.0",
    "replicate": "replicate-mcp@0.9.0",
}
"""The packages by server: of PyPI with `==`, otherwise of npm. The bare server and the httpx loop share theirs."""

INSTALL_SECONDS = 300
_NPM = ("npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error", "--prefix")


def install(name: str) -> None:
    """Install a server, unless exactly this version is installed already.

    Raises:
        BenchmarkError: It is not available.
    """
    if is_installed(name):
        return
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        for command in _commands(name, folder):
            subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        raise BenchmarkError(f"{PACKAGES[name]} is not available: {error}") from None
    # Written last: a folder without it is incomplete.
    _marker(name).write_text(PACKAGES[name], encoding="utf-8")


def is_installed(name: str) -> bool:
    """Return whether exactly this version of a server is installed."""
    return _marker(name).is_file() and _marker(name).read_text(encoding="utf-8") == PACKAGES[name]


def _marker(name: str) -> Path:
    return FOLDER / name / "installed"


def _commands(name: str, folder: Path) -> list[list[str]]:
    """Return the commands that install a server."""
    packages = PACKAGES[name].split()
    if "==" not in packages[0]:
        return [[*_NPM, str(folder), *packages]]
    pip = [f"{folder}/bin/pip", "install", "--quiet", *packages]
    if name != BARE:
        return [["python3", "-m", "venv", str(folder)], pip]
    # The same Python and the same versions of everything as for our server, but nothing else.
    versions = folder / "versions.txt"
    versions.write_text("".join(f"{each.name}=={each.version}\n" for each in distributions()), encoding="utf-8")
    return [[sys.executable, "-m", "venv", str(folder)], [*pip, "--constraint", str(versions)]]
