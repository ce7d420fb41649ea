"""How to start our server, the bare one and the httpx loop, and how to call a model through each."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver import Call, Launch
from benchmarks.installs import BARE as BARE_PACKAGES
from benchmarks.installs import FOLDER, is_installed
from benchmarks.models import EVENTS, PROMPT, model_names

API_KEY = "benchmark-key"


@dataclass(frozen=True, slots=True)
class Setup:
    """What a server is started with.

    Attributes:
        url: The upstream.
        folder: An empty folder for its settings and state.
        models: How many models it has.
        capped: Whether a daily cap of calls is set, where a server has such a setting.
        port: The port on which to serve over HTTP; 0 for stdio.
        profile: The file for a profile of our server, None to run it without a profiler.
    """

    url: str
    folder: Path
    models: int = 10
    capped: bool = False
    port: int = 0
    profile: Path | None = None


def call_by_model(model: str) -> Call:
    """Return the call of a tool that has the name of its model."""
    return Call(model, {"prompt": PROMPT})


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that can be measured.

    Attributes:
        name: Its column in the tables.
        launch: Returns how to start it.
        call: Returns the call that reaches a model.
        scenarios: The scenarios that it can take part in, all if empty.
    """

    name: str
    launch: Callable[[Setup], Launch]
    call: Callable[[str], Call] = call_by_model
    scenarios: frozenset[str] = frozenset()


def own_settings(setup: Setup) -> str:
    """Return the settings file of our server: the defaults, without limits that the measurement would reach."""
    keys: Mapping[str, object] = {
        "workspace": "benchmarks",
        "api_key": API_KEY,
        "run_url": setup.url,
        "api_url": setup.url,
        "limits.max_concurrency": 1024,
        "limits.max_queue": 1024,
        "discovery.enabled": False,
        "budget.ledger": str(setup.folder / "ledger.sqlite3"),
        "tools.max_tools": 2_000,
        **({"budget.calls_per_day": 1_000_000} if setup.capped else {}),
        # Over HTTP, a caller may make 600 calls of tools in a minute unless this allows more.
        **({"limits.calls_per_minute": 1_000_000} if setup.port else {}),
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    for name in model_names(setup.models):
        lines += ["[[models]]", f"name = {json.dumps(name)}", 'api = "chat-completions"']
        lines += ['stream = "always"'] if name == EVENTS else []
    return "\n".join([*lines, ""])


def launch_own(setup: Setup) -> Launch:
    """Return how to start our server, with its own settings, state and cache below the folder."""
    settings = setup.folder / "config.toml"
    settings.write_text(own_settings(setup), encoding="utf-8")
    settings.chmod(0o600)
    places = dict.fromkeys(("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(setup.folder))
    transport = ("serve", "--transport", "http", "--port", str(setup.port)) if setup.port else ()
    program = ("benchmarks.profiled", setup.profile) if setup.profile else ("blaxel_mcp",)
    return Launch((sys.executable, "-m", *program, "--config", settings, *transport), places)


def plain_python() -> str | Path:
    """Return the Python with the SDK and httpx alone; our own if they are not installed.

    Packages that this server needs, such as `sniffio`, make other programs faster or slower as well.
    """
    return FOLDER / BARE_PACKAGES / "bin/python" if is_installed(BARE_PACKAGES) else sys.executable


def launch_bare(setup: Setup) -> Launch:
    """Return how to start the bare server."""
    port = ("--http", str(setup.port)) if setup.port else ()
    return Launch((plain_python(), "-m", "benchmarks.bare", setup.url, str(setup.models), *port))


def launch_loop(setup: Setup) -> Launch:
    """Return how to start the httpx loop."""
    return Launch((plain_python(), "-m", "benchmarks.loop", setup.url, str(setup.models)))


OWN = Contender("blaxel-mcp", launch_own)
BARE = Contender("bare", launch_bare)
LOOP = Contender("httpx loop", launch_loop, scenarios=frozenset({"start", "calls", "memory", "large", "slow"}))
