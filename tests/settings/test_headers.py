"""`[[models]] headers`: extra request headers, and those that only this server may set."""

from pathlib import Path

import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import load_settings


def load(tmp_path: Path, headers: str) -> dict[str, str]:
    file = tmp_path / "config.toml"
    file.write_text(f'[[models]]\nname = "m"\nheaders = {headers}\n', encoding="utf-8")
    file.chmod(0o600)
    return load_settings(config_file=file, environ={}).settings.models[0].headers


def test_extra_headers_are_read(tmp_path: Path) -> None:
    assert load(tmp_path, '{ X-Wait-For-Model = "true", anthropic-beta = "a,b" }') == {
        "X-Wait-For-Model": "true",
        "anthropic-beta": "a,b",
    }


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "authorization", "Proxy-Authorization", "X-Blaxel-Authorization", "x-blaxel-workspace"),
        *("X-Blaxel-Anything", "x-api-key", "X-Goog-Api-Key", "api-key", "Ocp-Apim-Subscription-Key", "X-Auth-Token"),
        *("Host", "Cookie", "Set-Cookie", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding"),
        *("Content-Type", "TE", "Trailer", "Upgrade", "Expect", "Keep-Alive", "X-Client-Secret"),
    ],
)
def test_headers_that_belong_to_the_server_are_refused_at_start(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, f'{{ "{name}" = "canary" }}')

    assert "headers" in str(caught.value)
    assert f"may not set {name}" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ('{ "X A" = "canary" }', "not the name of a header"),
        ('{ "" = "canary" }', "not the name of a header"),
        ('{ "X-A:" = "canary" }', "not the name of a header"),
        ('{ X-A = "canary\\r\\nX-B: c" }', "plain ASCII text on one line"),
        ('{ X-A = "canaryé" }', "plain ASCII text on one line"),
        ('{ X-A = " canary" }', "plain ASCII text on one line"),
        ('{ X-A = "canary", x-a = "canary" }', "twice"),
        ("{ X-A = 5 }", "string"),
        ('["canary"]', "table"),
    ],
)
def test_headers_that_cannot_be_sent_are_refused_at_start(tmp_path: Path, headers: str, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, headers)

    assert told in str(caught.value)
    assert "canary" not in str(caught.value)
