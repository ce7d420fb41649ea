"""A faster start of the server: code of other packages that it does not need is imported when it is first used.

Every MCP client waits for the start. This is the only module that changes how other packages are imported. A package
whose layout is not the expected one is imported as usual. The figures are shares of the processor time from the start
to the first `tools/list`.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from pydantic import BaseModel


def quick_start(*, over_http: bool) -> None:
    """Import what a server needs of `httpx` and `mcp`, before anything else imports them.

    Without HTTP, the SDK needs no `uvicorn`: `sse_starlette` does without, and the two take 5 % of the start.
    """
    import_without_command_line("httpx")
    with nullcontext() if over_http else _hidden("uvicorn"):
        import_alone("mcp.server.lowlevel")


def import_without_command_line(package: str) -> None:
    """Import a package without its command line, for which it may lack `click`, `pygments` and `rich`.

    The command line of httpx takes 7 % of the start.
    """
    if package in sys.modules:
        return
    with _hidden(f"{package}._main"):
        try:
            import_module(package)
        except ImportError:
            _forget(package)


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let imports of a module fail as if it was not installed."""
    if module in sys.modules:
        yield
        return
    # Python raises ImportError for a module of None.
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(module, None)


def import_alone(module: str) -> None:
    """Import a module without the `__init__` of the packages around it, and build its models later.

    The `__init__` of `mcp` and `mcp.server` import the client and `MCPServer`, with a second HTTP library: 9 % of the
    start. They run when a name is used that only they define. Pydantic builds the validator of each model when it is
    first used: a server uses a tenth of the protocol's models, and all of them take 14 % of the start.
    """
    steps = module.split(".")
    packages = [".".join(steps[:count]) for count in range(1, len(steps))]
    if packages[0] in sys.modules:
        return
    BaseModel.model_config["defer_build"] = True
    try:
        for name in packages:
            _add_package(name)
        import_module(module)
        works = all(isinstance(sys.modules[name], _Package) for name in packages)
    except Exception:  # noqa: BLE001 - the usual import that follows raises it again if it is not our fault
        works = False
    finally:
        del BaseModel.model_config["defer_build"]
    if not works:
        _forget(packages[0])


def _add_package(name: str) -> None:
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(name)
    package = _Package(name)
    package.__spec__, package.__loader__, package.__file__ = spec, spec.loader, spec.origin
    package.__path__, package.__package__ = spec.submodule_search_locations, name
    sys.modules[name] = package
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, package)


class _Package(ModuleType):
    """A package whose `__init__` has not run yet."""

    def __getattr__(self, name: str) -> Any:
        spec = self.__spec__
        if (name.startswith("__") and name != "__all__") or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        # Names that it does not define either have none of their own from now on.
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec.loader.exec_module(self)
        return getattr(self, name)


def _forget(package: str) -> None:
    """Remove a package and its modules, so that they are imported as usual."""
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
