"""`blaxel-mcp emulator`: the stand-in for the platform, alone."""

import argparse
import signal
from functools import partial
from urllib.parse import urlsplit

import anyio

from blaxel_mcp.cli.demo_settings import DEMO_KEY, DEMO_WORKSPACE
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import run_emulator
from blaxel_mcp.emulator.openai_server import OpenAIServer


def emulator(options: argparse.Namespace) -> int:
    """Serve until interrupted.

    Raises:
        ConfigurationError: the port is taken, or the upstream is not an HTTP URL.
    """
    anyio.run(partial(_emulator, options))
    return 0


async def _emulator(options: argparse.Namespace) -> None:
    upstream = None
    if options.upstream:
        if urlsplit(options.upstream).scheme not in ("http", "https"):
            raise ConfigurationError(f"--upstream {options.upstream!r} is not an http(s) URL.")
        upstream = OpenAIServer(options.upstream)
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with run_emulator(port=options.port, upstream=upstream) as running:
                _tell(running.run_url, running.api_url)
                await anext(signals)
    except OSError as error:
        raise ConfigurationError(str(error), hint="Choose another with --port.") from None


def _tell(run_url: str, api_url: str) -> None:
    print(f"The emulated platform is at {run_url}. Lead Blaxel clients there with:\n", flush=True)
    for name, value in (
        ("BL_RUN_URL", run_url),
        ("BL_API_URL", api_url),
        ("BL_WORKSPACE", DEMO_WORKSPACE),
        ("BL_API_KEY", DEMO_KEY),
    ):
        print(f"  export {name}={value}", flush=True)
