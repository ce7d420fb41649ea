"""A start that imports little: what is left out is there when it is used, and odd layouts are imported as usual."""

import subprocess
import sys
from pathlib import Path

import pytest

MAX_MODULES = 780
"""At the time of writing 737 on Python 3.11, and 971 without a quick start."""

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
        "uvicorn",
        "yaml",
        "mcp.client",
        "mcp.server.mcpserver",
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


def test_what_was_left_out_is_there_when_it_is_used() -> None:
    said = printed(
        f"{START}\n"
        "from mcp import Client, MCPError\n"
        "from mcp.server import MCPServer\n"
        "import httpx._main, mcp, mcp.shared.exceptions, mcp_types, uvicorn\n"
        "print(MCPError is mcp.shared.exceptions.MCPError, hasattr(mcp, 'nothing'), len(mcp.__all__) > 50)\n"
        "print(mcp_types.TextContent(type='text', text='x').model_dump_json(exclude_none=True))\n"
    )

    assert said == 'True False True\n{"type":"text","text":"x"}\n'


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
    for shortcut in ("import_without_command_line('odd')", "import_alone('odd.inner')", "import_alone('odd.none')"):
        script = (
            f"from blaxel_mcp.cli.quick_start import *\n{shortcut}\n"
            "import odd, odd.inner, odd._main\nprint(odd.main.__name__)"
        )
        assert printed(script, tmp_path) == f"{said}\n", shortcut
