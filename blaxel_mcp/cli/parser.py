"""The command line: every command with its options, its help and its examples."""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from blaxel_mcp import __version__
from blaxel_mcp.core.logs import LEVELS, LogFormat

METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")

_HTTP_OPTIONS = ("--host", "--port", "--workers")
"""The options of `serve` that stdio has no use for."""

_COMMON_DEFAULTS = {"config": None, "workspace": None, "log_level": "warning", "log_format": "text", "demo": False}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; without a command, it selects `serve`."""
    parser = argparse.ArgumentParser(
        prog="blaxel-mcp",
        description="An MCP server that gives an agent one tool per Blaxel model API.",
        epilog="`blaxel-mcp COMMAND --help` shows a command's options and examples. "
        "Without a command, `blaxel-mcp` runs `serve`.",
        parents=[_common_options()],
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"blaxel-mcp {__version__}", help="print the version")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    common = _common_options()
    for command in COMMANDS:
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=f"{command.summary[0].upper()}{command.summary[1:]}.\n\n{command.description}",
            epilog="\n".join(("examples:", *(f"  {example}" for example in command.examples))),
            parents=[common],
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        for name, keywords in command.options:
            subparser.add_argument(name, **keywords)
    parser.set_defaults(command="serve", transport="stdio", **_COMMON_DEFAULTS)
    return parser


def parse_command_line(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line; wrong ones end the process with exit code 2.

    Args:
        argv: The words after the program's name; None for those of this process. Options of `serve` need no `serve`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    is_serve = any(word.partition("=")[0] in ("--transport", *_HTTP_OPTIONS) for word in words)
    if is_serve and {command.name for command in COMMANDS}.isdisjoint(words):
        words.insert(0, "serve")
    parser = build_parser()
    options = parser.parse_args(words)
    if options.command == "serve":
        set_options = [name for name in _HTTP_OPTIONS if getattr(options, name.removeprefix("--"), None) is not None]
        if set_options and options.transport != "http":
            parser.error(f"{set_options[0]} is an option of the HTTP transport: add `--transport http`")
        options.workers = getattr(options, "workers", None) or 1
    return options


def _common_options() -> argparse.ArgumentParser:
    """Return the options that may precede or follow a command.

    They have no defaults: the default of one after the command would replace the value of one before it.
    """
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="settings file (default: BLAXEL_MCP_CONFIG or the user's own)")
    group.add_argument("--workspace", metavar="W", help="workspace (default: from the settings or `bl login`)")
    group.add_argument("--log-level", choices=LEVELS, help="minimum log level on stderr (default: warning)")
    group.add_argument("--log-format", choices=get_args(LogFormat), help="log format on stderr (default: text)")
    group.add_argument("--demo", action="store_true", help="use an emulator on this machine instead of Blaxel")
    return options


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps each paragraph for itself and leaves indented lines, the examples, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = super()._fill_text
        return "\n".join(line if line.startswith(" ") else wrap(line, width, indent) for line in text.splitlines())


_Option = tuple[str, dict[str, Any]]
"""The name of an option or argument, and the keywords for argparse's `add_argument`."""


def _option(name: str, metavar: str | None, description: str, **keywords: Any) -> _Option:
    return name, {"metavar": metavar, "help": description, **keywords}


def _flag(name: str, description: str) -> _Option:
    return name, {"action": "store_true", "help": description}


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range, both ends included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"must be a whole number from {lowest} to {highest}, not {text!r}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError("must be more than 0 seconds")
    return seconds


_port = _whole_number(0, 65_535)
_JSON = _flag("--json", "print JSON for programs (default: text for people)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the command line.

    Attributes:
        name: The command, and the function and module in `blaxel_mcp.cli` that run it.
        summary: What it does, in one line; begins in lower case and has no full stop.
        description: The details, in one paragraph.
        examples: Command lines that work when pasted.
        options: Its own options, in addition to the common ones.
    """

    name: str
    summary: str
    description: str
    examples: tuple[str, ...]
    options: tuple[_Option, ...] = ()


COMMANDS = (
    Command(
        name="serve",
        summary="run the MCP server on stdio (the default) or over HTTP",
        description="On stdio, the server reads MCP messages from stdin until the client closes it. With --transport "
        "http, it serves streamable HTTP at /mcp until SIGTERM or SIGINT. Without credentials it still starts and "
        "lists its tools; each call then reports which credentials are missing.",
        examples=(
            "blaxel-mcp",
            "blaxel-mcp serve --demo --log-level info",
            "blaxel-mcp serve --transport http --port 8000",
        ),
        options=(
            _option("--transport", None, "transport (default: stdio)", choices=("stdio", "http"), default="stdio"),
            _option("--host", "H", "HTTP: address to listen on (default: http.host, 127.0.0.1)"),
            _option(
                "--port", "N", "HTTP: port to listen on; 0 takes any free one (default: http.port, 8000)", type=_port
            ),
            _option("--workers", "N", "HTTP: number of worker processes (default: 1)", type=_whole_number(1, 64)),
        ),
    ),
    Command(
        name="run",
        summary="send one request to a model and print the answer",
        description="The answer goes to stdout: JSON as text, binary data unchanged, or into a new file in the current "
        "folder if stdout is a terminal. Notes about the call go to stderr. Ctrl-C stops the call at Blaxel too.",
        examples=(
            'blaxel-mcp run house-chat --demo --data \'{"messages": [{"role": "user", "content": "What is 6 * 7?"}]}\'',
            'blaxel-mcp run house-embed --demo --data \'{"input": "one key, many models"}\'',
            'echo \'{"inputs": "a lovely day"}\' | blaxel-mcp run house-classifier --demo --data -',
        ),
        options=(
            _option("model", "MODEL", "name of the model API in the workspace"),
            _option(
                "--path", "P", "sub-endpoint, such as /v1/embeddings; / is the base endpoint (default: the model's own)"
            ),
            _option(
                "--data", "JSON|@FILE|-", "request body: JSON, a file or stdin (default: {} with POST, otherwise none)"
            ),
            _option(
                "--method",
                "M",
                "HTTP method: POST, GET, PUT, PATCH or DELETE (default: POST)",
                type=str.upper,
                default="POST",
                choices=METHODS,
            ),
            _option("--param", "K=V", "query parameter; repeatable (default: none)", action="append", default=[]),
            _flag("--stream", "print the text as it arrives (default: the JSON of the whole answer)"),
            _option(
                "--timeout",
                "S",
                "deadline of the whole call in seconds (default: limits.timeout_seconds, 600)",
                type=_seconds,
            ),
        ),
    ),
    Command(
        name="playground",
        summary="open a page on this machine to try models by hand",
        description="The page is a client of this server: it shows what an agent would get, with the cost of each "
        "call, and the request as curl, bl, Python and MCP. Its link works once, for this machine only. Calls are "
        "billed, except with --demo.",
        examples=("blaxel-mcp playground", "blaxel-mcp playground --demo", "blaxel-mcp playground --no-open"),
        options=(
            _option("--port", "N", "port to listen on; 0 takes any free one (default: 0)", default=0, type=_port),
            _flag("--no-open", "print the link without opening a browser"),
        ),
    ),
    Command(
        name="models",
        summary="list the models and how to call each",
        description="Shows the name, tool, API, path and status of each configured or discovered model, together with "
        "the workspace and the source of the credentials.",
        examples=("blaxel-mcp models", "blaxel-mcp models --demo", "blaxel-mcp models --json"),
        options=(_JSON,),
    ),
    Command(
        name="init",
        summary="write a first settings file with the models of the workspace",
        description="Asks Blaxel which models the workspace has and writes an entry for each. No credentials go into "
        "the file. If Blaxel cannot be asked, the file is written with every setting commented out.",
        examples=("blaxel-mcp init --print", "blaxel-mcp init", "blaxel-mcp init --config blaxel.toml --force"),
        options=(
            _flag("--force", "replace an existing file and keep a backup of it"),
            _flag("--print", "print the file instead of writing it"),
        ),
    ),
    Command(
        name="install",
        summary="add the server to an MCP client's settings",
        description="Adds one entry to the client's own settings file, keeps the rest of the file as it is, and keeps "
        "a backup. Without CLIENT, lists the known clients and whether the server is in their settings.",
        examples=(
            "blaxel-mcp install",
            "blaxel-mcp install claude-code --print",
            "blaxel-mcp install cursor --demo --name blaxel-demo",
            "blaxel-mcp install cursor --name blaxel-demo --remove",
        ),
        options=(
            _option("client", "CLIENT", "client to change (default: list the known clients)", nargs="?"),
            _option("--name", "N", "name of the entry (default: blaxel)", default="blaxel"),
            _option("--file", "FILE", "settings file of the client (default: the client's usual one)"),
            _flag("--with-key", "write the API key into that file, in clear text"),
            _flag("--print", "print the entry instead of writing it"),
            _flag("--remove", "remove the entry instead of adding it"),
        ),
    ),
    Command(
        name="doctor",
        summary="check the whole set-up; every failed check comes with a fix",
        description="Checks the settings, the credentials, the network, each model, the server itself and its entries "
        "in MCP clients. Exits with 1 if a check failed.",
        examples=("blaxel-mcp doctor", "blaxel-mcp doctor --demo --call", "blaxel-mcp doctor --json"),
        options=(
            _flag("--call", "also call each model, which costs money"),
            _JSON,
        ),
    ),
    Command(
        name="usage",
        summary="show calls, tokens and USD per day and model, against the budget",
        description="Reads the ledger that every process of this user shares. Days begin at midnight UTC.",
        examples=("blaxel-mcp usage", "blaxel-mcp usage --days 30", "blaxel-mcp usage --json"),
        options=(
            _option("--days", "N", "number of days up to today (default: 7)", type=_whole_number(1, 400), default=7),
            _JSON,
        ),
    ),
    Command(
        name="demo",
        summary="take a tour that needs no account",
        description="Starts an emulator of Blaxel on this machine, starts the server against it, calls several tools "
        "and prints every request and response.",
        examples=("blaxel-mcp demo", "blaxel-mcp demo > tour.txt"),
    ),
    Command(
        name="emulator",
        summary="run an emulator of Blaxel's model APIs on this machine",
        description="Prints the variables that point Blaxel clients to it, and runs until SIGTERM or SIGINT. With "
        "--upstream, a local server such as Ollama, llama.cpp or vLLM answers the chat and embedding calls.",
        examples=(
            "blaxel-mcp emulator",
            "blaxel-mcp emulator --port 8400",
            "blaxel-mcp emulator --upstream http://127.0.0.1:11434",
        ),
        options=(
            _option("--port", "N", "port to listen on; 0 takes any free one (default: 0)", default=0, type=_port),
            _option(
                "--upstream",
                "URL",
                "OpenAI-compatible server that answers chat and embedding calls (default: the emulator itself)",
            ),
        ),
    ),
)
