"""The pages of docs/: tables are generated from the code, examples are run, and links lead somewhere."""

import contextlib
import io
import json
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from blaxel_mcp.apis import APIS
from blaxel_mcp.cli.parser import build_parser
from blaxel_mcp.core.exceptions import ERROR_CODES, BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.receipt import RECEIPT_KEY, build_receipt
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.tools.results.results import ERROR_KEY, error_result
from tests.support.connecting import connect, leading_to
from tests.support.docs_examples import (
    API_EXAMPLES,
    CALL_EXAMPLES,
    Example,
    a_handle,
    a_vector_in_short,
    called,
    errors_table,
    meta_of,
    read_on,
)
from tests.support.docs_pages import DOCS, README, ROOT, anchors, blocks, commands, generated, links, read, settle
from tests.support.docs_sessions import SESSIONS
from tests.support.docs_tables import (
    apis_table,
    arguments_table,
    closed_table,
    commands_part,
    common_options_table,
    exit_codes_table,
    fields_table,
    schema_table,
    settings_table,
    variables_table,
)
from tests.support.docs_words import ERROR_FIELDS, MEANINGS, RECEIPT_FIELDS

INDEX = DOCS / "README.md"
CONFIGURE = DOCS / "configure.md"
MODEL_APIS = DOCS / "model-apis.md"
COST = DOCS / "cost-control.md"
RESULTS = DOCS / "results-and-errors.md"
OURS = (INDEX, CONFIGURE, MODEL_APIS, COST, RESULTS)
PAGES = (README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted(DOCS.glob("*.md")))

Key = tuple[Path, str]


async def arguments_of(tool: str, emulator: Emulator) -> str:
    async with connect(leading_to(emulator)) as client:
        tools = {listed.name: listed for listed in (await client.list_tools()).tools}
    return schema_table(tools[tool].input_schema)


TABLES: dict[Key, Callable[[], str]] = {
    (INDEX, "commands"): commands_part,
    (INDEX, "common options"): common_options_table,
    (INDEX, "exit codes"): exit_codes_table,
    (CONFIGURE, "settings"): settings_table,
    (CONFIGURE, "variables"): variables_table,
    (CONFIGURE, "keys that shut something"): closed_table,
    (MODEL_APIS, "apis"): apis_table,
    (RESULTS, "receipt fields"): partial(fields_table, RECEIPT_FIELDS),
    (RESULTS, "error fields"): partial(fields_table, ERROR_FIELDS),
    **{(MODEL_APIS, f"arguments of {api.name}"): partial(arguments_table, api) for api in APIS},
}

CALLS: dict[Key, Example] = {
    (MODEL_APIS, f"call {name}"): example
    for name, example in (*API_EXAMPLES.items(), *CALL_EXAMPLES.items())
    if name != "a failure"
}

METAS: dict[Key, tuple[Example, str]] = {
    (RESULTS, "receipt of chat-completions"): (API_EXAMPLES["chat-completions"], RECEIPT_KEY),
    (RESULTS, "error of a failure"): (CALL_EXAMPLES["a failure"], ERROR_KEY),
}

OTHERS: dict[Key, Callable[[Emulator], Awaitable[str]]] = {
    (RESULTS, "a vector in short"): a_vector_in_short,
    (RESULTS, "read_result"): read_on,
    (RESULTS, "a handle"): a_handle,
    (RESULTS, "errors"): errors_table,
    **{
        (page, f"arguments of {tool}"): partial(arguments_of, tool)
        for page, tool in (
            (MODEL_APIS, "run_model"),
            (MODEL_APIS, "list_models"),
            (RESULTS, "read_result"),
            (RESULTS, "cancel_call"),
        )
    },
}


def named(key: Key) -> str:
    return f"{key[0].stem}: {key[1]}"


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("key", TABLES, ids=named)
def test_a_table_is_that_of_the_code(key: Key) -> None:
    settle(*key, TABLES[key]())


@pytest.mark.anyio
@pytest.mark.parametrize("key", CALLS, ids=named)
async def test_a_call_of_a_page_goes_out_and_comes_back_as_it_says(emulator: Emulator, home: Path, key: Key) -> None:
    with anyio.fail_after(20):
        settle(*key, await called(emulator, CALLS[key], home))


@pytest.mark.anyio
@pytest.mark.parametrize("key", METAS, ids=named)
async def test_the_fields_beside_a_result_are_those_of_the_page(emulator: Emulator, home: Path, key: Key) -> None:
    with anyio.fail_after(20):
        settle(*key, await meta_of(emulator, *METAS[key], home))


@pytest.mark.anyio
@pytest.mark.parametrize("key", OTHERS, ids=named)
async def test_a_generated_part_of_a_page_is_up_to_date(emulator: Emulator, key: Key) -> None:
    with anyio.fail_after(50):
        settle(*key, await OTHERS[key](emulator))


@pytest.mark.parametrize("page", OURS, ids=page_name)
def test_every_generated_part_has_its_generator(page: Path) -> None:
    made = {name for known in (TABLES, CALLS, METAS, SESSIONS, OTHERS) for file, name in known if file == page}

    assert set(generated(page)) == made


def test_every_code_and_field_has_a_meaning() -> None:
    error = error_result(BlaxelError("It failed.", code="timeout", origin="network"), CallContext())

    assert list(MEANINGS) == list(ERROR_CODES)
    assert list(RECEIPT_FIELDS) == list(build_receipt(CallContext()))
    assert list(ERROR_FIELDS) == list((error.meta or {})[ERROR_KEY])
    assert list(API_EXAMPLES) == [api.name for api in APIS]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        pytest.param(page, text, id=f"{page_name(page)} {number}")
        for page in (README, *OURS)
        for number, text in enumerate(blocks(page, "toml"))
    ],
)
def test_settings_of_a_page_load_without_a_warning(tmp_path: Path, page: Path, text: str) -> None:
    file = tmp_path / f"{page.stem}.toml"
    file.write_text(text, encoding="utf-8")

    config = load_settings(config_file=file, environ={})

    assert config.warnings == ()
    assert config.sources


def variables_of(page: Path) -> dict[str, str]:
    """Return the variables that the shell blocks of a page export."""
    text = "\n".join(blocks(page, "sh"))
    return {name: value.strip("'") for name, value in re.findall(r"^export (BLAXEL_MCP_\w+)=(.*)$", text, re.MULTILINE)}


def test_the_variables_of_a_page_are_settings() -> None:
    environ = variables_of(CONFIGURE)

    config = load_settings(environ=environ)

    assert config.warnings == ()
    assert sorted(set(config.sources.values())) == sorted(environ)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_json_of_a_page_is_json(page: Path) -> None:
    for text in blocks(page, "json"):
        json.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_the_commands_of_a_page_parse(page: Path) -> None:
    typed_here = [words for text in (*blocks(page, "sh"), *blocks(page, "console")) for words in commands(text)]

    for words in typed_here:
        wrong = io.StringIO()
        with contextlib.redirect_stderr(wrong), contextlib.suppress(SystemExit):
            build_parser().parse_args(words)
        assert not wrong.getvalue(), f"{words}: {wrong.getvalue()}"


def test_commands_are_found_wherever_they_stand_in_a_block_of_shell() -> None:
    text = "cd x && .venv/bin/blaxel-mcp demo\nA=1 blaxel-mcp run m \\\n  --data '{}' | jq . # blaxel-mcp x\n"
    text += "pip install blaxel-mcp\n"

    assert list(commands(text)) == [["demo"], ["run", "m", "--data", "{}"]]
    assert list(commands("$ blaxel-mcp usage\nblaxel-mcp: busy: no\n")) == [["usage"]]


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_link_leads_to_a_page_that_is_there(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}"


def test_the_index_leads_to_every_page() -> None:
    linked = {target.partition("#")[0] for target in links(INDEX)}

    assert {page.name for page in DOCS.glob("*.md")} - {INDEX.name} <= linked


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_table_fits_the_column_of_a_page_on_github(page: Path) -> None:
    for rows in re.findall(r"(?:^\|.*\n)+", re.sub(r"\]\([^)]*\)", "]", read(page)), re.MULTILINE):
        cells = [re.split(r"(?<!\\)\|", row.strip("|\n")) for row in rows.splitlines()]
        # What cannot be wrapped: the longest word of each column.
        widths = [max(max(map(len, cell.split()), default=0) for cell in column) for column in zip(*cells, strict=True)]
        assert sum(widths) + 3 * len(widths) <= 90, cells[0]
        assert max(len(cell) for row in cells for cell in row) <= 330, cells[0]


def test_no_part_of_a_page_is_empty() -> None:
    assert all(text.strip() for page in OURS for text in generated(page).values())
    assert all(read(page).startswith("# ") for page in OURS)
