"""The command line: every command with its options, its help and its examples."""

import argparse
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn, get_args

from blaxel_mcp import __version__
from blaxel_mcp.core.logs import LEVELS, LogFormat
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.suggestions import closest

SHELLS = ("bash", "zsh", "tcsh")
METHODS = ("POST", "GET", "PUT", "PATCH", "DELETE")

_HTTP_OPTIONS = ("--host", "--port", "--workers")
"""The options of `serve` that stdio has no use for."""

_COMMON_DEFAULTS = {"config": None, "workspace": None, "log_level": "warning", "log_format": "text", "demo": False}


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; without a command, it selects `serve`."""
    parser = _Parser(
        prog="blaxel-mcp",
        description="An MCP server that gives an agent one tool per Blaxel model API.",
        epilog="`blaxel-mcp COMMAND --help` shows a command's options and examples. Without a command, `blaxel-mcp` "
        "runs `serve`.\n\nexamples:\n  blaxel-mcp demo\n  blaxel-mcp install claude-code\n"
        '  blaxel-mcp run house-chat --demo "What is 17 * 23?"\n  blaxel-mcp doctor',
        parents=[_common_options()],
        formatter_class=_HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", "-V", action="version", version=f"blaxel-mcp {__version__}", help="print the version"
    )
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
        for names, keywords in command.options:
            subparser.add_argument(*names, **keywords)
    parser.set_defaults(command="serve", transport="stdio", **_COMMON_DEFAULTS)
    return parser


def parse_command_line(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of a command line; wrong ones end the process with exit code 2.

    Args:
        argv: The words after the program's name; None for those of this process. Options of `serve` need no `serve`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
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


def _common_options() -> "_Parser":
    """Return the options that may precede or follow a command.

    They have no defaults: the default of one after the command would replace the value of one before it.
    """
    options = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("common options")
    group.add_argument("--config", metavar="FILE", help="settings file (default: BLAXEL_MCP_CONFIG or the user's own)")
    group.add_argument("--workspace", metavar="W", help="workspace (default: from the settings or `bl login`)")
    group.add_argument("--log-level", choices=LEVELS, help="minimum log level on stderr (default: warning)")
    group.add_argument("--log-format", choices=get_args(LogFormat), help="log format on stderr (default: text)")
    group.add_argument("--demo", action="store_true", help="use an emulator on this machine instead of Blaxel")
    return options


class _Parser(argparse.ArgumentParser):
    """Lets options stand between arguments, and suggests the command or option that was probably meant."""

    _is_inside = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the words of a command in any order: argparse itself wants arguments after an option in one piece."""
        if self._is_inside or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._is_inside = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_inside = False

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse the command line; an unknown option is reported with the usage of its command."""
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            command = subparsers_of(self)[options.command]
            names = [name for action in command._actions for name in action.option_strings]  # noqa: SLF001 - no other way
            guess = closest(unknown[0].partition("=")[0], names) if unknown[0].startswith("-") else None
            hint = f" (did you mean {guess}?)" if guess else ""
            if not unknown[0].startswith("-") and options.command == "run":
                hint = " (put the question in quotes)"
            command.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return options

    def error(self, message: str) -> NoReturn:
        """End with the error and the command that shows the help, without the usage; name the nearest command."""
        if unknown := re.match(r"argument COMMAND: invalid choice: '(.*)' \(choose from", message):
            guess = closest(unknown[1], [command.name for command in COMMANDS])
            message = f"unknown command {unknown[1]!r}" + (f" (did you mean `blaxel-mcp {guess}`?)" if guess else "")
        self.exit(ExitCode.USAGE, f"{self.prog}: error: {message}\nTry `{self.prog} --help`.\n")


def subparsers_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    (action,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - argparse has no other way
    parsers: Mapping[str, argparse.ArgumentParser] = action.choices
    return parsers


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps each paragraph for itself and leaves indented lines, the examples, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = super()._fill_text
        return "\n".join(line if line.startswith(" ") else wrap(line, width, indent) for line in text.splitlines())


_Option = tuple[tuple[str, ...], dict[str, Any]]
"""The names of an option or argument, and the keywords for argparse's `add_argument`."""


def _option(names: str, metavar: str | None, description: str, **keywords: Any) -> _Option:
    return tuple(names.split()), {"metavar": metavar, "help": description, **keywords}


def _flag(name: str, description: str) -> _Option:
    return (name,), {"action": "store_true", "help": description}


def _repeatable(names: str, metavar: str, description: str) -> _Option:
    return _option(names, metavar, f"{description}; repeatable (default: none)", action="append", default=[])


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range, both ends included."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not lowest <= int(text) <= highest:
            raise argparse.ArgumentTypeError(f"must be a whole number from {lowest} to {highest}, not {text!r}")
        return int(text)

    return parse


def _seconds(text: str) -> float:
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < float("inf"):
            return seconds
    raise argparse.ArgumentTypeError(f"must be a number of seconds above 0, not {text!r}")


_port = _whole_number(0, 65_535)
_QUESTION = (
    _option("--system -s", "TEXT", "system instructions (default: none)"),
    _repeatable("--attach -a", "FILE", "file to send: a medium as it is, others as text"),
    _repeatable("--option -o", "NAME=VALUE", "another argument of the model's tool, such as max_tokens=200"),
)
_TIMEOUT = _option(
    "--timeout", "S", "deadline of a whole call in seconds (default: limits.timeout_seconds, 600)", type=_seconds
)
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
        summary="ask a model, or send it any request",
        description="With a text as argument, on stdin or both, asks the model's own tool: stdin is the material, the "
        "argument the question. A terminal gets the text as it is written; a picture, a sound or a vector is saved as "
        "a new file in the current folder. A pipe gets the text, or a single medium's bytes. With --data, sends that "
        "body and prints the endpoint's JSON. Ctrl-C stops the call at Blaxel too.",
        examples=(
            'blaxel-mcp run house-chat --demo "What is 17 * 23?"',
            'echo "The quick brown fox" | blaxel-mcp run house-chat --demo "Count the words in:"',
            'blaxel-mcp run house-chat --demo --dry-run "What is 17 * 23?"',
            'blaxel-mcp run house-embed --demo --data \'{"input": "one key, many models"}\'',
        ),
        options=(
            _option("model", "MODEL", "name of the model API in the workspace"),
            _option("text", "TEXT", "the question (default: the text on stdin)", nargs="?"),
            *_QUESTION,
            _flag("--json", "print the endpoint's JSON (default: the text of the answer)"),
            _option("--save", "FILE", "file for the answer (default: stdout, or a new file for media and vectors)"),
            _option(
                "--path", "P", "sub-endpoint, such as /v1/embeddings; / is the base endpoint (default: the model's own)"
            ),
            _option(
                "--data -d",
                "JSON|@FILE|-",
                "request body: JSON, a file or stdin (default: {} with POST, otherwise none)",
            ),
            _option("--file -f", "FILE", "file with the request body as JSON or YAML (default: none)"),
            _option("--upload-file", "FILE", "file that is the whole request body (default: none)"),
            _option(
                "--method",
                "M",
                "HTTP method: POST, GET, PUT, PATCH or DELETE (default: POST)",
                type=str.upper,
                default="POST",
                choices=METHODS,
            ),
            _repeatable("--param --params", "K=V", "query parameter"),
            _repeatable("--header", "'K: V'", "request header"),
            _flag("--stream", "print the text as it arrives (default: only on a terminal and without --data)"),
            _TIMEOUT,
            _flag("--dry-run", "print the request, its estimated cost and the budget, and send nothing"),
            _flag("--debug", "print the request and the headers of the response to stderr"),
        ),
    ),
    Command(
        name="compare",
        summary="ask several models the same question",
        description="The answers stand side by side on a terminal and one under the other in a pipe, each with its "
        "tokens, cost and time. The budget must have room for all of them, otherwise none is asked. With the question "
        "on stdin, name the models only.",
        examples=(
            'blaxel-mcp compare house-chat house-claude --demo "What is 17 * 23?"',
            'echo "What is 17 * 23?" | blaxel-mcp compare house-chat house-claude --demo',
        ),
        options=(
            _option("words", "MODEL", "two or more models, then the question", nargs="+"),
            *_QUESTION,
            _flag("--json", "print JSON for programs, with the receipt of each call (default: text for people)"),
            _TIMEOUT,
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
        "the workspace and the source of the credentials. Exits with 1 if the workspace cannot be read.",
        examples=("blaxel-mcp models", "blaxel-mcp models --demo", "blaxel-mcp models --json"),
        options=(_JSON,),
    ),
    Command(
        name="init",
        summary="write a first settings file with the models of the workspace",
        description="Asks Blaxel which models the workspace has and writes an entry for each. No credentials go into "
        "the file. If the workspace cannot be read, nothing is written and the exit code is 1.",
        examples=("blaxel-mcp init --print", "blaxel-mcp init", "blaxel-mcp init --config blaxel.toml --force"),
        options=(
            _flag("--empty", "write every setting commented out, without asking Blaxel"),
            _flag("--force", "replace an existing file and keep a backup of it"),
            _flag("--print", "print the file instead of writing it"),
        ),
    ),
    Command(
        name="install",
        summary="add the server to an MCP client's settings",
        description="Adds one entry to the client's own settings file, keeps the rest of the file as it is, and keeps "
        "a backup. Without CLIENT, lists the known clients and whether the server is in their settings. The clients "
        "are claude-desktop, claude-code, cursor, vscode, windsurf, zed, codex, gemini-cli and cline.",
        examples=(
            "blaxel-mcp install claude-code --print",
            "blaxel-mcp install --all",
            "blaxel-mcp install cursor --demo --name blaxel-demo",
            "blaxel-mcp install cursor --name blaxel-demo --remove",
        ),
        options=(
            _option("client", "CLIENT", "client to change (default: list the known clients)", nargs="?"),
            _flag("--all", "change every client that is found on this machine"),
            _option("--name", "N", "name of the entry (default: blaxel-models)"),
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
        summary="show calls, tokens and USD per day, model and client, against the budget",
        description="Reads the ledger that every process of this user shares. Days begin at midnight UTC.",
        examples=("blaxel-mcp usage", "blaxel-mcp usage --days 30", "blaxel-mcp usage --json"),
        options=(
            _option("--days", "N", "number of days up to today (default: 7)", type=_whole_number(1, 400), default=7),
            _JSON,
        ),
    ),
    Command(
        name="calls",
        summary="list the last calls, or show the receipt of one",
        description="Reads the ledger, which has the receipts of the last 1,000 calls of every process of this user. "
        "Questions and answers are not in it.",
        examples=("blaxel-mcp calls", "blaxel-mcp calls --last 3 --json", "blaxel-mcp calls show call_AbC123"),
        options=(
            _option("words", "show ID", "show the receipt of one call (default: list the last ones)", nargs="*"),
            _option("--last", "N", "number of calls (default: 20)", type=_whole_number(1, 1000), default=20),
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
        "--upstream, a local server such as Ollama, llama.cpp or vLLM answers the chat and embedding calls. Any model "
        "called `fault-...` fails in the way that its name says, so that you can try your agent against it.",
        examples=(
            "blaxel-mcp emulator",
            "blaxel-mcp emulator --port 8400",
            "blaxel-mcp emulator --list-faults",
            "blaxel-mcp emulator --upstream http://127.0.0.1:11434",
        ),
        options=(
            _option("--port", "N", "port to listen on; 0 takes any free one (default: 0)", default=0, type=_port),
            _option(
                "--upstream",
                "URL",
                "OpenAI-compatible server that answers chat and embedding calls (default: the emulator itself)",
            ),
            _flag("--list-faults", "list the models that fail on purpose, and end"),
        ),
    ),
    Command(
        name="completion",
        summary="print the completion script of a shell",
        description="The script completes commands, options and clients, and in bash and zsh also models: those of the "
        "settings file and of the last list from Blaxel.",
        examples=(
            "blaxel-mcp completion bash >> ~/.bash_completion",
            'blaxel-mcp completion zsh > "${fpath[1]}/_blaxel-mcp"',
        ),
        options=(
            _option("shell", None, "shell (default: bash)", nargs="?", default="bash", choices=SHELLS),
            _flag("--models", "print the names of the models that are known without asking Blaxel"),
        ),
    ),
)
