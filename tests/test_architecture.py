"""The boundaries that keep a change small: who may import what, and where a secret is unwrapped."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "blaxel_mcp"
MODULES = {
    ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}

LAYERS = (
    ("exceptions", "json_text", "placeholders", "usage", "redaction", "spelling", "url_paths", "wire", "parent", "log"),
    ("media_types", "private_folder"),
    ("settings", "settings_types", "json_pointer", "spool", "ledger_figures", "ledger"),
    ("settings_layers", "settings_environment", "settings_file", "settings_sources", "login_file", "demo_settings"),
    ("credentials", "endpoints", "tool_names", "answers", "access", "budget"),
    ("model_records", "runtime_types", "catalog_cache", "streams"),
    ("auth", "response_body", "error_bodies", "error_wording", "upstream_errors", "network_errors"),
    ("api_request", "http_library", "client"),
    ("apis", "arguments", "body", "concurrency", "controlplane", "receipt", "retry"),
    ("kept_answers", "shared_answers", "call_store"),
    ("spending", "usage_report"),
    (
        "catalog",
        "catalog_entries",
        "discovery",
        "invocation",
        "shaping",
        "content_blocks",
        "media_files",
    ),
    (
        "answer_stream",
        "files",
        "inference",
        "model_errors",
        "results",
        "calls",
        "model_guide",
        "model_listing",
        "first_settings",
    ),
    ("tools", "result_policy", "model_tools", "run_model", "list_models", "read_result", "handles", "resources"),
    ("app", "callers", "service", "services", "settings_watch", "server", "frames", "stdio", "tool_changes"),
    ("http_refusals", "http_listening", "http_gate", "http_traffic", "http_cancelling"),
    ("http_app", "http_server", "http_workers"),
    ("doctor",),
    ("commands", "cli", "__main__"),
)
"""From the ground up: a module imports from its own layer and from those below it."""

LEAVES = {"emulator": set[str](), "install": {"exceptions", "spelling"}}
"""What stands apart, and what alone it imports of ours besides itself."""


def imports(module: str) -> Iterator[str]:
    """The modules that a module imports, wherever in it; those for annotations alone do not count."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide where a thing comes from"
            yield node.module
            if node.module == "blaxel_mcp":
                yield from (f"blaxel_mcp.{alias.name}" for alias in node.names)


def part(module: str) -> str:
    """The first name below the package: `auth` of `blaxel_mcp.auth.tokens`."""
    return [*module.split("."), ""][1]


def layer(module: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if part(module) in names)


ours = pytest.mark.parametrize("module", [name for name in MODULES if part(name) not in (*LEAVES, "")])


@ours
def test_a_module_imports_from_its_own_layer_and_below(module: str) -> None:
    upward = [name for name in imports(module) if name in MODULES and part(name) not in (*LEAVES, "")]

    assert [name for name in upward if layer(name) > layer(module)] == []


@pytest.mark.parametrize("module", [name for name in MODULES if part(name) in LEAVES])
def test_what_stands_apart_imports_next_to_nothing_of_ours(module: str) -> None:
    foreign = {part(name) for name in imports(module) if name.startswith("blaxel_mcp")} - {part(module), ""}

    assert foreign <= LEAVES[part(module)]
    assert "httpx" not in imports(module)


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        ("httpx", {"auth", "client", "http_library"}),
        (
            "mcp",
            {
                *("tools", "resources", "callers", "service", "services", "server", "stdio", "tool_changes"),
                *("http_app", "http_listening", "doctor", "commands"),
            },
        ),
        (
            "mcp_types",
            {
                *("content_blocks", "media_files", "results", "calls", "handles", "resources", "tools", "tool_changes"),
                *("model_tools", "run_model", "list_models", "read_result", "service", "services", "server", "frames"),
                *("http_app", "http_cancelling", "doctor", "commands"),
            },
        ),
        ("starlette", {"emulator", "http_app", "http_cancelling", "http_gate", "http_refusals", "http_traffic"}),
        ("uvicorn", {"emulator", "http_server"}),
        ("jwt", {"auth"}),
        ("yaml", {"login_file"}),
        ("jsonschema", {"arguments", "emulator"}),
        ("rich", {"commands"}),
    ],
)
def test_a_library_is_the_secret_of_a_few_modules(library: str, allowed: set[str]) -> None:
    users = {part(module) for module in MODULES if library in {name.split(".")[0] for name in imports(module)}}

    assert users <= allowed
    assert users, f"{library} is not used at all"


@pytest.mark.parametrize(
    ("attribute", "allowed"),
    [
        pytest.param("get_secret_value", {"auth"}, id="unwrapping a secret"),
        pytest.param("environ", {"settings_sources"}, id="reading the environment"),
        pytest.param("getenv", set(), id="reading the environment in passing"),
    ],
)
def test_what_is_done_in_one_place_is_done_nowhere_else(attribute: str, allowed: set[str]) -> None:
    users = {
        part(module)
        for module, file in MODULES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        # A value of ours may have variables too, handed to it.
        and (attribute != "environ" or (isinstance(node.value, ast.Name) and node.value.id == "os"))
    }

    assert users == allowed


def test_printing_is_left_to_commands() -> None:
    users = {
        part(module)
        for module, file in MODULES.items()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }

    assert users <= {"cli", "commands"}


def test_every_module_is_in_a_layer() -> None:
    known = {name for names in LAYERS for name in names} | set(LEAVES)

    assert {part(module) for module in MODULES} - known == {""}
    assert all((PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file() for name in known)


def test_importing_the_package_alone_imports_no_library() -> None:
    check = "import sys, blaxel_mcp; print({'mcp', 'httpx', 'pydantic', 'anyio'} & set(sys.modules) or 'none')"
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=20, check=True)

    assert finished.stdout == "none\n"


def test_the_map_for_newcomers_has_every_module() -> None:
    page = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = {part(module) for module in MODULES if part(module) not in ("", "__main__")}

    assert {name for name in missing if f"`{name}`" not in page and f"`{name}/`" not in page} == set()
