"""The variables that each client passes to the server, as `doctor` expects them."""

from pathlib import Path

import pytest

from blaxel_mcp.setup.doctor.clients import variables_of
from blaxel_mcp.setup.install.clients import client_named
from blaxel_mcp.setup.install.document import InstalledEntry


@pytest.mark.parametrize(
    ("client", "value", "given"),
    [
        pytest.param("claude-desktop", "plain", {"K": "plain"}, id="a value"),
        pytest.param("claude-desktop", "${HERE}", "literal", id="a reference that stays"),
        pytest.param("claude-code", "${HERE}", {"K": "found"}, id="a reference"),
        pytest.param("cursor", "${env:HERE}", {"K": "found"}, id="another form of it"),
        pytest.param("gemini-cli", "$HERE", {"K": "found"}, id="one without braces"),
        pytest.param("cursor", "${env:THERE}", "unset", id="to nothing"),
        pytest.param("cursor", "${input:key}", "literal", id="a question that is not asked"),
        pytest.param("vscode", "${input:key}", "prompted", id="a question"),
        pytest.param("zed", "plain", {"HERE": "found", "K": "plain"}, id="all of the environment"),
    ],
)
def test_variables_reach_the_server_as_each_client_hands_them_on(
    client: str, value: str, given: dict[str, str] | str
) -> None:
    entry = InstalledEntry(client_named(client), "blaxel", Path("file"), ("blaxel-mcp",), {"K": value})

    handed = variables_of(entry, {"HERE": "found"})

    if isinstance(given, dict):
        assert handed.values == given
    else:
        assert (handed.values, getattr(handed, given)) == ({}, ("K",))
