"""The README and the pages of docs/ say what the code does."""

import argparse
import json
import re
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from blaxel_mcp import __version__
from blaxel_mcp.apis import APIS
from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.discovery import lists_models
from blaxel_mcp.cli.parser import build_parser
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import RECEIPT_KEY, build_receipt
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from blaxel_mcp.settings.toml_file import default_settings_path
from blaxel_mcp.setup.install.clients import CLIENTS
from blaxel_mcp.tools.results.results import ERROR_KEY, error_result
from tests.support.connecting import connect, leading_to

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "docs" / "results-and-errors.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    return next(text for text in blocks if containing in text)


def named_in(beginning: str) -> list[str]:
    """Return the code spans in the sentence of the README that begins like this."""
    sentence = README[README.index(beginning) :].partition(".\n")[0].partition(". ")[0]
    return re.findall(r"`([^`]+)`", sentence)


def rows(heading: str) -> dict[str, str]:
    """Return the rows of the first table below a heading or a table head, by first cell."""
    table = README[README.index(heading) :]
    cells = re.findall(r"^\| `?([^`|]+?)`? \| (.*) \|$", table.partition("\n\n")[0] + "\n", re.MULTILINE)
    return {first: rest for first, rest in cells if set(first) != {"-"}}


def test_the_settings_in_the_readme_load_and_make_the_tools_that_it_says(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block("toml", "[[models]]"), encoding="utf-8")

    config = load_settings(config_file=file, environ={})

    (entry,) = build_catalog(config.settings).entries
    assert (entry.tool, entry.api.name) == ("gpt-4o-mini", "chat-completions")
    assert lists_models(config.settings)
    assert config.warnings == ()


def test_the_json_to_paste_is_json_and_its_variables_are_settings() -> None:
    entry = json.loads(block("json", "mcpServers"))["mcpServers"]["blaxel-models"]

    config = load_settings(environ=entry["env"])

    assert config.settings.workspace == "your-workspace"
    assert lists_models(config.settings)
    assert config.warnings == ()


def test_the_apis_of_the_readme_are_those_of_the_code() -> None:
    assert named_in("The APIs are") == [api.name for api in APIS]


def test_the_clients_of_the_readme_are_those_that_install_knows() -> None:
    assert named_in("`install` knows")[1:] == [client.name for client in CLIENTS]


def test_the_readme_states_the_default_of_max_tools() -> None:
    found = re.search(r"(\d+) at most", README)

    assert found is not None
    assert int(found[1]) == Settings().tools.max_tools


@pytest.mark.skipif(sys.platform != "linux", reason="the README names the place on Linux")
def test_the_readme_states_the_default_settings_file(home: Path) -> None:
    found = re.search(r"A settings file, `~/(\S+)` on Linux", README)

    assert found is not None
    assert default_settings_path() == home / found[1]


@pytest.mark.anyio
async def test_the_tools_and_their_arguments_are_those_of_the_code(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, models=[])) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    documented = {
        name: re.findall(r"`(\w+)`", rest.split(" | ")[0]) for name, rest in rows("| tool | arguments").items()
    }

    assert {name: list(listed[name].input_schema["properties"]) for name in BUILTIN_TOOLS} == {
        name: documented[name] for name in BUILTIN_TOOLS
    }


@pytest.mark.anyio
async def test_the_arguments_of_ask_models_are_those_of_the_code(emulator: Emulator) -> None:
    async with connect(leading_to(emulator)) as client:
        listed = {tool.name: tool for tool in (await client.list_tools()).tools}
    arguments = rows("| tool | arguments")["ask_models"].split(" | ")[0]

    assert re.findall(r"`(\w+)`", arguments) == list(listed["ask_models"].input_schema["properties"])


def test_the_models_to_try_are_the_emulators() -> None:
    listing = (ROOT / "docs" / "configure.md").read_text(encoding="utf-8").partition("$ blaxel-mcp models --demo")[2]
    named = set(re.findall(r"house-\w+", block("sh", "blaxel-mcp compare")))

    assert named
    assert named <= set(re.findall(r"^house-\w+", listing, re.MULTILINE))


def commands() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    (subparsers,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    choices: dict[str, argparse.ArgumentParser] = subparsers.choices
    return choices


def test_every_command_and_option_is_in_the_index_of_the_documents() -> None:
    section = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("## The commands")[2]
    for name, parser in commands().items():
        assert f"blaxel-mcp {name}" in section
        for action in parser._actions:
            for option in action.option_strings:
                assert option in {"-h", "--help"} or f"`{option}" in section, f"{name} {option}"


@pytest.mark.parametrize("name", sorted(build_receipt(CallContext())))
def test_every_field_of_the_receipt_is_in_the_page_on_results(name: str) -> None:
    assert RECEIPT_KEY in RESULTS
    assert f"| `{name}` |" in RESULTS


def test_every_field_of_an_error_is_in_the_page_on_results() -> None:
    error = BlaxelError("It failed.", code="timeout", origin="network")
    result = error_result(error, CallContext())

    assert ERROR_KEY in RESULTS
    for name in (result.meta or {})[ERROR_KEY]:
        assert f"| `{name}` |" in RESULTS


def test_the_oldest_python_is_the_one_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.search(r"Needs Python (\S+) or newer", README)

    assert found is not None
    assert project["requires-python"] == f">={found[1]}"


def test_the_folder_of_commands_is_pythons_on_windows() -> None:
    folder = sysconfig.get_path("scripts", "nt_venv", {"base": ".venv"}).replace("/", "\\")

    assert f"On Windows the folder is `{folder}`." in README


def test_the_readme_names_the_license() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = re.search(r"(\w+) license\.", README)

    assert found is not None
    assert project["license"] == found[1]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{found[1]} License")


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert newest is not None
    assert newest[1] == __version__


def test_every_dependency_has_an_upper_bound_and_a_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for dependency in tomllib.loads(text)["project"]["dependencies"]:
        assert re.search(r",<\d", dependency), dependency
        assert re.search(rf'"{re.escape(dependency)}", +# \w', text), dependency


@pytest.mark.parametrize("purpose", ["demo", "test"])
def test_the_two_commands_for_a_fresh_machine_are_one_line_each(purpose: str) -> None:
    found = re.search(rf"<!-- command: {purpose} -->\n```sh\n(.*)\n```", README)

    assert found is not None
    assert found[1].startswith("python3 -m venv .venv && ")
