"""`blaxel-mcp run --dry-run`: the request as it would go out, and nothing goes out."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from blaxel_mcp.cli.main import main
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import KEY

HEADERS = {"user-agent", "accept", "accept-encoding", "cache-control", "content-type", "x-blaxel-workspace"}


def report_of(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
    assert main(["run", *words, "--dry-run", "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["house-chat", "What is 6 * 7?", "-s", "Be brief"], id="a question"),
        pytest.param(["house-claude", "Hi", "-o", "max_tokens=9"], id="another API"),
        pytest.param(["house-chat", "--data", '{"messages": [{"role": "user", "content": "Hi"}]}'], id="a body"),
        pytest.param(["house-chat", "--path", "/v1/models", "--method", "GET", "--param", "a=1"], id="a GET"),
    ],
)
def test_a_dry_run_shows_the_request_that_a_real_call_sends(
    platform: Emulator, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = report_of(capsys, *words)["request"]
    assert all(request.raw_path.startswith(b"/v0/") for request in platform.requests)

    main(["run", *words])
    sent = platform.requests[-1]
    headers = {name.lower(): value for name, value in shown["headers"].items()}
    assert (shown["method"], shown["url"]) == (sent.method, platform.url + sent.raw_path.decode())
    assert shown["body"] == (json.loads(sent.body) if sent.body else None)
    assert {name: value for name, value in sent.headers if name in HEADERS}.items() <= headers.items()
    assert headers["x-blaxel-authorization"] == "Bearer ********"


def test_a_dry_run_shows_the_estimate_and_its_effect_on_the_budget(
    platform: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__TOKENS_PER_DAY", "2000")
    words = ["house-chat", "What is 6 * 7?", "-o", "max_tokens=100"]

    report = report_of(capsys, *words)
    assert report["estimate"]["output_tokens"] == 100
    assert report["estimate"]["total_tokens"] == 100 + report["estimate"]["input_tokens"]
    assert report["estimate"]["cost_usd"] > 0
    assert report["budget"]["all"]["tokens"] == {"used": 0, "cap": 2000}
    assert report["refused"] is None

    assert main(["run", *words, "--dry-run"]) == 0
    tokens = report["estimate"]["total_tokens"]
    assert f"tokens: 0 used, {tokens} after this call, of 2,000 a day" in capsys.readouterr().out
    assert "budget_exceeded" not in str(platform.requests)


@pytest.mark.usefixtures("platform")
def test_a_dry_run_tells_that_the_budget_would_refuse_the_call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BLAXEL_MCP_BUDGET__TOKENS_PER_DAY", "10")

    assert "tokens_per_day" in report_of(capsys, "house-chat", "What is 6 * 7?", code=1)["refused"]


@pytest.mark.usefixtures("platform")
def test_the_lines_for_other_programs_send_the_same_body_and_have_no_key(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    report = report_of(capsys, "house-chat", 'It\'s "quoted"', "--header", "X-Team-Secret: hidden")
    curl, bl = shlex.split(report["curl"]), shlex.split(report["bl"])

    assert json.loads(curl[curl.index("-d") + 1]) == report["request"]["body"]
    assert json.loads(bl[bl.index("--data") + 1]) == report["request"]["body"]
    assert bl[:4] == ["bl", "run", "model", "house-chat"]
    assert bl[bl.index("--path") + 1] == "/v1/chat/completions"
    assert {"X-Blaxel-Authorization: Bearer $BL_API_KEY", "Content-Type: application/json"} <= set(curl)
    assert KEY not in json.dumps(report)
    assert "hidden" not in json.dumps(report)

    recording = tmp_path / "a.wav"
    main(["run", "house-voice", "Hello", "--save", str(recording)])
    capsys.readouterr()
    report = report_of(capsys, "house-ears", "-a", str(recording))
    assert "-F file=@a.wav" in report["curl"]
    assert report["bl"] is None
