"""Releases: one version of everything, the entry for the registry, and the bundle for Claude Desktop.

`.ci/packages.py` installs the packages on each version of Python.
"""

import ast
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import anyio
import jsonschema
import mcp_types as types
import pytest
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from blaxel_mcp import __version__
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from floors import declared, holes, known
from tests.support.canaries import KEY
from tests.support.connecting import TOOLS_OF_ONE, answer_of, text_of
from tests.support.leaks import Client
from tests.support.processes import variables
from tests.support.released import MANIFEST, PYPROJECT, ROOT, SERVER, build_inputs, released

README = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = SERVER["packages"][0]

SCHEMA = ROOT.parent / "shared" / "server.schema.json"
"""The registry's own schema, which is not part of this project."""


# Known holes


def test_no_lower_bound_allows_a_version_with_a_known_hole() -> None:
    assert holes(declared(), known()) == []


@pytest.mark.parametrize(
    ("requirement", "has_hole"),
    [
        ("starlette>=0.49,<2", True),
        ("Starlette", True),
        ("starlette<2", True),
        ("starlette>=1.0.0rc1", True),
        ("starlette>=1.0.1", False),
        ("starlette[full]~=1.1", False),
        ("other>=0", False),
    ],
)
def test_a_lower_bound_with_a_known_hole_is_found(requirement: str, has_hole: bool) -> None:
    advisory = {"package": "starlette", "id": "CVE-2026-48710", "fixed": "1.0.1"}

    assert bool(holes([requirement], [advisory])) is has_hole


# One version, one name


def test_everything_that_is_released_has_one_version() -> None:
    found = {__version__, SERVER["version"], PACKAGE["version"], MANIFEST["version"]}

    assert found == {__version__}
    assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "blaxel_mcp/__init__.py"


def test_everything_that_is_released_has_one_name() -> None:
    assert {PYPROJECT["project"]["name"], PACKAGE["identifier"], MANIFEST["name"]} == {"blaxel-mcp"}


def test_the_files_of_an_sdist_exist() -> None:
    assert {name for name in released() if not (ROOT / name).exists()} == set()


def test_the_supported_pythons_begin_with_the_oldest_that_installs() -> None:
    classifiers = " ".join(PYPROJECT["project"]["classifiers"])
    promised = [int(minor) for minor in re.findall(r"Python :: 3\.(\d+)", classifiers)]

    assert PYPROJECT["project"]["requires-python"] == f">=3.{promised[0]}"
    assert promised == list(range(promised[0], promised[-1] + 1))
    assert MANIFEST["compatibility"]["runtimes"]["python"] == f">=3.{promised[0]}"


COMES_WITH = {
    "cryptography": "pyjwt",
    "mcp_types": "mcp",
    # A namespace; of its packages, the extra `otel` brings the others.
    "opentelemetry": "opentelemetry-api",
    "pydantic_core": "pydantic",
    "referencing": "jsonschema",
    "typing_extensions": "pydantic",
}
"""Modules that are part of a dependency's public interface."""


def test_what_the_package_imports_is_what_it_depends_on() -> None:
    imported = {module for file in (ROOT / "blaxel_mcp").rglob("*.py") for module in _imports(file)}
    installed_by = packages_distributions()
    needed = {COMES_WITH.get(module) or installed_by[module][0].lower() for module in imported}
    extras = (line for lines in PYPROJECT["project"]["optional-dependencies"].values() for line in lines)
    lines = [*PYPROJECT["project"]["dependencies"], *extras]
    declared = {re.split(r"[<>=\[ ]", line)[0].lower() for line in lines}

    # starlette needs the first to read forms, httpcore is quicker with the second, and neither depends on it.
    # OpenTelemetry imports the others by the names in its variables.
    by_others = {"python-multipart", "sniffio", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"}
    assert needed | by_others == declared


def _imports(file: Path) -> Iterator[str]:
    """Yield the third-party modules that a file imports anywhere."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        tops = {name.partition(".")[0] for name in names}
        yield from tops - sys.stdlib_module_names - {"blaxel_mcp"}


# The registry's entry


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the registry's schema is not beside the checkout")
def test_the_registrys_entry_is_valid_by_the_registrys_schema() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    assert SERVER["$schema"] == schema["$id"]
    jsonschema.Draft7Validator(schema).validate(SERVER)


def test_the_registrys_entry_keeps_the_registrys_other_rules() -> None:
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", SERVER["name"])
    assert 0 < len(SERVER["description"]) <= 100
    assert re.fullmatch(r"\d+\.\d+\.\d+", SERVER["version"])
    assert (PACKAGE["registryType"], PACKAGE["runtimeHint"]) == ("pypi", "uvx")
    assert PACKAGE["transport"] == {"type": "stdio"}


def test_the_readme_has_the_registrys_ownership_marker() -> None:
    assert re.findall(r"<!-- mcp-name: (\S+) -->", README) == [SERVER["name"]]


def test_the_variables_of_the_registrys_entry_are_settings_and_secrets_are_marked() -> None:
    given = {variable["name"]: "given" for variable in PACKAGE["environmentVariables"]}
    config = load_settings(environ=given)

    # Each variable is the source of a setting.
    assert set(config.sources.values()) == set(given)
    keys = {source: key for key, source in config.sources.items()}
    for variable in PACKAGE["environmentVariables"]:
        secret = "SecretStr" in str(Settings.model_fields[keys[variable["name"]]])
        assert variable.get("isSecret", False) is secret, variable["name"]
        # A server without any of them lists its tools all the same.
        assert variable["isRequired"] is False


@pytest.mark.anyio
@pytest.mark.parametrize(
    "left_empty", ["", " ", "${{{name}}}", "${{input:{name}}}"], ids=["blank", "space", "name", "input"]
)
async def test_a_client_of_the_registry_may_pass_what_was_left_empty(left_empty: str) -> None:
    names = [variable["name"] for variable in PACKAGE["environmentVariables"]]
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
    environment |= {name: left_empty.format(name=name) for name in names}
    server = StdioServerParameters(command=sys.executable, args=["-P", "-m", "blaxel_mcp"], env=environment)

    async with Client(stdio_client(server), mode="legacy") as client:
        tools = await client.list_tools()

    assert {tool.name for tool in tools.tools} == set(TOOLS_OF_ONE)


# The bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mcpb") / "bundle"
    build(folder)
    return folder


def build(folder: Path, code: int = 0) -> str:
    command = [sys.executable, str(ROOT / "packaging" / "mcpb" / "build_mcpb.py"), str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert finished.returncode == code, finished.stderr
    return finished.stderr


def test_the_bundle_holds_only_the_package_its_manifest_and_its_icon(bundle: Path) -> None:
    held = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "blaxel_mcp").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    assert held == package | {"manifest.json", "icon.png", "start.py"} | (build_inputs() - {"blaxel_mcp"})
    assert all((bundle / name).read_bytes() == (ROOT / name).read_bytes() for name in package)


def test_building_the_bundle_again_starts_from_an_empty_folder(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    build(folder)
    (folder / "stray.txt").write_text("of an older version")

    build(folder)

    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in bundle.iterdir())


def test_building_the_bundle_removes_no_folder_that_is_not_a_bundle(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")

    assert "remove it first" in build(tmp_path, code=2)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["letter.txt"]


def test_the_icon_is_a_png_of_the_size_that_claude_desktop_wants(bundle: Path) -> None:
    icon = (bundle / MANIFEST["icon"]).read_bytes()

    assert icon[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", icon[16:24]) == (512, 512)


def test_the_bundles_entry_point_is_there_and_is_what_python_runs_for_the_package(bundle: Path) -> None:
    finished = subprocess.run(
        [sys.executable, str(bundle / MANIFEST["server"]["entry_point"]), "--version"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert finished.stdout == f"blaxel-mcp {__version__}\n"


def test_the_bundle_asks_for_what_it_passes_on_and_marks_keys_as_sensitive() -> None:
    handed_on = dict(_placeholders(MANIFEST["server"]["mcp_config"]["env"]))

    assert set(handed_on.values()) == set(MANIFEST["user_config"])
    secret = {name for name, asked in MANIFEST["user_config"].items() if asked.get("sensitive")}
    assert secret == {handed_on["BL_API_KEY"]}
    # Without any of them, the server starts, and each call says what is missing.
    assert not any(asked["required"] for asked in MANIFEST["user_config"].values())


def _placeholders(environment: dict[str, str]) -> list[tuple[str, str]]:
    found = {name: re.fullmatch(r"\$\{user_config\.(\w+)\}", value) for name, value in environment.items()}
    return [(name, match[1]) for name, match in found.items() if match]


def test_the_tools_that_the_bundle_names_are_those_that_are_always_there() -> None:
    assert [tool["name"] for tool in MANIFEST["tools"]] == list(BUILTIN_TOOLS)
    assert MANIFEST["tools_generated"] is True


@pytest.mark.anyio
@pytest.mark.parametrize("expanded", ["", None], ids=["left empty", "left as a placeholder"])
async def test_a_field_that_the_user_of_the_bundle_leaves_empty_is_unset(
    expanded: str | None, emulator: Emulator, bundle: Path
) -> None:
    handed_on = MANIFEST["server"]["mcp_config"]["env"]
    environment = {name: value if expanded is None else expanded for name, value in handed_on.items()}

    tools, result = await _started(bundle, variables(emulator) | environment)

    assert tools == ["house-chat", *TOOLS_OF_ONE]
    assert result.is_error
    assert "workspace" in text_of(result)
    assert "BL_WORKSPACE" in text_of(result)


@pytest.mark.anyio
async def test_a_field_that_the_user_of_the_bundle_fills_in_is_used(
    emulator: Emulator, tmp_path: Path, bundle: Path
) -> None:
    file = tmp_path / "my settings.toml"
    file.write_text('tools = { builtin = ["list_models"] }\n')
    filled_in = {"workspace": "demo", "api_key": KEY, "settings_file": str(file)}
    asked = dict(_placeholders(MANIFEST["server"]["mcp_config"]["env"]))

    environment = variables(emulator) | {name: filled_in[key] for name, key in asked.items()}
    tools, result = await _started(bundle, environment)

    assert tools == ["house-chat", "list_models"]
    assert "42" in answer_of(result)["choices"][0]["message"]["content"]


async def _started(bundle: Path, environment: dict[str, str]) -> tuple[list[str], types.CallToolResult]:
    """Return the tools of the bundle's server with these variables, and the result of a call of the first one."""
    # `uv run python start.py`, in the folder of the bundle, with the packages of this environment in place of uv's.
    _, _, _, python, *arguments = MANIFEST["server"]["mcp_config"]["args"]
    assert python == "python"
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment, cwd=bundle)
    with anyio.fail_after(20):
        async with Client(server) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            return tools, await client.call_tool(tools[0], {"prompt": "What is 6 * 7?"})
