"""The check that runs after every test: a test that lets a secret out fails, whichever way it goes out."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.canaries import KEY
from tests.support.leaks import Watch

INNER = Path(__file__).parents[1] / "support" / "leaking.py"
TOLD = {
    node.name: ast.get_docstring(node)
    for node in ast.parse(INNER.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
}
"""The tests of that file, and what the failure of each has to name; None for one that may pass."""

Failures = dict[str, list[str]]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """Why each of the tests failed, once for each of its parameters; an empty text for one that passed."""
    # Not below the folder of any test of ours: what it leaks is there.
    folder = tmp_path_factory.mktemp("leaking")
    report = folder / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'base'}", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, str(INNER)]
    finished = subprocess.run(command, capture_output=True, timeout=100, check=False, cwd=INNER.parents[2])
    assert finished.returncode == 1, finished.stdout[-2000:].replace(KEY.encode(), b"KEY")
    found: Failures = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has written it just now
        why = " ".join(f"{child.get('message')} {child.text}" for child in case if child.tag in ("error", "failure"))
        found.setdefault(case.attrib["name"].partition("[")[0], []).append(why)
    return found


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [name for name, told in TOLD.items() if told])
def test_a_test_that_lets_a_secret_out_fails_and_says_where(failures: Failures, name: str) -> None:
    for why in failures[name]:
        assert "A secret has come out." in why
        assert str(TOLD[name]) in why


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", [name for name, told in TOLD.items() if not told])
def test_a_test_that_lets_none_out_or_shows_it_on_purpose_passes(failures: Failures, name: str) -> None:
    assert failures[name] == [""]


def test_looking_costs_next_to_nothing(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / str(number)).write_bytes(os.urandom(2000))
    watch = Watch()

    started = time.process_time()
    for _ in range(20):
        watch.look_below(tmp_path)
        watch.look_at("a result", b"x" * 40_000)
    each = (time.process_time() - started) / 20

    assert watch.found == {}
    assert each < 0.005
