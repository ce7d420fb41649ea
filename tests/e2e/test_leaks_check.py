"""The check that runs after every test: a test that leaks a secret fails, for every kind of leak."""

import ast
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.canaries import KEY
from tests.support.leaks import Watch

INNER = Path(__file__).parents[1] / "support" / "leaking.py"
PLACES = {
    node.name: ast.get_docstring(node)
    for node in ast.parse(INNER.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
}
"""The tests of that file, and the text that the failure of each has to contain; None for one that has to pass."""

Failures = dict[str, list[str]]


@pytest.fixture(scope="module")
def failures(tmp_path_factory: pytest.TempPathFactory) -> Failures:
    """The failures of each test, one for each of its parameters; an empty text means that it passed."""
    # Not below the folder of a test, which is searched: the leaked files are in it.
    folder = tmp_path_factory.mktemp("leaking")
    report = folder / "report.xml"
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'base'}", f"--junitxml={report}"]
    command = [sys.executable, "-m", "pytest", *options, str(INNER)]
    finished = subprocess.run(command, capture_output=True, timeout=280, check=False, cwd=INNER.parents[2])
    assert finished.returncode == 1, finished.stdout[-2000:].replace(KEY.encode(), b"KEY")
    found: Failures = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has written it just now
        why = " ".join(f"{child.get('message')} {child.text}" for child in case if child.tag in ("error", "failure"))
        found.setdefault(case.attrib["name"].partition("[")[0], []).append(why)
    return found


@pytest.mark.parametrize("name", [name for name, place in PLACES.items() if place])
def test_a_test_that_leaks_a_secret_fails_with_the_place(failures: Failures, name: str) -> None:
    for why in failures[name]:
        assert "A secret has leaked." in why
        assert str(PLACES[name]) in why


@pytest.mark.parametrize("name", [name for name, place in PLACES.items() if not place])
def test_a_test_that_leaks_none_or_shows_one_on_purpose_passes(failures: Failures, name: str) -> None:
    assert failures[name] == [""]


def test_each_file_is_searched_once(tmp_path: Path) -> None:
    class Counting(Watch):
        looks = 0

        def look_at(self, where: str, data: bytes) -> None:
            self.looks += 1
            super().look_at(where, data)

    for number in range(20):
        (tmp_path / str(number)).write_bytes(b"content")
    watch = Counting()

    watch.look_below(tmp_path)

    assert watch.found == {}
    # Its content and its name.
    assert watch.looks == 2 * 20
