"""The protocol's own conformance suite, which is not ours, against the server over HTTP, in both eras.

The suite calls tools of fixed names. Here they are models under those names, so that its scenarios go all the
way to an endpoint and back. What does not apply is in `conformance/`, a file for each era, with the reason;
the suite fails for an entry that has come to pass, as for a failure without an entry.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from blaxel_mcp.emulator import EmulatedModel, Emulator
from tests.clients.conformance_upstream import upstream
from tests.clients.installed import needs, node, program
from tests.clients.served_http import served_over_http
from tests.support.leaks import look_at

pytestmark = [pytest.mark.anyio, needs("conformance")]

BASELINES = Path(__file__).parent / "conformance"

ON_BOTH_WIRES = {
    *("completion-complete", "tools-list", "resources-list", "prompts-list", "dns-rebinding-protection"),
    *("tools-call-simple-text", "tools-call-image", "tools-call-audio", "tools-call-embedded-resource"),
    *("tools-call-mixed-content", "tools-call-error", "tools-call-with-progress", "server-sse-multiple-streams"),
}
PASSED = {
    "2025-11-25": ON_BOTH_WIRES | {"server-initialize", "ping", "server-session-lifecycle"},
    "2026-07-28": ON_BOTH_WIRES
    | {
        *("sep-2164-resource-not-found", "http-header-validation", "caching"),
        *("input-required-result-missing-input-response", "input-required-result-unsupported-methods"),
        *("input-required-result-ignore-extra-params", "input-required-result-validate-input"),
    },
}
"""The scenarios in which there is something to check here, and every check passes."""

_PASSED = re.compile(r"^✓ ([\w-]+): [1-9]", re.MULTILINE)


def models(url: str) -> list[dict[str, Any]]:
    """The tools that the suite calls."""
    voice = {"input": "Hi", "voice": "alloy", "response_format": "wav"}
    return [
        {"name": "fault-text", "tool": "test_simple_text"},
        {"name": "house-painter", "tool": "test_image_content", "api": "images", "defaults": {"prompt": "A barn"}},
        {"name": "house-voice", "tool": "test_audio_content", "api": "speech", "defaults": voice},
        {"name": "document", "tool": "test_embedded_resource", "url": f"{url}/document"},
        {"name": "several", "tool": "test_multiple_content_types", "url": f"{url}/several"},
        {"name": "fault-429-long", "tool": "test_error_handling"},
        {"name": "reluctant", "tool": "test_tool_with_progress", "url": f"{url}/reluctant"},
        {"name": "change", "tool": "test_trigger_tool_change", "url": f"{url}/change"},
    ]


@pytest.mark.parametrize("era", PASSED)
async def test_the_conformance_suite_finds_only_the_known_failures(era: str, emulator: Emulator) -> None:
    def change() -> None:
        name = f"new-{len(emulator.models)}"
        emulator.models[name] = EmulatedModel(name=name)

    with upstream(change) as url:
        settings = {
            "BLAXEL_MCP_MODELS": json.dumps(models(url)),
            "BLAXEL_MCP_DISCOVERY__ENABLED": "true",
            "BLAXEL_MCP_DISCOVERY__REFRESH_SECONDS": "0.2",
        }
        async with served_over_http(emulator, **settings) as server:
            command = [node(), program("conformance", "conformance"), "server", "--url", server, "--requirements", era]
            baseline = ["--expected-failures", str(BASELINES / f"{era}.yml")]
            with anyio.fail_after(50):
                environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
                finished = await anyio.run_process([*command, *baseline], env=environment, check=False)

    output = finished.stdout.decode() + finished.stderr.decode()
    look_at("what the conformance suite prints", output)
    assert finished.returncode == 0, output
    summary = output[output.index("=== SUMMARY ===") : output.index("Total: ")]
    assert set(_PASSED.findall(summary)) == PASSED[era]
