"""`blaxel-mcp usage`, in a pipe and on a terminal."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blaxel_mcp.budget.figures import Reservation, UsageTotals
from blaxel_mcp.budget.ledger import Ledger, default_ledger
from blaxel_mcp.cli.main import main
from blaxel_mcp.cli.settings import configured
from tests.support.ledgers import reserve, settle

TODAY = datetime.now(UTC).date()


def fill(*entries: tuple[int, str, UsageTotals]) -> None:
    """Put figures into the user's ledger: days ago, model, what its calls took."""
    ledger = Ledger(default_ledger())
    for number, (days_ago, model, figures) in enumerate(entries):
        day = (TODAY - timedelta(days=days_ago)).isoformat()
        entry = Reservation(call_id=str(number), day=day, account="", key=("acme", model), tokens=0, nano_usd=0)
        reserve(ledger, entry)
        settle(ledger, entry, figures)
    ledger.close()


CHAT = UsageTotals(calls=12, failed=1, input_tokens=10_000, output_tokens=2000, total_tokens=12_000, nano_usd=2_700_000)
EMBED = UsageTotals(calls=3, without_price=3, input_tokens=900, total_tokens=900)


def test_an_empty_ledger_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["usage"]) == 0

    assert capsys.readouterr().out == (
        "No calls are in the ledger for these days.\n"
        "budget  none set; [budget] in the settings file sets one\n"
        f"ledger  {default_ledger()}\n"
    )


def test_the_table_has_a_row_for_each_day_and_model_and_their_sum(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill((0, "chat", CHAT), (0, "embed", EMBED), (1, "chat", CHAT), (9, "chat", CHAT))
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__CALLS_PER_DAY", "1000")
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__USD_PER_DAY", "5")

    assert main(["usage"]) == 0

    today, yesterday = TODAY.isoformat(), (TODAY - timedelta(days=1)).isoformat()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    midnight = f"{TODAY + timedelta(days=1)}T00:00:00+00:00"
    assert lines == [
        ["day", "model", "calls", "failed", "input", "output", "tokens", "USD"],
        [today, "chat", "12", "1", "10,000", "2,000", "12,000", "0.0027"],
        [today, "embed", "3", "0", "900", "0", "900", "unknown"],
        [today, "all", "15", "1", "10,900", "2,000", "12,900", "0.0027"],
        [yesterday, "chat", "12", "1", "10,000", "2,000", "12,000", "0.0027"],
        ["today", "15", "of", "1,000", "calls,", "until", midnight],
        ["today", "0.0027", "of", "5", "USD,", "until", midnight],
        ["ledger", str(default_ledger())],
    ]


@pytest.mark.parametrize(("nano_usd", "shown"), [(0, "0.0000"), (4000, "<0.0001"), (100_000, "0.0001")])
def test_a_sum_too_small_to_be_shown_is_told_from_nothing(
    capsys: pytest.CaptureFixture[str], nano_usd: int, shown: str
) -> None:
    fill((0, "chat", UsageTotals(calls=1, input_tokens=1, total_tokens=1, nano_usd=nano_usd)))

    assert main(["usage"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == shown


def test_json_has_the_same_figures_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    fill((0, "chat", CHAT), (9, "chat", CHAT))

    assert main(["usage", "--days", "10", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert [day["calls"] for day in report["days"]] == [12, 12]
    assert report["days"][0]["models"] == [
        {
            "model": "chat",
            "workspace": "acme",
            "calls": 12,
            "unsettled": 0,
            "failed": 1,
            "failed_maybe_billed": 0,
            "without_tokens": 0,
            "without_price": 0,
            "input_tokens": 10_000,
            "output_tokens": 2000,
            "total_tokens": 12_000,
            "cost_usd": 0.0027,
        }
    ]
    assert report["budget"]["calls"] == {"used": 12, "cap": None}


@pytest.mark.parametrize("days", ["0", "401", "-1", "two"])
def test_a_number_of_days_that_is_none_is_a_mistake_of_usage(days: str) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["usage", "--days", days])
    assert caught.value.code == 2


def test_the_demo_counts_nothing_in_the_users_ledger(home: Path) -> None:
    data = '{"messages": [{"role": "user", "content": "Hi"}]}'

    assert main(["run", "--demo", "house-chat", "--data", data]) == 0

    assert not default_ledger().exists()
    assert home in default_ledger().parents


@pytest.mark.anyio
async def test_what_a_command_decides_leaves_the_demo_its_own_ledger() -> None:
    options = argparse.Namespace(demo=True, workspace=None, config=None)

    async with configured(options, budget={"when_nobody_answers": "send"}) as config:
        budget = config.settings.budget

    assert (budget.when_nobody_answers, budget.ledger) == ("send", ":memory:")


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_ledger_that_cannot_be_read_is_a_failure(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__LEDGER", str(tmp_path))

    assert main(["usage", *words]) == 1

    printed = capsys.readouterr()
    assert f"The ledger {tmp_path} cannot be used" in printed.err
    assert "No calls" not in printed.out


def test_a_cap_that_is_nearly_used_up_is_warned_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill((0, "chat", CHAT))
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__CALLS_PER_DAY", "15")
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__TOKENS_PER_DAY", "16000")

    assert main(["usage"]) == 0

    assert [line for line in capsys.readouterr().out.splitlines() if "warning" in line] == [
        "warning: 80% of budget.calls_per_day is used"
    ]


def test_a_tiny_cap_is_shown_in_full(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__USD_PER_DAY", "0.000001")

    assert main(["usage"]) == 0
    assert "0.0000 of 0.000001 USD" in capsys.readouterr().out
