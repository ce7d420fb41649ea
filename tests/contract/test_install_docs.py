"""docs/attach.md shows what `blaxel-mcp install` writes."""

import re
from pathlib import Path

import pytest

from blaxel_mcp.cli.parser import build_parser
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.setup.install.change import DEFAULT_NAME, preview
from blaxel_mcp.setup.install.clients import CLIENTS, Client, UserDirs
from blaxel_mcp.setup.install.entries import Launch

PAGE = (Path(__file__).parents[2] / "docs" / "attach.md").read_text(encoding="utf-8")

LAUNCH = Launch(
    command=("/absolute/path/to/.venv/bin/blaxel-mcp", "serve"),
    plain={"BL_WORKSPACE": "acme"},
    forwarded=("BL_API_KEY",),
    has_credentials=True,
)
"""The values in the page's entries."""


def section(title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/attach.md has no section {title}"
    return found[1]


each_client = pytest.mark.parametrize("client", CLIENTS, ids=[client.name for client in CLIENTS])


@each_client
def test_the_page_shows_the_entry_that_is_written(client: Client) -> None:
    [(language, block)] = re.findall(r"```(json|toml)\n(.*?)```", section(client.title), re.DOTALL)

    assert block == preview(client, LAUNCH, DEFAULT_NAME)
    assert (language == "toml") == (client.syntax == "toml")


@each_client
def test_the_page_names_the_command_and_the_file(client: Client) -> None:
    text = section(client.title)
    file = client.file(UserDirs(home=Path("/home/x"), platform="linux"))

    assert f"`blaxel-mcp install {client.name}` writes" in text
    assert f"`{file.name}`" in text or f"/{file.name}`" in text
    assert f"~/{file.parent.relative_to('/home/x')}".removesuffix("/.") in text


def test_the_page_has_every_option_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["install", "--help"])
    options = re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)

    assert options
    for option in options:
        assert f"`{option}" in PAGE or option in {"--log-level", "--log-format"}


def test_the_page_has_the_address_that_serve_has() -> None:
    http = HttpSettings()

    assert f"http://{http.host}:{http.port}/mcp" in section("Clients that speak HTTP")
