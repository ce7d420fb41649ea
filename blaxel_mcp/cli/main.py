"""The command line: what can be said, which command it means, and how the process ends."""

import argparse
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, get_args

from blaxel_mcp import __version__
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.logs import LEVELS, LogFormat, configure_logging
from blaxel_mcp.server.stdio.standard_streams import Wire

FAILED, USAGE, INTERRUPTED = 1, 2, 130
"""Exit codes: the request or a check failed; usage or settings are wrong; interrupted."""

_USAGE_ERRORS = ("configuration_error", "invalid_arguments")

Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the process's exit code.

    Args:
        argv: The words after the program's name; those of the process by default.
    """
    options = build_parser().parse_args(argv)
    configure_logging(options.log_level, options.log_format)
    try:
        return _run(options)
    except BlaxelError as error:
        print(f"blaxel-mcp: {error.code}: {error}", file=sys.stderr)
        return USAGE if error.code in _USAGE_ERRORS else FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output had enough, as `head` does; Python would flush once more at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception:
        logging.getLogger(__name__).exception("blaxel-mcp failed in a way that it did not expect")
        return FAILED


def _run(options: argparse.Namespace) -> int:
    name = options.command or "serve"
    if name == "serve" and getattr(options, "transport", "stdio") == "stdio":
        # Before the server's own imports: a library that prints while it is imported spoils no frame.
        options.wire = Wire()
    # Each command is imported when it is asked for: every client starts `serve`, and waits for it. What the
    # imports make is there to stay, and looking through it for garbage takes a twentieth of the start.
    gc.disable()
    command: Command = getattr(import_module(f"blaxel_mcp.cli.{name}"), name)
    gc.freeze()
    gc.enable()
    try:
        return command(options)
    except BaseExceptionGroup as group:
        # A task group wraps what its body raises, even a single exception. The first one is the cause.
        raise _first(group) from group


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; no command means `serve`."""
    parser = argparse.ArgumentParser(
        prog="blaxel-mcp",
        description="An MCP server that gives an agent one tool per Blaxel model API.",
        parents=[_common_options()],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"blaxel-mcp {__version__}")
    parser.set_defaults(**_COMMON_DEFAULTS)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser


def _common_options() -> argparse.ArgumentParser:
    """The options that stand before or after a command; there, a default of theirs would undo what stood before."""
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="the settings file")
    group.add_argument("--workspace", metavar="W", help="the workspace")
    group.add_argument("--log-level", choices=LEVELS, help="the least that goes to stderr (warning)")
    group.add_argument("--log-format", choices=get_args(LogFormat), help="how that is written (text)")
    group.add_argument("--demo", action="store_true", help="use an emulator on this machine in Blaxel's place")
    return options


_COMMON_DEFAULTS = {"config": None, "workspace": None, "log_level": "warning", "log_format": "text", "demo": False}

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - it has no public name


def _add(commands: "_Commands", name: str, text: str) -> argparse.ArgumentParser:
    return commands.add_parser(name, help=text, description=text, parents=[_common_options()], allow_abbrev=False)


def _add_serve(commands: "_Commands") -> None:
    parser = _add(commands, "serve", "serve MCP on stdin and stdout (the default), or over HTTP")
    parser.add_argument("--transport", choices=("stdio", "http"), default="stdio", help="what to serve over (stdio)")
    parser.add_argument("--host", metavar="H", help="for http: the address to listen on (127.0.0.1)")
    parser.add_argument("--port", metavar="N", type=_port, help="for http: the port (8000); 0 takes any free one")
    parser.add_argument("--workers", metavar="N", type=_workers, default=1, help="for http: how many processes (1)")


def _add_run(commands: "_Commands") -> None:
    parser = _add(commands, "run", "send one request to a model and print the answer")
    parser.add_argument("model", metavar="MODEL", help="the model API's name")
    parser.add_argument("--path", metavar="P", help="the sub-endpoint; the model's own if left out, / for its base")
    parser.add_argument("--data", metavar="JSON|@FILE|-", help="the request body")
    parser.add_argument("--method", metavar="M", type=str.upper, default="POST", choices=METHODS, help="HTTP method")
    parser.add_argument("--param", metavar="K=V", action="append", default=[], help="a query parameter; repeatable")
    parser.add_argument("--stream", action="store_true", help="print the text as it comes, not the answer's JSON")
    parser.add_argument("--timeout", metavar="S", type=_seconds, help="seconds that the whole call may take")


def _add_models(commands: "_Commands") -> None:
    parser = _add(commands, "models", "list the models and how each is called")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_doctor(commands: "_Commands") -> None:
    parser = _add(commands, "doctor", "check the whole set-up; each failure ends in what mends it")
    parser.add_argument("--call", action="store_true", help="call each model too, which costs money")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_install(commands: "_Commands") -> None:
    parser = _add(commands, "install", "add the server to an MCP client's own settings")
    parser.add_argument("client", metavar="CLIENT", nargs="?", help="which client; all that are known if left out")
    parser.add_argument("--name", metavar="N", default="blaxel", help="the server's name there (blaxel)")
    parser.add_argument("--file", metavar="FILE", help="the client's settings file, where it is not the usual one")
    parser.add_argument("--with-key", action="store_true", help="write the key into that file")
    parser.add_argument("--print", action="store_true", help="print what would be written, and write nothing")
    parser.add_argument("--remove", action="store_true", help="take the server out again")


def _add_init(commands: "_Commands") -> None:
    parser = _add(commands, "init", "write a first settings file, asking the workspace what there is")
    parser.add_argument("--force", action="store_true", help="replace a file that is there, which is kept beside it")
    parser.add_argument("--print", action="store_true", help="print it, and write nothing")


def _add_usage(commands: "_Commands") -> None:
    parser = _add(commands, "usage", "say what calls have taken, per day and model, against the budget")
    parser.add_argument("--days", metavar="N", type=_days, default=7, help="how many days, today included (7)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def _add_demo(commands: "_Commands") -> None:
    _add(commands, "demo", "a tour that needs no account: emulator, server and a client, with what went over")


def _add_emulator(commands: "_Commands") -> None:
    parser = _add(commands, "emulator", "serve the emulated platform alone")
    parser.add_argument("--port", metavar="N", type=int, default=0, help="the port; any free one if left out")
    parser.add_argument("--upstream", metavar="URL", help="an OpenAI-compatible server that answers in its place")


_COMMANDS = (
    _add_serve,
    _add_run,
    _add_models,
    _add_init,
    _add_install,
    _add_doctor,
    _add_usage,
    _add_demo,
    _add_emulator,
)
_MOST_DAYS, _MOST_WORKERS, _LAST_PORT = 400, 64, 65_535
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")


def _days(text: str) -> int:
    days = int(text)
    if not 0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"must be 1 to {_MOST_DAYS} days")
    return days


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"must be 0 to {_LAST_PORT}")
    return port


def _workers(text: str) -> int:
    workers = int(text)
    if not 0 < workers <= _MOST_WORKERS:
        raise argparse.ArgumentTypeError(f"must be 1 to {_MOST_WORKERS}")
    return workers


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0 seconds")
    return seconds
