"""The boundaries that keep a change small: who may import what, and where a secret is unwrapped."""

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from tests.support.sources import PACKAGE, ROOT, module_of, trees, walked

TESTS = ROOT / "tests"

LAYERS: Mapping[str, tuple[str, ...]] = {
    "core": (),
    "settings": ("core",),
    "client": ("settings", "core"),
    "budget": ("settings", "core"),
    "apis": ("core",),
    "catalog": ("apis", "client", "settings", "core"),
    "inference": ("catalog", "budget", "apis", "client", "settings", "core"),
    "tools": ("inference", "catalog", "budget", "apis", "client", "settings", "core"),
    "server": ("tools", "inference", "catalog", "budget", "apis", "client", "settings", "core"),
    "setup": ("tools", "inference", "catalog", "budget", "apis", "client", "settings", "core"),
    "cli": (
        "server",
        "setup",
        "tools",
        "inference",
        "catalog",
        "budget",
        "apis",
        "client",
        "settings",
        "core",
        "emulator",
    ),
    "emulator": (),
}
"""Each package and the packages that it may import."""

LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "httpx": ("client", "server.http.auth"),
    "h11": ("client",),
    "mcp": ("tools", "server", "setup.doctor", "cli"),
    "opentelemetry": ("inference", "server"),
    "mcp_types": ("tools", "server", "setup.doctor", "cli"),
    "starlette": ("server.http", "emulator"),
    "uvicorn": ("server.http", "emulator"),
    "jwt": ("server.http.auth",),
    "yaml": ("settings",),
    "jsonschema": ("apis", "emulator"),
    "rich": ("cli",),
    "redis": ("budget.shared",),
    "cryptography": ("budget.shared",),
}
"""Each library with a home, and the packages that may import it."""


def imports(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported anywhere in a module; imports for annotations alone do not count."""
    typing_only = {
        id(inner)
        for node in walked(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in walked(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "relative imports hide where a name comes from"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def modules() -> Mapping[str, set[str]]:
    """Return each module and what it imports."""
    return {module_of(file): set(imports(tree)) for file, tree in trees().items()}


def own_imports(module: str) -> set[str]:
    """The names that a module imports from this project, without the leading `blaxel_mcp.`."""
    return {name.removeprefix("blaxel_mcp.") for name in modules()[module] if name.startswith("blaxel_mcp.")}


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def users_of(attribute: str) -> set[str]:
    """The modules that read an attribute of this name; of `environ`, only the one of `os`."""
    return {
        module_of(file)
        for file, tree in trees().items()
        for node in walked(tree)
        if isinstance(node, ast.Attribute)
        and node.attr == attribute
        and (attribute != "environ" or (isinstance(node.value, ast.Name) and node.value.id == "os"))
    }


def test_the_root_holds_the_packages_and_nothing_else() -> None:
    names = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}

    assert names == {*LAYERS, "__init__.py", "__main__.py", "py.typed"}


@pytest.mark.parametrize("package", LAYERS)
def test_a_package_imports_only_packages_below_it(package: str) -> None:
    allowed = {package, *LAYERS[package], "__version__"}
    imported = {(module, name) for module in modules() if is_inside(module, package) for name in own_imports(module)}

    assert sorted((module, name) for module, name in imported if name.split(".")[0] not in allowed) == []


def test_installing_into_clients_needs_nothing_but_the_core() -> None:
    imported = {name for module in modules() if is_inside(module, "setup.install") for name in own_imports(module)}

    assert {name for name in imported if not is_inside(name, "setup.install") and not is_inside(name, "core")} == set()


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_is_imported_only_where_it_belongs(library: str) -> None:
    users = {module for module, names in modules().items() if library in {name.split(".")[0] for name in names}}

    assert users, f"{library} is not used at all"
    assert {user for user in users if not any(is_inside(user, home) for home in LIBRARIES[library])} == set()


@pytest.mark.parametrize(
    ("attribute", "homes"),
    [
        pytest.param(
            "get_secret_value", ("client.auth", "server.http.auth", "budget.shared"), id="unwrapping a secret"
        ),
        pytest.param("environ", ("settings",), id="reading the environment"),
        pytest.param("getenv", (), id="reading the environment in passing"),
    ],
)
def test_an_attribute_with_one_home_is_read_nowhere_else(attribute: str, homes: tuple[str, ...]) -> None:
    users = users_of(attribute)

    assert {user for user in users if not any(is_inside(user, home) for home in homes)} == set()
    assert bool(users) == bool(homes)


def test_only_commands_print() -> None:
    users = {
        module_of(file)
        for file, tree in trees().items()
        for node in walked(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }

    assert {user for user in users if not is_inside(user, "cli")} == set()


@pytest.mark.parametrize("package", ["server", "server/stdio"])
def test_a_package_on_the_way_to_the_standard_streams_imports_nothing(package: str) -> None:
    assert len(trees()[PACKAGE / package / "__init__.py"].body) == 1


def exported(tree: ast.Module) -> list[str] | None:
    """The value of a module's `__all__`, None where it has none."""
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    return next((ast.literal_eval(node.value) for node in assigned if ast.unparse(node.targets[0]) == "__all__"), None)


def test_only_a_package_lists_what_it_exports() -> None:
    """In a plain module, a list of re-exports would hide what the module itself has."""
    assert [module_of(file) for file, tree in trees().items() if file.name != "__init__.py" and exported(tree)] == []


def test_a_package_with_a_face_exports_all_that_it_defines() -> None:
    for file, tree in trees().items():
        if file.name == "__init__.py" and file.parent != PACKAGE and len(tree.body) > 1:
            defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            assert defined <= set(exported(tree) or ()), file


def test_importing_the_package_alone_imports_no_library() -> None:
    check = "import sys, blaxel_mcp; print({'mcp', 'httpx', 'pydantic', 'anyio'} & set(sys.modules) or 'none')"
    finished = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=20, check=True)

    assert finished.stdout == "none\n"


def described(package: str) -> tuple[str, str]:
    """The first line of a package's docstring, and its line on what it may import."""
    docstring = ast.get_docstring(trees()[PACKAGE / package / "__init__.py"]) or ""
    may_import = re.search(r"^May import: (.+)\.$", docstring, re.MULTILINE)
    assert may_import, f"{package} does not say what it may import"
    return docstring.partition("\n")[0], may_import[1]


def test_the_map_for_contributors_is_what_the_packages_say_of_themselves() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)/` \| (.+) \| (.+) \|$", page, re.MULTILINE)

    assert rows == [(package, *described(package)) for package in LAYERS]


@pytest.mark.parametrize("package", [name for name in LAYERS if name != "cli"])
def test_a_package_says_truly_what_it_may_import(package: str) -> None:
    assert described(package)[1] == (", ".join(LAYERS[package]) or "nothing of this project")


def private_functions_used_once(tree: ast.Module) -> list[str]:
    """Return the private functions and methods that a module names once after their definition."""
    references = Counter(
        node.id if isinstance(node, ast.Name) else node.attr
        for node in walked(tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )
    return [name for name in functions_of(tree) if re.match("_(?!_)", name) and references[name] == 1]


def functions_of(tree: ast.Module) -> list[str]:
    return [node.name for node in walked(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize(
    ("left_out", "limit"),
    [pytest.param({"emulator"}, 0.20, id="without the emulator"), pytest.param(set(), 0.25, id="with the emulator")],
)
def test_few_private_functions_are_used_only_once(left_out: set[str], limit: float) -> None:
    """A reader has to look up each of them: inline one whose name says no more than its lines."""
    counted = [tree for file, tree in trees().items() if file.relative_to(PACKAGE).parts[0] not in left_out]
    once = sum(len(private_functions_used_once(tree)) for tree in counted)

    assert once / sum(len(functions_of(tree)) for tree in counted) < limit


def lines_of_code(file: Path, tree: ast.Module) -> int:
    """The lines of a module that are neither blank nor a comment nor part of a docstring or of another bare string."""
    text = {
        number
        for node in walked(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#") and number not in text for number, line in lines
    )


def test_the_package_without_the_emulator_stays_under_24_000_lines_of_code() -> None:
    counted = {file: tree for file, tree in trees().items() if file.relative_to(PACKAGE).parts[0] != "emulator"}

    assert sum(lines_of_code(file, tree) for file, tree in counted.items()) < 24_000


def types_in(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each class, type variable and alias of a module for others to import, and what it stands for."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield node.name, f"class at line {node.lineno}"
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name, ast.unparse(node.value)


def test_two_types_never_share_a_name() -> None:
    """An alias may be repeated, for the same thing; a private name belongs to its module."""
    meanings: dict[str, set[str]] = {}
    for file, tree in trees().items():
        for name, meaning in types_in(tree):
            in_module = f"{module_of(file)}: {meaning}" if meaning.startswith("class") else meaning
            meanings.setdefault(name, set()).add(in_module)

    assert {name: found for name, found in meanings.items() if len(found) > 1 and not name.startswith("_")} == {}


def test_only_the_slow_tests_start_the_server_as_a_process() -> None:
    """The other tests are what runs before each commit, and take less time altogether than these."""
    starters = {"mcp.client.stdio", "mcp.StdioServerParameters", "tests.support.processes.SERVE"}
    slow = {"e2e", "clients", "replicas", "support"}
    files = [file for file in TESTS.rglob("*.py") if file.relative_to(TESTS).parts[0] not in slow]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    suspects = {file: ast.parse(text) for file, text in texts.items() if re.search(r"stdio|StdioServer|SERVE\b", text)}

    assert [file for file, tree in suspects.items() if starters & set(imports(tree))] == []
