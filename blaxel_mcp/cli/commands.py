"""Every command with its options, its help and its examples."""

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from blaxel_mcp.settings.placeholders import is_unset

_Option = tuple[tuple[str, ...], dict[str, Any]]
"""The names of an option or argument, and the keywords for argparse's `add_argument`."""


def _option(names: str, metavar: str | None, description: str, **keywords: Any) -> _Option:
    if metavar == "FILE":
        keywords["type"] = _file
    return tuple(names.split()), {"metavar": metavar, "help": description, **keywords}


def _flag(name: str, description: str) -> _Option:
    return (name,), {"action": "store_true", "help": description}


def _repeatable(names: str, metavar: str, description: str) -> _Option:
    return _option(names, metavar, f"{description}; repeatable (default: none)", action="append", default=[])


def _file(text: str) -> str:
    # `--file "$FILE"` of a script must not mean the default file when the variable is not set.
    if is_unset(text):
        raise argparse.ArgumentTypeError(f"must name a file, not {text!r}")
    return text


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    """Return a parser of whole numbers in a range, both ends included."""

    def parse(text: str) -> int:
        # Python converts no more than 4,300 digits.
        with suppress(ValueError):
            if text.isdecimal() and lowest <= int(text) <= highest:
                return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {lowest} to {highest}, not {text!r}")

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

_SHELLS = ("bash", "zsh", "fish", "tcsh")

_JSON = _flag("--json", "print JSON for programs (default: text for people)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSpec:
    """One command of the command line, and its own options, in addition to the common ones.

    `name` is also that of the function and of the module in `blaxel_mcp.cli` that run it. `summary` is one line without
    a full stop, `description` one paragraph, and the `examples` work when pasted.
    """

    name: str
    summary: str
    description: str
    examples: tuple[str, ...]
    options: tuple[_Option, ...] = ()


COMMANDS = (
    CommandSpec(
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
    CommandSpec(
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
                choices=("POST", "GET", "PUT", "PATCH", "DELETE"),
            ),
            _repeatable("--param --params", "K=V", "query parameter"),
            _repeatable("--header", "'K: V'", "request header"),
            _flag("--stream", "print the text as it arrives (default: only on a terminal and without --data)"),
            _TIMEOUT,
            _flag("--dry-run", "print the request, its estimated cost and the budget, and send nothing"),
            _flag("--debug", "print the request and the headers of the response to stderr"),
        ),
    ),
    CommandSpec(
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
    CommandSpec(
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
    CommandSpec(
        name="models",
        summary="list the models and how to call each",
        description="Shows the name, tool, API, path and status of each configured or discovered model, together with "
        "the workspace and the source of the credentials. Exits with 1 if the workspace cannot be read.",
        examples=("blaxel-mcp models", "blaxel-mcp models --demo", "blaxel-mcp models --json"),
        options=(_JSON,),
    ),
    CommandSpec(
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
    CommandSpec(
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
    CommandSpec(
        name="doctor",
        summary="check the whole set-up; every failed check comes with a fix",
        description="Checks the settings, the credentials, the network, each model, the server itself and its entries "
        "in MCP clients. Exits with 1 if a check failed.",
        examples=("blaxel-mcp doctor", "blaxel-mcp doctor --demo --call", "blaxel-mcp doctor --json"),
        options=(_flag("--call", "also call each model, which costs money"), _JSON),
    ),
    CommandSpec(
        name="usage",
        summary="show calls, tokens and USD per day, model and client, against the budget",
        description="Reads the ledger that every process of this user shares. Days begin at midnight UTC.",
        examples=("blaxel-mcp usage", "blaxel-mcp usage --days 30", "blaxel-mcp usage --json"),
        options=(
            _option("--days", "N", "number of days up to today (default: 7)", type=_whole_number(1, 400), default=7),
            _JSON,
        ),
    ),
    CommandSpec(
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
    CommandSpec(
        name="demo",
        summary="take a tour that needs no account",
        description="Starts an emulator of Blaxel on this machine, starts the server against it, calls several tools "
        "and prints every request and response.",
        examples=("blaxel-mcp demo", "blaxel-mcp demo > tour.txt"),
    ),
    CommandSpec(
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
    CommandSpec(
        name="completion",
        summary="print the completion script of a shell",
        description="The script completes commands, options and clients, and except in tcsh also models: those of the "
        "settings file and of the last list from Blaxel.",
        examples=(
            "blaxel-mcp completion bash >> ~/.bash_completion",
            'blaxel-mcp completion zsh > "${fpath[1]}/_blaxel-mcp"',
            "blaxel-mcp completion fish > ~/.config/fish/completions/blaxel-mcp.fish",
        ),
        options=(
            _option("shell", None, "shell (default: bash)", nargs="?", default="bash", choices=_SHELLS),
            _flag("--models", "print the names of the models that are known without asking Blaxel"),
        ),
    ),
)
