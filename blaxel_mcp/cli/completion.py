"""`blaxel-mcp completion`: scripts with which shells complete commands, options, models and clients."""

import argparse
from typing import Any, cast

import shtab

from blaxel_mcp.cli.console import print_text
from blaxel_mcp.cli.parser import build_parser, subparsers_of
from blaxel_mcp.cli.settings import load
from blaxel_mcp.core.process import ExitCode
from blaxel_mcp.inference.runtime import build_runtime
from blaxel_mcp.setup.install.clients import CLIENTS

_LISTED = "blaxel-mcp completion --models 2>/dev/null"
_MODELS = {"bash": "_blaxel_mcp_models", "zsh": "_blaxel_mcp_models", "fish": f"({_LISTED})"}
"""What lists models in each shell: a function, or a command; tcsh has none."""

_PREAMBLE = {
    "bash": f'_blaxel_mcp_models() {{ compgen -W "$({_LISTED})" -- "$1"; }}',
    "zsh": f'_blaxel_mcp_models() {{ local -a names=(${{(f)"$({_LISTED})"}}); compadd -a names; }}',
}


def completion(options: argparse.Namespace) -> int:
    """Print the script of a shell, or with `--models` the names of the models that are known without a network."""
    if options.models:
        runtime = build_runtime(load(options))
        runtime.discovery.load_cache()
        print_text("\n".join(runtime.discovery.catalog.names))
        return ExitCode.OK
    parser = build_parser()
    for command in (parser, *subparsers_of(parser).values()):
        for action in cast("list[Any]", command._actions):  # noqa: SLF001 - argparse has no other way
            if action.dest in ("model", "words") and "MODEL" in str(action.metavar):
                action.complete = _MODELS
            elif action.dest == "client":
                action.choices = [client.name for client in CLIENTS]
            elif "FILE" in str(action.metavar):
                action.complete = shtab.FILE
    print_text(shtab.complete(parser, options.shell, preamble=_PREAMBLE.get(options.shell, "")))
    return ExitCode.OK
