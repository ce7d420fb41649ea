"""Build the release, install it in every way that users do, and try it out: a step of .ci/run.

    python3 .ci/packages.py [SECONDS]      stop after this time (default: 240)

This needs git and the environment in .venv; uv and pipx are installed below build/packages. A Python version or npm
that is not available is skipped with a reason. Any other failure makes the exit code 1.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TextIO

from steps import Row, Stage, Step, StepError, StepSkippedError, row, run_script

SECONDS = 240
TOOLS = ("uv==0.13.8", "pipx==1.18.4")
MCPB = "@anthropic-ai/mcpb@2.1.2"
MINORS = (11, 12, 13, 14, 15)

OUT = Path("build/packages")
BIN, DIST = OUT / "tools/bin", OUT / "dist"
SERVE_DEMO = ("serve", "--demo")
STRICT = ("-W", "error", "-P", "-m", "blaxel_mcp", *SERVE_DEMO)
"""Every warning of the server is an error."""


def built(pattern: str) -> Path:
    """Return the one built file that matches a pattern."""
    (file,) = DIST.glob(pattern)
    return file


def project_files(*folders: str) -> set[str]:
    """Return the files in these folders that git tracks or would add; the default is the whole project."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *folders]
    names = subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.split("\0")
    return {name for name in names if name and Path(name).exists()}


def expect_files(step: Step, actual: set[str], expected: set[str]) -> None:
    """Fail the step unless an archive has exactly the expected files."""
    for name in sorted(actual ^ expected):
        step.say(f"{'missing' if name in expected else 'unexpected'}: {name}")
    if actual != expected:
        raise StepError(f"{len(expected - actual)} missing and {len(actual - expected)} unexpected files")
    step.note = f"{len(actual)} files"


def smoke(step: Step, *server: str | Path, env: Mapping[str, str] | None = None) -> None:
    """Start an installed server, list its tools and call one."""
    step.run(".venv/bin/python", "packaging/smoke.py", *server, env=env)


def build(step: Step) -> None:
    """Build the sdist, and the wheel from the sdist: this shows that the sdist is complete."""
    shutil.rmtree(OUT, ignore_errors=True)
    step.run("python3", "-m", "venv", OUT / "tools")
    step.run(BIN / "pip", "install", "--quiet", *TOOLS)
    step.run(BIN / "uv", "build", "--quiet", "--out-dir", DIST)
    step.note = built("*.whl").name


def wheel(step: Step) -> None:
    """Expect every file of the package in the wheel, the license, the command, and nothing else."""
    members = set(zipfile.ZipFile(built("*.whl")).namelist())
    metadata = {name for name in members if ".dist-info/" in name}
    for ending in (".dist-info/licenses/LICENSE", ".dist-info/entry_points.txt"):
        if not any(name.endswith(ending) for name in metadata):
            raise StepError(f"the wheel has no {ending}")
    expect_files(step, members - metadata, project_files("blaxel_mcp"))


def sdist(step: Step) -> None:
    """Expect every file of the project in the sdist, and the metadata that the build adds."""
    with tarfile.open(built("*.tar.gz")) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expect_files(step, names, project_files() | {"PKG-INFO"})


def mcpb(step: Step) -> None:
    """Start the bundle for Claude Desktop as its host does; validate and pack it first if npm is available."""
    bundle = OUT / "bundle"
    step.run(".venv/bin/python", "packaging/mcpb/build_mcpb.py", bundle)
    npm = ("npm", "install", "--no-save", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error")
    try:
        step.run(*npm, "--prefix", OUT / "mcpb", MCPB)
    except StepError as error:
        step.note = f"started but not validated: {MCPB} is not available: {error}"
    else:
        bundle = repacked(step, bundle)
        step.note = f"validated and packed by {MCPB}"
    smoke(step, BIN / "uv", "run", "--quiet", "--directory", bundle, "blaxel-mcp", *SERVE_DEMO)


def repacked(step: Step, bundle: Path) -> Path:
    """Validate, pack and unpack a bundle with its own tool, and return the identical copy."""
    tool, packed, unpacked = OUT / "mcpb/node_modules/.bin/mcpb", DIST / "blaxel-mcp.mcpb", OUT / "unpacked"
    step.run(tool, "validate", bundle)
    step.run(tool, "pack", bundle, packed)
    step.run(tool, "unpack", packed, unpacked)
    step.run("diff", "--recursive", bundle, unpacked)
    return unpacked


def from_sdist(step: Step) -> None:
    """Install from the sdist, as a distribution's packager does."""
    environment = OUT / "from-sdist"
    python = uv_environment(step, environment)
    step.run(BIN / "uv", "pip", "install", "--quiet", "--python", python, built("*.tar.gz"))
    smoke(step, environment / "bin/blaxel-mcp", *SERVE_DEMO)


def lowest(step: Step) -> None:
    """Install every dependency at the lower bound in pyproject.toml."""
    python, requirements = uv_environment(step, OUT / "lowest"), OUT / "lowest.txt"
    uv_pip, options = (BIN / "uv", "pip"), ("--quiet", "--python", python)
    resolution = ("--no-header", "--no-annotate", "--resolution", "lowest-direct", "--output-file", requirements)
    step.run(*uv_pip, "compile", *options, *resolution, "pyproject.toml")
    step.run(*uv_pip, "install", *options, "--requirement", requirements)
    step.run(*uv_pip, "install", *options, "--no-deps", built("*.whl"))
    smoke(step, python, *STRICT)


def uv_environment(step: Step, folder: Path) -> Path:
    """Create an environment with this Python, and return its interpreter."""
    step.run(BIN / "uv", "venv", "--quiet", "--python", sys.executable, folder)
    return folder / "bin/python"


def uvx(step: Step) -> None:
    """Start the server with uvx."""
    smoke(step, BIN / "uvx", "--quiet", "--from", built("*.whl"), "blaxel-mcp", *SERVE_DEMO)


def pipx(step: Step) -> None:
    """Start the server with pipx."""
    home = str((OUT / "pipx").resolve())
    smoke(step, BIN / "pipx", "run", "--spec", built("*.whl"), "blaxel-mcp", *SERVE_DEMO, env={"PIPX_HOME": home})


def python_minor(minor: int, step: Step) -> None:
    """Install the wheel with the newest dependencies on one version of Python, and treat warnings as errors."""
    system_python, environment = f"python3.{minor}", OUT / f"python-3.{minor}"
    variables = pyenv_variables()
    try:
        step.note = step.run(system_python, "--version", env=variables)
    except StepError:
        raise StepSkippedError(f"there is no {system_python}") from None
    step.run(system_python, "-m", "venv", environment, env=variables)
    step.run(environment / "bin/pip", "install", "--quiet", built("*.whl"))
    step.run(environment / "bin/pip", "check")
    step.run(environment / "bin/blaxel-mcp", "--version")
    smoke(step, environment / "bin/python", *STRICT)


def pyenv_variables() -> dict[str, str]:
    """Return the variable that makes every Python 3 of pyenv available, after the one in use."""
    if shutil.which("pyenv") is None:
        return {}

    def pyenv(*arguments: str) -> list[str]:
        return subprocess.run(["pyenv", *arguments], check=True, capture_output=True, encoding="utf-8").stdout.split()

    others = [version for version in pyenv("versions", "--bare") if version.startswith("3.")]
    return {"PYENV_VERSION": ":".join([*pyenv("version-name"), *others])}


STEPS: Row = (
    *row(wheel, sdist, mcpb, from_sdist, lowest, uvx, pipx),
    *((f"python-{minor}", partial(python_minor, minor)) for minor in MINORS),
)


def run_stage(log: TextIO, seconds: float) -> list[Step]:
    """Run every step within this time, and return them."""
    stage = Stage("packages", log, seconds)
    stage.run_row(row(build))
    if stage.steps[0].status == "passed":
        stage.run_rows(STEPS, at_once=2)
    return stage.summarize()


if __name__ == "__main__":
    limit = float(sys.argv[1]) if sys.argv[1:] else SECONDS
    sys.exit(run_script(lambda log: run_stage(log, limit)))
