"""The files for hosting: blaxel.toml, .blaxelignore and the Dockerfile start the server and contain no key."""

import fnmatch
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from blaxel_mcp.budget.ledger import default_ledger
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import load_settings
from tests.support.canaries import CLIENT_CREDENTIALS, HTTP_TOKEN
from tests.support.connecting import answer_of, receipt_of, text_of
from tests.support.http_serving import answer_to_42, client_of
from tests.support.leaks import look_at
from tests.support.processes import started, variables
from tests.support.released import BLAXEL, ROOT, build_inputs, dockerfile_stages, image_variables, image_words, released

PYTHON = {".venv/bin/python": [sys.executable], "/app/.venv/bin/python": [sys.executable]}
PYTHON["/app/.venv/bin/blaxel-mcp"] = [sys.executable, "-m", "blaxel_mcp"]
"""What replaces the programs of an environment built by Blaxel or by the image."""

NOWHERE = "/proc/nowhere"
"""A home in which not even root can create files, as on a read-only file system."""

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="a server there is no container's")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")


def here(words: list[str]) -> list[str]:
    """Return a command of the host as it is on this machine."""
    return [*PYTHON[words[0]], *words[1:]]


@asynccontextmanager
async def serving(command: list[str], environment: dict[str, str]) -> AsyncIterator[str]:
    """Run a server process; yield its URL on loopback."""
    async with started(command, environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        lines = BufferedByteReceiveStream(process.stderr)
        with anyio.fail_after(40):
            line = ""
            while not line.startswith("serving MCP at "):
                line = (await lines.receive_until(b"\n", 10_000)).decode()
            yield line.split()[-1]


async def healthy(url: str) -> bool:
    async with httpx.AsyncClient(timeout=30) as http:
        return (await http.get(url.removesuffix("/mcp") + "/healthz")).status_code == httpx.codes.OK


# Blaxel


def test_blaxel_toml_is_an_mcp_servers_and_holds_no_key() -> None:
    assert (BLAXEL["type"], BLAXEL["runtime"]["transport"]) == ("function", "http-stream")
    config = load_settings(environ=BLAXEL["env"])

    # Each of them is a setting, and none of them a credential.
    assert set(config.sources.values()) == set(BLAXEL["env"])
    assert config.warnings == ()
    assert {"api_key", "client_credentials", "http.bearer_tokens"}.isdisjoint(config.sources)
    # The call ends before the platform ends the request.
    assert config.settings.limits.timeout_seconds < BLAXEL["runtime"]["timeout"]


@on_posix
@pytest.mark.anyio
async def test_the_entrypoint_of_blaxel_toml_serves_with_what_blaxel_sets(emulator: Emulator, home: Path) -> None:
    # The command is split at spaces, without a shell.
    command = here(BLAXEL["entrypoint"]["prod"].split(" "))
    environment = {
        **{name: value for name, value in variables(emulator).items() if name in {"PATH", "BL_RUN_URL", "BL_API_URL"}},
        **BLAXEL["env"],
        "HOME": str(home),
        "HOST": "127.0.0.1",
        "PORT": "0",
        "BL_CLOUD": "true",
        "BL_TYPE": "function",
        "BL_NAME": BLAXEL["name"],
        "BL_WORKSPACE": "demo",
        "BL_CLIENT_CREDENTIALS": CLIENT_CREDENTIALS,
    }
    async with serving(command, environment) as url:
        assert await healthy(url)
        async with client_of(url) as client:
            result = await answer_to_42(client)

    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert receipt_of(result)["workspace"] == "demo"
    # The ledger would be lost with the instance.
    assert not default_ledger().exists()


def uploaded(path: str) -> bool:
    """Return whether `bl deploy` uploads a file, by its own rule: a prefix of the path, or a name in it."""
    lines = (ROOT / ".blaxelignore").read_text(encoding="utf-8").splitlines()
    left_out = [line.partition("#")[0].strip() for line in lines]
    return not any(
        path.startswith(name) or f"/{name}/" in f"/{path}" or f"/{path}".endswith(f"/{name}")
        for name in left_out
        if name
    )


def test_bl_deploy_uploads_only_what_a_build_reads() -> None:
    assert {name for name in released() if uploaded(name)} == build_inputs() | {"blaxel.toml"}
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "blaxel_mcp").rglob("*.py")]
    assert [path for path in files if not uploaded(path)] == []


@pytest.mark.parametrize(
    "path",
    [
        *(".env", ".env.production", ".env.build", ".git/config", ".blaxel/config.yaml", ".docker/config.json"),
        *(".venv/bin/python", "venv/bin/python", "node_modules/.bin/x", "blaxel_mcp/__pycache__/cli.pyc"),
        *("blaxel_mcp/.env", "dist/blaxel_mcp.whl", "build/x", ".mypy_cache/x", ".hypothesis/x", ".coverage"),
    ],
)
def test_bl_deploy_uploads_nothing_that_may_hold_a_key_or_was_generated(path: str) -> None:
    assert not uploaded(path)


def test_a_line_of_blaxelignore_is_a_name_as_bl_reads_it() -> None:
    lines = (ROOT / ".blaxelignore").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]

    # There are no patterns, and a name with a slash at its end matches in the root only.
    assert [name for name in names if set(name) & set("*?[]!# ") or name.endswith("/")] == []


def test_the_source_names_the_variables_that_bl_deploy_looks_for() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "blaxel_mcp").rglob("*.py"))

    assert '"HOST"' in source
    assert '"PORT"' in source


# The image


def test_the_image_runs_without_a_shell_and_without_root() -> None:
    image = dockerfile_stages()[-1]
    (user,) = (line.value for line in image if line.name == "USER")

    # By number, so that a host can see that it is not root.
    assert [int(number) > 0 for number in user.split(":")] == [True, True]
    for stage in dockerfile_stages():
        for line in stage:
            if line.name in {"RUN", "CMD", "ENTRYPOINT", "HEALTHCHECK"}:
                assert line.words
    assert [line.value for line in image if line.name == "STOPSIGNAL"] == ["SIGTERM"]


def test_the_image_and_its_builder_get_only_what_a_build_reads() -> None:
    copied = [line.value.split()[:-1] for line in dockerfile_stages()[0] if line.name == "COPY"]
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = [line for line in lines if line and not line.startswith("#")]

    assert {source for sources in copied for source in sources} == build_inputs()
    # Everything is excluded, then these are included again.
    assert names[0] == "*"
    assert {name.removeprefix("!") for name in names if name.startswith("!")} == build_inputs()
    assert any(fnmatch.fnmatch("blaxel_mcp/auth/__pycache__", name) for name in names[1:])


def test_the_image_sets_only_where_to_listen_and_where_to_write() -> None:
    config = load_settings(environ=image_variables())

    assert dict(config.sources) == {"http.host": "HOST", "http.port": "PORT"}
    volumes = [line.words for line in dockerfile_stages()[-1] if line.name == "VOLUME"]
    assert volumes == [[image_variables()["HOME"]]]


@on_posix
@pytest.mark.anyio
async def test_the_image_does_not_serve_before_authentication_is_configured(home: Path) -> None:
    environment = {"PATH": os.environ["PATH"], **image_variables(), "HOME": str(home)}

    with anyio.fail_after(40):
        finished = await anyio.run_process(_image_command(), env=environment, check=False)

    look_at("stderr of the image", finished.stderr)
    assert (finished.returncode, finished.stdout) == (2, b"")
    assert b"BLAXEL_MCP_HTTP__AUTH" in finished.stderr


@on_linux
@pytest.mark.anyio
async def test_the_image_serves_on_a_read_only_system_and_its_health_check_passes(
    emulator: Emulator,
) -> None:
    environment = {
        **variables(emulator),
        **image_variables(),
        "HOME": NOWHERE,
        "HOST": "127.0.0.1",
        "PORT": "0",
        "BLAXEL_MCP_HTTP__AUTH": "token",
        "BLAXEL_MCP_HTTP__BEARER_TOKENS": f'["{HTTP_TOKEN}"]',
    }
    async with serving(_image_command(), environment) as url:
        port = url.removesuffix("/mcp").rpartition(":")[2]
        assert await _check_of_the_image(port) == 0
        async with client_of(url, headers={"Authorization": f"Bearer {HTTP_TOKEN}"}) as client:
            result = await answer_to_42(client)
            long = await client.call_tool("run_model", {"model": "house-embed", "data": {"input": ["a cat"] * 60}})

    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert "read_result" in text_of(long)
    assert await _check_of_the_image(port) == 1


@on_linux
@pytest.mark.anyio
async def test_a_cap_without_a_writable_ledger_refuses_calls_with_the_reason(emulator: Emulator) -> None:
    environment = variables(emulator) | {"HOME": NOWHERE, "BLAXEL_MCP_BUDGET__CALLS_PER_DAY": "5"}
    command = [*PYTHON[".venv/bin/python"], "-m", "blaxel_mcp", "serve", "--transport", "http", "--port", "0"]
    async with serving(command, environment) as url, client_of(url) as client:
        result = await answer_to_42(client)

    assert result.is_error
    # Callers over HTTP are not shown where it is.
    assert "The ledger [path] cannot be used" in text_of(result)


def _image_command() -> list[str]:
    return here(image_words("ENTRYPOINT") + image_words("CMD"))


async def _check_of_the_image(port: str) -> int:
    """Return the exit code of the image's health check."""
    with anyio.fail_after(20):
        finished = await anyio.run_process(
            here(image_words("HEALTHCHECK")), env={"PATH": os.environ["PATH"], "PORT": port}, check=False
        )
    return finished.returncode


def test_the_words_of_blaxel_toml_need_no_shell() -> None:
    words = BLAXEL["entrypoint"]["prod"]

    assert words.split(" ") == shlex.split(words)
