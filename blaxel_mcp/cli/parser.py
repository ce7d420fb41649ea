"""The parser of the command line; `cli.commands` lists what it accepts."""

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, get_args

from blaxel_mcp import __version__
from blaxel_mcp.cli.commands import COMMANDS
from blaxel_mcp.core.logs import LEVELS, LogFormat
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.core.suggestions import closest

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
    """Return the options of a command line, by default of this process; wrong ones end it with exit code 2."""
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
