"""A start that imports little: what is left out is there when it is used, and odd layouts are imported as usual."""

import subprocess
import sys
from pathlib import Path

import pytest

MAX_MODULES = 680
"""At the time of writing 659 on Python 3.11, and 971 without a quick start."""

START = """
import sys
from blaxel_mcp.cli import main
from blaxel_mcp.cli.quick_start import *
quick_start(over_http=False)
import blaxel_mcp.cli.serve
"""


def printed(script: str, cwd: Path | None = None) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False, cwd=cwd
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_start_of_the_server_imports_few_modules() -> None:
    modules = printed(f"{START}\nprint(*sys.modules)").split()

    assert len(modules) <= MAX_MODULES
    packages = {
        "rich",
        "pygments",
        "httpx2",
        "genai_prices",
        "jsonschema",
        "redis",
        "uvicorn",
        "yaml",
        "mcp.client",
        "mcp.server.auth",
        "mcp.server.mcpserver",
        "mcp.server.streamable_http",
        "mcp_types._v2025_11_25",
        "mcp_types._v2026_07_28",
        "html",
        "httpcore",
        "pydantic_settings.sources.providers.cli",
        "sqlite3",
        "sse_starlette",
        "starlette",
        "blaxel_mcp.emulator",
    }
    assert packages & set(modules) == set()


def test_with_the_installed_versions_each_shortcut_works() -> None:
    """Where this fails after an update, the server starts as well as before, and more slowly: adapt `quick_start`."""
    said = printed(
        f"{START}\n"
        "import mcp, mcp.server, mcp_types, httpx\n"
        "print(type(mcp).__name__, type(mcp.server).__name__, 'httpx._main' in sys.modules)\n"
        "print(mcp_types.CallToolResult.__pydantic_complete__, 'defer_build' in BaseModel.model_config)\n"
    )

    assert said == "_Package _Package False\nFalse False\n"


@pytest.mark.parametrize(
    ("version", "loaded"),
    [("2025-11-25", "_v2025_11_25"), ("2025-03-26", "_v2025_11_25"), ("2026-07-28", "_v2026_07_28")],
)
def test_only_the_messages_of_the_protocol_version_in_use_are_loaded(version: str, loaded: str) -> None:
    said = printed(
        f"{START}\n"
        "from mcp_types import methods\n"
        "tool = {'name': 'x', 'inputSchema': {'type': 'object'}}\n"
        "listed = {'tools': [{**tool, 'unknown': 1}], 'resultType': 'complete', 'ttlMs': 0, 'cacheScope': 'private'}\n"
        f"print(methods.serialize_server_result('tools/list', '{version}', listed)['tools'] == [tool])\n"
        "text = {'type': 'text', 'text': 'x'}\n"
        "called = {'content': [text], 'resultType': 'complete'}\n"
        f"print(methods.serialize_server_result('tools/call', '{version}', called)['content'] == [text])\n"
        "print(*(name for name in sys.modules if name.startswith('mcp_types._v')))\n"
    )

    assert said == f"True\nTrue\nmcp_types.{loaded}\n"


def test_the_price_table_is_imported_without_an_http_library_until_it_downloads() -> None:
    said = printed(
        f"{START}\n"
        "from blaxel_mcp.budget.prices import table_price\n"
        "print(table_price('openai', 'gpt-4o').rates['input'], 'httpx2' in sys.modules)\n"
        "import genai_prices\n"
        "print(type(genai_prices.UpdatePrices()).__name__, 'httpx2' in sys.modules)\n"
    )

    assert said == "2.5 False\nUpdatePrices True\n"


def test_what_was_left_out_is_there_when_it_is_used() -> None:
    said = printed(
        f"{START}\n"
        "from mcp import Client, MCPError\n"
        "from mcp.server import MCPServer\n"
        "import httpx._main, mcp, mcp.shared.exceptions, mcp_types, starlette.applications, uvicorn\n"
        "import mcp.server.streamable_http_manager as http, mcp.server.lowlevel.server as lowlevel\n"
        "print(lowlevel.Starlette().__class__ is starlette.applications.Starlette)\n"
        "print(isinstance(starlette.applications.Starlette(), lowlevel.Starlette))\n"
        "print(MCPError is mcp.shared.exceptions.MCPError, hasattr(mcp, 'nothing'), len(mcp.__all__) > 50)\n"
        "print(mcp_types.TextContent(type='text', text='x').model_dump_json(exclude_none=True))\n"
    )

    assert said == 'True\nTrue\nTrue False True\n{"type":"text","text":"x"}\n'


@pytest.mark.parametrize(
    ("init", "said"),
    [
        pytest.param("from odd._main import main", "main", id="it needs its command line"),
        pytest.param("def main(): ...", "main", id="it has none"),
        pytest.param("import odd.inner\nmain = odd.inner.needed", "needed", id="its modules need its face"),
    ],
)
def test_a_package_of_another_layout_is_imported_as_usual(tmp_path: Path, init: str, said: str) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").write_text(f"def first(): ...\n{init}\n", encoding="utf-8")
    (tmp_path / "odd" / "_main.py").write_text("def main(): ...\n", encoding="utf-8")
    (tmp_path / "odd" / "inner.py").write_text("from odd import first\ndef needed(): ...\n", encoding="utf-8")
    for shortcut in ("import_without('odd', ['odd._main'])", "import_alone('odd.inner')", "import_alone('odd.none')"):
        script = (
            f"from blaxel_mcp.cli.quick_start import *\n{shortcut}\n"
            "import odd, odd.inner, odd._main\nprint(odd.main.__name__)"
        )
        assert printed(script, tmp_path) == f"{said}\n", shortcut


@pytest.mark.parametrize(
    ("use", "is_loaded"),
    [
        pytest.param("value: Needed | None = None", False, id="in an annotation"),
        pytest.param("value = isinstance(1, Needed)", False, id="no instance can exist"),
        pytest.param("value = Needed()", True, id="it is called"),
        pytest.param("class Use(Needed): ...", True, id="it is a base"),
        pytest.param("value = Needed.name", True, id="an attribute is read"),
        pytest.param("value = Needed < 1", True, id="an operator is applied"),
    ],
)
def test_a_postponed_module_that_is_used_at_once_is_imported_as_usual(
    tmp_path: Path, use: str, *, is_loaded: bool
) -> None:
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "__init__.py").write_text("", encoding="utf-8")
    later = "class Meta(type):\n    __lt__ = lambda *_: True\nclass Needed(metaclass=Meta):\n    name = 'later'\n"
    (tmp_path / "odd" / "later.py").write_text(later, encoding="utf-8")
    (tmp_path / "odd" / "inner.py").write_text(f"from odd.later import Needed\n{use}\n", encoding="utf-8")
    script = (
        "import sys\nfrom blaxel_mcp.cli.quick_start import *\nimport_alone('odd.inner', later=['odd.later'])\n"
        "import odd.inner\nprint('odd.later' in sys.modules)\n"
        "value = odd.inner.Needed()\nprint(odd.inner.Needed.name, isinstance(value, odd.inner.Needed))"
    )

    assert printed(script, tmp_path) == f"{is_loaded}\nlater True\n"
