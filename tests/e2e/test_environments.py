"""Processes as clients start them that hand on odd descriptors, odd variables, or no home: they serve all the same."""

import fcntl
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import frame, hello

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors and users are POSIX's here")

SCRIPT = str(Path(sys.executable).with_name("blaxel-mcp"))
SERVE = [SCRIPT, "serve", "--demo"]
LIST = frame("tools/list", 2)
CALL = frame("tools/call", 3, name="house-chat", arguments={"prompt": "What is 6 * 7?"})


def environment(**more: str) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **more}


def answers(written: bytes) -> dict[Any, dict[str, Any]]:
    return {message.get("id"): message for message in map(json.loads, written.splitlines())}


def served(
    frames: bytes = hello() + LIST,
    *,
    command: list[str] = SERVE,
    variables: Mapping[str, str] | None = None,
    **how: Any,
) -> subprocess.CompletedProcess[bytes]:
    """Start a server, write frames to it, and end its input after the last answer."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options: dict[str, Any] = {**pipes, "env": environment() if variables is None else dict(variables), **how}
    with subprocess.Popen(command, **options) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(frames)
        process.stdin.flush()
        expected = sum(b'"id"' in line for line in frames.splitlines())
        written = b"".join(process.stdout.readline() for _ in range(expected))
        process.stdin.close()
        rest = process.stdout.read()
        errors = process.stderr.read() if process.stderr else b""
        code = process.wait(timeout=60)
    return subprocess.CompletedProcess(command, code, written + rest, errors)


def is_fine(finished: subprocess.CompletedProcess[bytes]) -> None:
    assert "house-chat" in str(answers(finished.stdout)[2])
    assert finished.returncode == 0, finished.stderr


# Descriptors


def set_nonblocking(descriptor: int) -> None:
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_NONBLOCK)


@pytest.mark.parametrize("descriptors", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_descriptors_that_do_not_block_are_made_to(descriptors: tuple[int, ...]) -> None:
    def prepare() -> None:
        for descriptor in descriptors:
            set_nonblocking(descriptor)

    # More than a pipe holds.
    lists = b"".join(frame("tools/list", number) for number in range(10, 30))
    finished = served(hello() + LIST + lists, preexec_fn=prepare)

    is_fine(finished)
    assert len(answers(finished.stdout)) == 22
    assert len(finished.stdout) > 100_000


def test_descriptors_that_are_made_nonblocking_while_it_serves_lose_nothing() -> None:
    ours, theirs = socket.socketpair()
    copy = theirs.dup()
    with ours, theirs, copy, ours.makefile("rb") as reader:
        process = subprocess.Popen(
            SERVE, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.DEVNULL, env=environment()
        )
        theirs.close()
        ours.sendall(hello())
        assert reader.readline()
        # The file description is shared with the server.
        set_nonblocking(copy.fileno())
        ours.sendall(b"".join(frame("tools/list", number) for number in range(10, 60)))
        lines = [json.loads(reader.readline()) for _ in range(50)]
        copy.close()
        ours.shutdown(socket.SHUT_WR)

        assert {line["id"] for line in lines} == set(range(10, 60))
        assert process.wait(timeout=60) == 0


@pytest.mark.parametrize("variables", [{}, {"PYTHONUNBUFFERED": "1"}])
def test_with_stderr_closed_it_serves_and_ends_as_ever(variables: dict[str, str]) -> None:
    is_fine(served(variables=environment(**variables), stderr=None, preexec_fn=lambda: os.close(2)))


def test_a_reader_of_stderr_that_goes_away_ends_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as file:
        is_fine(served(hello() + LIST + CALL, command=[*SERVE, "--log-level", "debug"], stderr=file))


@pytest.mark.parametrize("blocks", [True, False])
def test_a_stderr_that_nobody_reads_ends_nothing_and_holds_nothing_up(blocks: bool) -> None:
    reading, writing = os.pipe()
    set_nonblocking(writing)
    with suppress(BlockingIOError):
        while True:
            os.write(writing, b"x" * 512)
    os.set_blocking(writing, blocks)
    with os.fdopen(writing, "wb") as file, os.fdopen(reading, "rb"):
        is_fine(served(hello() + LIST + CALL, command=[*SERVE, "--log-level", "debug"], stderr=file))


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("words", [["models", "--demo"], ["models", "--config", "/nonexistent"], ["serve", "--demo"]])
def test_no_command_fails_for_a_closed_stream(closed: tuple[int, ...], words: list[str]) -> None:
    def prepare() -> None:
        for descriptor in closed:
            os.close(descriptor)

    finished = subprocess.run(
        [SCRIPT, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=environment(),
        preexec_fn=prepare,
        timeout=60,
        check=False,
    )

    assert finished.returncode == (2 if "/nonexistent" in words else 0)
    assert b"Traceback" not in finished.stderr


# Frames


@pytest.mark.parametrize("change", [lambda sent: b"\xef\xbb\xbf" + sent, lambda sent: sent.replace(b"\n", b"\r\n")])
def test_a_mark_before_the_first_frame_and_other_line_ends_are_passed_over(change: Callable[[bytes], bytes]) -> None:
    is_fine(served(change(hello() + LIST)))


def test_an_id_that_is_written_as_a_float_is_answered() -> None:
    finished = served(hello() + LIST + b'{"jsonrpc":"2.0","id":7.0,"method":"ping"}\n')

    assert answers(finished.stdout)[7]["result"] == {}


# Variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_PROPAGATORS", "xray"),
        ("OTEL_PROPAGATORS", "tracecontext,foo"),
        ("OTEL_PROPAGATORS", ""),
        ("OTEL_PROPAGATORS", ","),
        ("OTEL_PYTHON_CONTEXT", "foo"),
        ("OTEL_PYTHON_TRACER_PROVIDER", "no_such_provider"),
        ("OTEL_TRACES_EXPORTER", "otlp"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense"),
    ],
)
def test_what_opentelemetry_cannot_load_is_passed_over(name: str, value: str) -> None:
    finished = served(hello() + LIST + CALL, variables=environment(**{name: value}))

    is_fine(finished)
    assert "42" in str(answers(finished.stdout)[3])
    assert b"Traceback" not in finished.stderr
    assert (f"{name} names what is not installed".encode() in finished.stderr) is (
        name in ("OTEL_PROPAGATORS", "OTEL_PYTHON_CONTEXT", "OTEL_PYTHON_TRACER_PROVIDER") and value.strip(",") != ""
    )


TRACED = """
import sys
from opentelemetry import trace

class Tracer(trace.NoOpTracer):
    def start_as_current_span(self, name, *args, **options):
        print("span:", name, file=sys.stderr)
        return super().start_as_current_span(name, *args, **options)

class Provider(trace.NoOpTracerProvider):
    def get_tracer(self, *args, **options):
        return Tracer()

from blaxel_mcp.cli.main import main
trace.set_tracer_provider(Provider())
sys.exit(main())
"""


def test_a_program_that_sets_a_tracer_provider_gets_a_span_for_each_request() -> None:
    finished = served(hello() + LIST + CALL, command=[sys.executable, "-c", TRACED, "serve", "--demo"])

    is_fine(finished)
    for name in ("initialize", "tools/list", "tools/call house-chat"):
        assert f"span: {name}\n".encode() in finished.stderr


@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "nonsense"},
    ],
)
def test_text_goes_through_in_any_locale(variables: dict[str, str]) -> None:
    call = frame("tools/call", 3, name="house-chat", arguments={"prompt": "Grüße, 世界 😀"})
    finished = served(hello() + LIST + call, variables=environment(**variables))
    is_fine(finished)
    assert answers(finished.stdout)[3]["result"]

    data = json.dumps({"messages": [{"role": "user", "content": "Say 😀"}]})
    run = [SCRIPT, "run", "--demo", "house-chat", "--data", data]
    printed = subprocess.run(run, env=environment(**variables), capture_output=True, timeout=60, check=False)
    assert (printed.returncode, b"Traceback" in printed.stderr) == (0, False), printed.stderr
    assert "😀" in json.loads(printed.stdout)["choices"][0]["message"]["content"]


# No home


@pytest.mark.parametrize("value", ["/nonexistent", "/dev/null", "/proc", ""])
def test_without_a_home_that_can_be_written_it_serves(value: str) -> None:
    is_fine(served(hello() + LIST + CALL, variables=environment(HOME=value)))


NOBODY = 54321
"""A user id without an entry in the password file."""


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root can become another user")
@pytest.mark.parametrize("value", [None, "/root", "/nonexistent"])
def test_a_user_without_an_entry_in_the_password_file_is_served(value: str | None) -> None:
    def become() -> None:
        os.setgid(NOBODY)
        os.setuid(NOBODY)

    variables = {"PATH": os.environ["PATH"], **({} if value is None else {"HOME": value})}
    try:
        is_fine(served(hello() + LIST + CALL, variables=variables, preexec_fn=become, cwd="/"))
    except PermissionError:
        pytest.skip("this user cannot read the interpreter")


WITHOUT_ENTRY = """
import pwd, sys
def getpwuid(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = getpwuid
from blaxel_mcp.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("words", [[], ["--config", "config.toml"]])
def test_without_home_and_without_an_entry_it_is_served(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\ntimeout_seconds = 5\n", encoding="utf-8")
    command = [sys.executable, "-c", WITHOUT_ENTRY, "serve", "--demo", *words]

    is_fine(served(hello() + LIST + CALL, command=command, variables={"PATH": os.environ["PATH"]}, cwd=tmp_path))


@pytest.mark.parametrize(
    "words", [["models", "--demo"], ["usage"], ["doctor", "--demo"], ["install"], ["init", "--print"]]
)
def test_without_home_and_without_an_entry_no_command_fails_inside(words: list[str]) -> None:
    command = [sys.executable, "-c", WITHOUT_ENTRY, *words]
    finished = subprocess.run(command, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)

    for inside in (b"Traceback", b"internal error", b"The check itself failed"):
        assert inside not in finished.stdout + finished.stderr


def test_a_demo_does_not_connect_to_the_shared_state() -> None:
    with socket.create_server(("127.0.0.1", 0)) as engine:
        engine.settimeout(0)
        url = f"redis://127.0.0.1:{engine.getsockname()[1]}/0"
        shared = {"BLAXEL_MCP_SHARED__URL": url, "BLAXEL_MCP_SHARED__KEY": secrets.token_hex(32)}
        is_fine(served(hello() + LIST + CALL, variables=environment(**shared)))

        with pytest.raises(BlockingIOError):
            engine.accept()


@pytest.mark.parametrize(("table", "setting"), [("budget", "ledger"), ("audit", "file")])
@pytest.mark.parametrize("words", [["serve"], ["usage"]])
def test_a_file_in_a_home_directory_that_is_missing_is_a_mistake_in_the_settings(
    tmp_path: Path, words: list[str], table: str, setting: str
) -> None:
    loopback = (
        'workspace = "demo"\napi_key = "demo-key"\nrun_url = "http://127.0.0.1:9"\napi_url = "http://127.0.0.1:9"\n'
    )
    (tmp_path / "config.toml").write_text(f'{loopback}[{table}]\n{setting} = "~/file"\n', encoding="utf-8")
    command = [sys.executable, "-c", WITHOUT_ENTRY, *words, "--config", "config.toml"]
    finished = subprocess.run(
        command, env={"PATH": os.environ["PATH"]}, cwd=tmp_path, capture_output=True, check=False, input=b""
    )

    assert b"Traceback" not in finished.stderr
    if (words, table) != (["usage"], "audit"):
        assert finished.returncode == 2
        assert f"{table}.{setting} is '~/file', and this user has no home directory.".encode() in finished.stderr
