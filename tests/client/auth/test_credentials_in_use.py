"""Each kind of credential, from where the user keeps it to the header that Blaxel accepts."""

import base64
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import anyio
import pytest

from blaxel_mcp.emulator import Emulator
from blaxel_mcp.settings.loading import Configuration, load_settings
from tests.support.canaries import CLIENT_CREDENTIALS, CLIENT_ID, DEVICE_CODE, KEY, MARKER, REFRESH_TOKEN, WRONG_KEY
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio


async def call(client: Client) -> Any:
    return await client.call_tool("house-chat", {"prompt": "Hi"})


def with_service_account(emulator: Emulator, value: str = CLIENT_CREDENTIALS) -> Configuration:
    return leading_to(emulator, api_key=None, client_credentials=value)


def with_login(emulator: Emulator, home: Path, credentials: str) -> Configuration:
    """The configuration of a user whose only credentials are in the login file."""
    file = home / ".blaxel" / "config.yaml"
    file.parent.mkdir()
    entry = textwrap.indent(textwrap.dedent(credentials).strip(), "      ")
    file.write_text(f"context:\n  workspace: demo\nworkspaces:\n  - name: demo\n    credentials:\n{entry}\n")
    variables = {"BL_RUN_URL": emulator.run_url, "BL_API_URL": emulator.api_url}
    return load_settings(
        environ={**variables, "BLAXEL_MCP_MODELS": '[{"name": "house-chat", "api": "chat-completions"}]'}
    )


async def test_a_service_accounts_credentials_are_exchanged_once_for_any_number_of_calls(emulator: Emulator) -> None:
    async with connect(with_service_account(emulator)) as client:
        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                for _ in range(50):
                    group.start_soon(call, client)

    (exchange,) = [request for request in emulator.requests if request.path == "/v0/oauth/token"]
    assert exchange.header_values("authorization") == [f"Basic {CLIENT_CREDENTIALS}"]
    assert json.loads(exchange.body) == {"grant_type": "client_credentials"}
    assert len(inference_requests(emulator.requests)) == 50
    (minted,) = emulator.tokens
    for request in inference_requests(emulator.requests):
        assert request.header_values("x-blaxel-authorization") == [f"Bearer {minted}"]


async def test_a_revoked_token_is_renewed_once_and_the_call_sent_once_more(emulator: Emulator) -> None:
    async with connect(with_service_account(emulator)) as client:
        assert answer_of(await call(client))
        emulator.revoke_tokens()
        result = await call(client)

    assert answer_of(result)
    assert receipt_of(result)["attempts"] == 2
    assert emulator.token_exchanges == 2
    assert len(inference_requests(emulator.requests)) == 3


async def test_a_token_is_renewed_before_it_expires(emulator: Emulator) -> None:
    emulator.token_lifetime = 1
    async with connect(with_service_account(emulator)) as client:
        assert answer_of(await call(client))
        emulator.now = lambda: 0.0  # the platform's clock stands still: what was minted stays good
        with anyio.fail_after(30):
            while emulator.token_exchanges < 2:
                assert receipt_of(await call(client))["attempts"] == 1


async def test_wrong_client_credentials_are_told_without_a_call_and_without_their_value(emulator: Emulator) -> None:
    wrong = base64.b64encode(f"{CLIENT_ID}:{MARKER}-wrong".encode()).decode()
    async with connect(with_service_account(emulator, wrong)) as client:
        result = await call(client)

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("authentication_failed", "no")
    assert MARKER not in result.model_dump_json()
    assert wrong not in result.model_dump_json()
    assert inference_requests(emulator.requests) == []


async def test_an_api_key_that_is_refused_is_not_sent_again(emulator: Emulator) -> None:
    async with connect(leading_to(emulator, api_key=WRONG_KEY, discovery={"enabled": False})) as client:
        assert receipt_of(await call(client))["attempts"] == 1

    assert len(emulator.requests) == 1


@pytest.mark.parametrize(
    "credentials",
    [
        pytest.param(f"apiKey: {KEY}", id="API key"),
        pytest.param(f"client_credentials: {CLIENT_CREDENTIALS}", id="client credentials as the CLI writes them"),
        pytest.param(f"clientCredentials: {CLIENT_CREDENTIALS}", id="client credentials as the SDKs read them"),
        pytest.param(f'apiKey: ""\nrefresh_token: {REFRESH_TOKEN}\ndevice_code: {DEVICE_CODE}', id="device login"),
    ],
)
async def test_what_bl_login_saved_is_enough_and_is_left_as_it_was(
    emulator: Emulator, home: Path, credentials: str
) -> None:
    config = with_login(emulator, home, credentials)
    file = home / ".blaxel" / "config.yaml"
    before = file.read_bytes()

    async with connect(config) as client:
        assert answer_of(await call(client))

    assert file.read_bytes() == before


@pytest.mark.parametrize("source", ["settings", "login"])
async def test_a_new_login_is_advised_only_where_it_would_be_used(emulator: Emulator, home: Path, source: str) -> None:
    is_login = source == "login"
    config = with_login(emulator, home, f"apiKey: {WRONG_KEY}") if is_login else leading_to(emulator, api_key=WRONG_KEY)
    async with connect(config) as client:
        error = error_of(await call(client))

    assert error["code"] == "authentication_failed"
    assert ("Run `bl login WORKSPACE` for new ones." in error["hint"]) == is_login


async def test_an_access_token_without_a_device_code_is_a_credential_too(emulator: Emulator, home: Path) -> None:
    async with connect(with_login(emulator, home, f"access_token: {emulator.mint_token()}")) as client:
        assert answer_of(await call(client))

    assert emulator.token_exchanges == 0


async def test_an_expired_device_login_is_refreshed_and_a_rejected_one_says_how_to_log_in(
    emulator: Emulator, home: Path
) -> None:
    emulator.token_lifetime = -10
    expired = emulator.mint_token()
    emulator.token_lifetime = 7200
    login = f"access_token: {expired}\nrefresh_token: {REFRESH_TOKEN}\ndevice_code: {DEVICE_CODE}"
    async with connect(with_login(emulator, home, login)) as client:
        assert answer_of(await call(client))
        emulator.revoke_tokens()
        emulator.refresh_tokens.clear()
        result = await call(client)

    assert error_of(result)["code"] == "authentication_failed"
    assert "bl login demo" in text_of(result)


async def test_the_output_of_a_command_is_the_key(emulator: Emulator) -> None:
    command = [sys.executable, "-c", f"print({KEY!r})"]
    async with connect(leading_to(emulator, api_key=None, api_key_command=command)) as client:
        assert answer_of(await call(client))


async def test_a_command_that_fails_is_told_by_its_name_and_not_by_its_output(emulator: Emulator) -> None:
    command = [sys.executable, "-c", f"print({KEY!r}); raise SystemExit(3)"]
    async with connect(leading_to(emulator, api_key=None, api_key_command=command)) as client:
        result = await call(client)

    assert error_of(result)["code"] == "configuration_error"
    assert MARKER not in result.model_dump_json()
    assert emulator.requests == []


@pytest.mark.parametrize("written", ['"{}"', "'{}'", " {}\n", "Bearer {}", "bearer  {}", '"Bearer {}"', 'Bearer "{}"'])
async def test_what_is_put_around_a_key_is_left_out(emulator: Emulator, home: Path, written: str) -> None:
    written = written.format(KEY)
    config = leading_to(emulator, api_key=written)
    from_login = with_login(emulator, home, f"apiKey: {json.dumps(written)}")
    from_command = leading_to(emulator, api_key=None, api_key_command=[sys.executable, "-c", f"print({written!r})"])
    for configuration in (config, from_login, from_command):
        async with connect(configuration) as client:
            assert answer_of(await call(client))


@pytest.mark.parametrize("written", ['"{}"', "Basic {}"])
async def test_what_is_put_around_client_credentials_is_left_out(emulator: Emulator, written: str) -> None:
    async with connect(with_service_account(emulator, written.format(CLIENT_CREDENTIALS))) as client:
        assert answer_of(await call(client))
