"""What the project releases, as its own files say: what a build reads, what an sdist holds, and what the image does."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

BLAXEL: dict[str, Any] = tomllib.loads((ROOT / "blaxel.toml").read_text(encoding="utf-8"))

SERVER: dict[str, Any] = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
"""The entry of the MCP registry."""

MANIFEST: dict[str, Any] = json.loads((ROOT / "packaging" / "mcpb" / "manifest.json").read_text(encoding="utf-8"))
"""The manifest of the bundle for Claude Desktop."""

_CONTINUED = re.compile(r"\\\n")


def build_inputs() -> set[str]:
    """The files and folders at the top of the project that a build of the wheel reads."""
    project, hatch = PYPROJECT["project"], PYPROJECT["tool"]["hatch"]
    packages = hatch["build"]["targets"]["wheel"]["packages"]
    assert hatch["version"]["path"].startswith(f"{packages[0]}/")
    return {"pyproject.toml", project["readme"], *project["license-files"], *packages}


def released() -> set[str]:
    """The files and folders at the top of the project that an sdist holds."""
    include = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    return {name.removeprefix("/") for name in include} | build_inputs()


@dataclass(frozen=True, slots=True)
class Instruction:
    """A line of a Dockerfile."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The words of a command that is given without a shell; a ValueError for one that is not."""
        words: list[str] = json.loads(self.value[self.value.index("[") :])
        return words


def dockerfile_stages() -> list[list[Instruction]]:
    """The instructions of each stage of the Dockerfile; the last one is the image."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    whole = _CONTINUED.sub("", "".join(lines)).splitlines()
    stages: list[list[Instruction]] = []
    for name, _, value in (line.strip().partition(" ") for line in whole if line.strip()):
        if name == "FROM":
            stages.append([])
        elif name == "ARG" and not stages:
            continue
        stages[-1].append(Instruction(name, value.strip()))
    return stages


def image_words(name: str) -> list[str]:
    """The words of one instruction of the image, such as ENTRYPOINT."""
    (found,) = (instruction for instruction in dockerfile_stages()[-1] if instruction.name == name)
    return found.words


def image_variables() -> dict[str, str]:
    """The environment variables of the image."""
    pairs = [line.value.split() for line in dockerfile_stages()[-1] if line.name == "ENV"]
    return dict(pair.split("=", 1) for words in pairs for pair in words)
