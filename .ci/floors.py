"""Fail if a lower bound in pyproject.toml allows a version with a known vulnerability: a step of .ci/run.

    .venv/bin/python .ci/floors.py

The vulnerabilities are those in .ci/advisories.toml. It needs no network, and knows only what was added there.
"""

import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


def floor(requirement: Requirement) -> Version:
    """Return the lowest version that a requirement allows; 0 without a lower bound."""
    bounds = (Version(each.version) for each in requirement.specifier if each.operator in (">=", ">", "==", "~="))
    return max(bounds, default=Version("0"))


def holes(requirements: Iterable[str], advisories: Iterable[dict[str, str]]) -> list[str]:
    """Return a sentence for each known vulnerability that the lower bounds allow."""
    floors = {canonicalize_name(each.name): floor(each) for each in map(Requirement, requirements)}
    return [
        f"{advisory['package']}>={floors[name]} allows {advisory['id']}, fixed in {advisory['fixed']}"
        for advisory in advisories
        if (name := canonicalize_name(advisory["package"])) in floors and floors[name] < Version(advisory["fixed"])
    ]


def declared(pyproject: Path = ROOT / "pyproject.toml") -> list[str]:
    """Return every requirement that a file declares."""
    document = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    extras = document["project"].get("optional-dependencies", {}).values()
    return [*document["project"]["dependencies"], *(name for each in extras for name in each)]


def known(file: Path = ROOT / ".ci/advisories.toml") -> list[dict[str, str]]:
    """Return the advisories."""
    advisories: list[dict[str, str]] = tomllib.loads(file.read_text(encoding="utf-8"))["advisories"]
    return advisories


if __name__ == "__main__":
    sentences = holes(declared(), known())
    for sentence in sentences:
        sys.stdout.write(f"{sentence}\n")
    if not sentences:
        sys.stdout.write(f"no lower bound allows any of the {len(known())} vulnerabilities in .ci/advisories.toml\n")
    sys.exit(bool(sentences))
