"""The tables, the page and the plot of a run."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import docs
from benchmarks.docs import measured_parts, picture, replaced, write_page
from benchmarks.plot import Line, axis_for
from benchmarks.report import missed_targets, servers_table, targets_table
from benchmarks.rounds import Results
from benchmarks.rows import KEYS, ROWS, chosen_rows, processor_key
from benchmarks.scenarios import SCENARIOS

NAMES = ["blaxel-mcp", "bare", "httpx loop", "peer"]
SVG = "{http://www.w3.org/2000/svg}"


def results(values: dict[str, dict[str, list[float]]]) -> Results:
    measured = Results()
    for row, by_server in values.items():
        measured.values[row].update(by_server)
    return measured


def cells(table: str) -> list[list[str]]:
    """Return the lines of a Markdown table below its head."""
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


@pytest.mark.parametrize(
    ("ours", "bare", "line"),
    [
        ([1.0, 1.2], [2.0, 2.0], ["1.00 ms", "2.00 ms", "0.55", "0.50", "-", "<= 0.62", "yes"]),
        ([2.0, 2.4], [2.0, 2.0], ["2.00 ms", "2.00 ms", "1.10", "1.00", "-", "<= 0.62", "**no**"]),
        ([], [2.0], ["-", "2.00 ms", "-", "-", "-", "<= 0.62", "-"]),
    ],
)
def test_a_row_has_figures_ratios_and_a_verdict(ours: list[float], bare: list[float], line: list[str]) -> None:
    measured = results({"p50": {"blaxel-mcp": ours, "bare": bare}})

    assert cells(targets_table(measured, chosen_rows(["p50"], http=False))) == [["one call, p50", *line]]


def test_a_row_has_the_ratio_of_processor_times_where_it_is_measured() -> None:
    measured = results({processor_key("p50"): {"blaxel-mcp": [0.3, 0.6], "bare": [0.5, 0.5]}})

    assert cells(targets_table(measured, chosen_rows(["p50"], http=False)))[0][5] == "0.90"


def test_a_rate_has_to_reach_its_target() -> None:
    measured = results({"flow": {"blaxel-mcp": [230.0], "bare": [100.0]}})

    assert cells(targets_table(measured, chosen_rows(["flow"], http=False)))[0][4:] == ["2.30", "-", ">= 2.2", "yes"]


def test_a_target_can_apply_to_another_row_of_ours_or_to_the_figure_itself() -> None:
    values = {
        "start": {"blaxel-mcp": [100.0]},
        "start1000": {"blaxel-mcp": [140.0]},
        "growth": {name: [0.5] for name in NAMES},
    }
    rows = chosen_rows(["start1000", "growth"], http=False)

    thousand, growth = cells(targets_table(results(values), rows))

    assert thousand[-2:] == ["<= 1.35 x ours in *start to `tools/list` answered, 10 models*", "**no**"]
    assert growth[1:] == ["0.500 MB", "0.500 MB", "-", "-", "-", "<= 1 MB", "yes"]


def test_missed_targets_are_named_with_their_rows() -> None:
    values = {"p50": {"blaxel-mcp": [2.0], "bare": [2.0]}, "p95": {"blaxel-mcp": [1.0], "bare": [2.0]}}
    rows = chosen_rows(["p50", "p95", "flow"], http=False)

    assert "Not reached: one call, p50 (`p50`)." in missed_targets(results(values), rows)
    assert missed_targets(results(values), rows[1:]) == "Every target that was measured is reached."


def test_the_table_of_all_servers_leaves_out_rows_without_others_and_marks_missing_figures() -> None:
    values = {
        "p50": {"blaxel-mcp": [1.0], "bare": [2.0], "peer": [3.0]},
        "capped-p50": {"blaxel-mcp": [1.0], "bare": [2.0]},
    }
    table = servers_table(results(values), chosen_rows(["p50", "capped-p50"], http=False), NAMES)

    assert cells(table) == [["one call, p50", "0.50 (0.50)", "-", "1.50 (1.50)"]]


def test_the_plot_is_an_svg_document_with_a_mark_for_each_figure() -> None:
    values = {"p50": {"blaxel-mcp": [1.0], "bare": [2.0], "peer": [3.0]}, "flow": {"blaxel-mcp": [4.0], "bare": [2.0]}}

    svg = ET.fromstring(picture(results(values), chosen_rows(["p50", "flow"], http=False), NAMES))  # noqa: S314 - ours

    tooltips = [title.text for title in svg.iter(f"{SVG}title")]
    assert tooltips[len(NAMES) - 1 :] == ["peer: 1.50", "blaxel-mcp: 0.50", "blaxel-mcp: 0.50"]


def test_the_axis_has_room_for_every_mark_and_for_the_bare_server() -> None:
    axis = axis_for([Line("row", {"ours": 0.3, "peer": 3.0})])

    assert (axis.low, axis.high) == (0.2, 5)
    assert axis.place(0.2) < axis.place(0.3) < axis.place(1) < axis.place(3.0) < axis.place(5) == axis.place(500)


def test_a_part_of_a_page_is_replaced_and_the_rest_stays() -> None:
    page = "# Title\n\n<!-- measured: machine -->\n\nOld.\n\n<!-- end -->\n\nText.\n"

    assert replaced(page, "machine", "New \\1.") == page.replace("Old.", "New \\1.")


def test_a_page_without_a_place_for_the_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="measured: targets"):
        replaced("# Title\n", "targets", "table")


def test_the_page_in_the_documentation_has_a_place_for_every_part(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(docs.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    measured = results({"p50": {"blaxel-mcp": [1.0], "bare": [2.0], "peer": [3.0]}})
    measured.skip("peer", "stream: the server answered with an error")

    write_page(page, measured_parts(measured, ROWS, NAMES, rounds=1) | {"layers": "No profile."})

    written = page.read_text(encoding="utf-8")
    assert "| one call, p50 | 0.50 (0.50) | - | 1.50 (1.50) |" in written
    assert "\nNo profile.\n" in written
    assert "- peer: stream: the server answered with an error" in written


def test_every_row_belongs_to_a_scenario_and_every_target_to_a_row() -> None:
    assert {row.scenario for row in ROWS} == set(SCENARIOS)
    assert {row.target.unit for row in ROWS if row.target} <= {"bare", "own", *KEYS}
