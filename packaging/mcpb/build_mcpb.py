"""Lays out the bundle for Claude Desktop, to be packed with `mcpb pack`.

python packaging/mcpb/build_mcpb.py [FOLDER]     build/mcpb otherwise; the folder is made anew
"""

# ruff: noqa: INP001 - a script, not a package
import shutil
import sys
from pathlib import Path

from draw_icon import icon

ROOT = Path(__file__).resolve().parents[2]

# The project as `uv` installs it: what its build reads, and the package.
PROJECT_FILES = ("pyproject.toml", "README.md", "LICENSE")
PACKAGE = "blaxel_mcp"


def build(folder: Path) -> None:
    """Make the folder, with all that the bundle holds and nothing else.

    Raises:
        OSError: a file is missing, or the disk refused it.
    """
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
    for name in PROJECT_FILES:
        shutil.copy2(ROOT / name, folder)
    for name in ("manifest.json", "start.py"):
        shutil.copy2(Path(__file__).with_name(name), folder)
    (folder / "icon.png").write_bytes(icon())


def main(words: list[str]) -> int:
    """Build into the folder that is named; the exit code."""
    folder = Path(words[0]) if words else ROOT / "build" / "mcpb"
    if folder.exists() and not (folder / "manifest.json").is_file():
        sys.stderr.write(f"{folder} is there and is no bundle; remove it first.\n")
        return 2
    build(folder)
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
