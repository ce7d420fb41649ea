"""`blaxel-mcp emulator`: the emulator of Blaxel alone, for any client of Blaxel."""

import argparse
from contextlib import AsyncExitStack, suppress
from urllib.parse import urlsplit

from blaxel_mcp.cli.settings import DEMO_KEY, DEMO_WORKSPACE
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.core.process import ExitCode, exit_code_after, received_signals
from blaxel_mcp.emulator import Upstream, run_emulator
from blaxel_mcp.emulator.faults.faults import fault_names


async def emulator(options: argparse.Namespace) -> int:
    """Run the emulator until a signal arrives, or list the faults that a model name can ask for."""
    if options.list_faults:
        print("\n".join(fault_names()))
        return ExitCode.OK
    upstream = None if options.upstream is None else _upstream(options.upstream)
    async with AsyncExitStack() as stack:
        signals = stack.enter_context(received_signals())
        try:
            running = await stack.enter_async_context(run_emulator(port=options.port, upstream=upstream))
        except OSError as error:
            raise ConfigurationError(str(error), hint="Choose another port with --port.") from None
        print(
            f"The emulator of Blaxel listens at {running.run_url}. These variables point Blaxel clients to it:\n\n"
            f"  export BL_RUN_URL={running.run_url}\n"
            f"  export BL_API_URL={running.api_url}\n"
            f"  export BL_WORKSPACE={DEMO_WORKSPACE}\n"
            f"  export BL_API_KEY={DEMO_KEY}",
            flush=True,
        )
        return exit_code_after(await anext(signals))


def _upstream(url: str) -> Upstream:
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return Upstream(url)
    hint = "Give one such as http://127.0.0.1:11434."
    raise ConfigurationError(f"--upstream {url!r} is not an HTTP URL.", hint=hint)
