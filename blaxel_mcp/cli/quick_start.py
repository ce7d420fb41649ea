"""A faster and smaller start of the server: code of other packages is imported when it is first used.

Every MCP client waits for the start. This is the only module that changes how other packages are imported. A package
whose layout is not the expected one is imported as usual. The figures are shares of the processor time from the start
to the first `tools/list`, and of the memory after it, which is 61.6 MB without `postponed`.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema

_PROTOCOL_VERSIONS = ("mcp_types._v2025_11_25", "mcp_types._v2026_07_28")
"""The messages of each version of the protocol, of which a session uses one: 1.6 MB each."""

_SDK_OVER_HTTP = (
    "mcp.server.auth",
    "mcp.server.streamable_http",
    "mcp.server.streamable_http_manager",
    "sse_starlette",
    "starlette",
)
"""The SDK's HTTP transport, with `uvicorn` and the names of HTML's characters: 2.1 MB."""

_OTHER_SETTINGS = tuple(
    f"pydantic_settings.sources.providers.{name}" for name in ("aws", "azure", "cli", "gcp", "json")
)
"""Sources of settings that this server has not: 0.4 MB."""


def quick_start(*, over_http: bool) -> None:
    """Import what a server needs of `httpx` and `mcp`, before anything else imports them.

    Without HTTP, the SDK's `Server` cannot serve HTTP in this process either.
    """
    # The command line of httpx, with click, pygments and rich, takes 7 % of the start.
    import_without("httpx", ["httpx._main"])
    import_without("pydantic_settings", _OTHER_SETTINGS)
    import_alone("mcp.server.lowlevel", later=_PROTOCOL_VERSIONS if over_http else _PROTOCOL_VERSIONS + _SDK_OVER_HTTP)
    # The price table's, when it is imported: it brings a second HTTP library, to download prices, with 1.1 MB.
    sys.modules.setdefault("genai_prices.update_prices", _Postponed("genai_prices.update_prices"))


def import_without(package: str, later: Sequence[str]) -> None:
    """Import a package without modules from which it imports names that it uses later, if at all."""
    if package in sys.modules:
        return
    try:
        with postponed(later):
            import_module(package)
    except Exception:  # noqa: BLE001 - the usual import that follows raises it again if it is not our fault
        _forget(package)


def import_alone(module: str, *, later: Sequence[str] = ()) -> None:
    """Import a module without the `__init__` of the packages around it, and build its models later.

    The `__init__` of `mcp` and `mcp.server` import the client and `MCPServer`, with a second HTTP library: 9 % of the
    start. They run when a name is used that only they define. Pydantic builds the validator of each model when it is
    first used: a server uses a tenth of the protocol's models, and all of them take 14 % of the start.

    Args:
        module: The module.
        later: Modules from which it imports names that it uses later, if at all; their submodules are included.
    """
    steps = module.split(".")
    packages = [".".join(steps[:count]) for count in range(1, len(steps))]
    if packages[0] in sys.modules:
        return
    try:
        with _deferred_models(), postponed(later):
            for name in packages:
                spec = find_spec(name)
                assert spec, name
                package = _Package(name)
                package.__spec__, package.__loader__, package.__file__ = spec, spec.loader, spec.origin
                package.__path__, package.__package__ = spec.submodule_search_locations or [], name
                sys.modules[name] = package
                parent, _, child = name.rpartition(".")
                if parent:
                    setattr(sys.modules[parent], child, package)
            import_module(module)
        works = all(isinstance(sys.modules[name], _Package) for name in packages)
    except Exception:  # noqa: BLE001 - the usual import that follows raises it again if it is not our fault
        works = False
    if not works:
        _forget(packages[0])


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


@contextmanager
def _deferred_models() -> Iterator[None]:
    """Let pydantic build the validators of the models that are defined meanwhile when they are first used."""
    if BaseModel.model_config.get("defer_build"):
        yield
        return
    BaseModel.model_config["defer_build"] = True
    try:
        yield
    finally:
        del BaseModel.model_config["defer_build"]


@contextmanager
def postponed(modules: Sequence[str]) -> Iterator[None]:
    """Let imports of names from these modules and their submodules give a `_Later` each, unless they are loaded."""
    finder = _PostponingFinder([name for name in modules if name not in sys.modules])
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Postponed)]:
            parent, _, child = name.rpartition(".")
            del sys.modules[name]
            with suppress(KeyError, AttributeError):
                delattr(sys.modules[parent], child)


class _PostponingFinder(Loader):
    """Finds the postponed modules, and loads nothing of them."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._modules = modules

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        is_postponed = any(f"{name}.".startswith(f"{module}.") for module in self._modules)
        return ModuleSpec(name, self, is_package=True) if is_postponed else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Postponed(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


class _Postponed(ModuleType):
    """A module that is not loaded."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__dict__[name] = value = _Later(self.__name__, partial(loaded_name, self.__name__, name))
        return value


def loaded_name(module_name: str, name: str) -> Any:
    """Load a postponed module, unless it is still being postponed, and return what has this name in it."""
    if type(sys.modules.get(module_name)) is _Postponed:
        del sys.modules[module_name]
    with _deferred_models():
        module = import_module(module_name)
    if type(module) is _Postponed:
        raise ImportError(f"{name} of {module_name} is used while it is imported")
    return getattr(module, name)


class _Later:
    """A class or function, or a union of classes, that `load` returns; its (first) module is loaded when it is used."""

    def __init__(self, module: str, load: Callable[[], Any]) -> None:
        self._module, self._load = module, load

    @cached_property
    def loaded_value(self) -> Any:
        return self._load()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.loaded_value(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loaded_value, name)

    def __instancecheck__(self, instance: object) -> bool:
        # A class that is not loaded has no instances.
        is_loaded = not isinstance(sys.modules.get(self._module), _Postponed | None)
        return is_loaded and isinstance(instance, self.loaded_value)

    def __or__(self, other: Any) -> "_Later":
        return _Later(self._module, lambda: self.loaded_value | getattr(other, "loaded_value", other))

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return handler.generate_schema(self.loaded_value)
