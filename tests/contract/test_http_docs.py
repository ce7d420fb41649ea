"""The calls and settings of docs/http.md work as the page says."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import anyio
import pytest
from pydantic import SecretStr

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import require_safe, resolve
from blaxel_mcp.server.http.auth.caller_auth import MIN_TOKEN_CHARS, caller_auth_for
from blaxel_mcp.server.http.server import DRAIN_SECONDS
from blaxel_mcp.server.tenants import MAX_TENANTS, TOOL_CALLS_PER_MINUTE
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import load_settings
from tests.support.canaries import CALLER_KEY, HTTP_TOKEN
from tests.support.connecting import leading_to
from tests.support.http_serving import serving
from tests.support.leaks import look_at

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")

CALLS = re.findall(r"```sh\n(curl .*?)```(?:\n\n```json\n(.*?)```)?", PAGE, re.DOTALL)
SETTINGS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)

TOKEN_AUTH, _, CALLER_AUTH = (tomllib.loads(text)["http"] for text in SETTINGS)
HTTP = [{}, {}, TOKEN_AUTH, TOKEN_AUTH, CALLER_AUTH]
"""The settings of the page that each of the calls is for."""

SHOWN = ["ready", "6 * 7 = 42", '"name":"run_model"', "one of the tokens", "house-chat"]
"""A part of the answer to each."""


@pytest.mark.anyio
@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
@pytest.mark.parametrize("number", range(len(HTTP)))
async def test_each_call_on_the_page_is_answered_as_it_says(emulator: Emulator, number: int) -> None:
    assert len(CALLS) == len(HTTP)
    command, answer = CALLS[number]
    http = {**HTTP[number], "host": "127.0.0.1", "bearer_tokens": [SecretStr(HTTP_TOKEN)]}
    environment = {"TOKEN": HTTP_TOKEN, "BL_API_KEY": CALLER_KEY, "BL_WORKSPACE": "demo", "PATH": "/usr/bin:/bin"}
    async with serving(leading_to(emulator, http=http)) as served:
        line = command.replace("http://127.0.0.1:8000", served.url)
        with anyio.fail_after(20):
            finished = await anyio.run_process(["sh", "-c", line], env=environment, stderr=subprocess.DEVNULL)

    look_at("the output of curl", finished.stdout)
    assert SHOWN[number] in finished.stdout.decode()
    if answer:
        assert json.loads(finished.stdout) == json.loads(answer)


@pytest.mark.parametrize("text", SETTINGS, ids=lambda text: re.findall('auth = "(.*)"', text)[0])
def test_the_settings_on_the_page_suffice_to_start(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    # The token of the page is everybody's, and so is refused.
    file.write_text(text.replace("replace-this-by-what-openssl-prints", HTTP_TOKEN), encoding="utf-8")

    config = load_settings(config_file=file, environ={})

    address = resolve(config.settings.http)
    require_safe(config.settings.http, address)
    assert caller_auth_for(config, address).announcement


def test_the_figures_on_the_page_are_those_of_the_code() -> None:
    assert f"at least {MIN_TOKEN_CHARS} characters" in PAGE
    assert f"calls in flight {DRAIN_SECONDS:g} seconds" in PAGE
    assert f"{TOOL_CALLS_PER_MINUTE} tool calls per minute" in PAGE
    assert f"{MAX_TENANTS} callers are served at once" in PAGE
    assert all(f"`http.{key}`" in PAGE or f"{key} =" in PAGE for key in HttpSettings.model_fields)
