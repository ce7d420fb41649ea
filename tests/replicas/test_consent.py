"""A person's consent that one server asked for and another one gets: accepted once it is genuine, and only then."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mcp.server.request_state import AESGCMRequestStateCodec
from pydantic import SecretStr

from blaxel_mcp.budget.shared.state import Cipher
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.receipt import RECEIPT_KEY
from blaxel_mcp.settings.loading import Configuration
from tests.replicas.engines import SHARED_KEY, RedisServer, needs_redis, sharing
from tests.support.canaries import KEY
from tests.support.connecting import inference_requests, leading_to
from tests.support.http_serving import Headers, Served, message, serving
from tests.support.person import CHAT, QUESTION

pytestmark = [needs_redis, pytest.mark.anyio]

TOKENS = [f"{KEY[:11]}-{name}-9d2c71b0e5" for name in ("anna", "bert")]
ANNA, BERT = ({"authorization": f"Bearer {token}"} for token in TOKENS)
SHOWS_FORMS: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}}}


def asking(emulator: Emulator, redis: RedisServer, **shared: str) -> Configuration:
    return leading_to(
        emulator,
        models=[CHAT],
        budget={"ask_over_usd": 0.5, "ledger": ":memory:"},
        shared=sharing(redis, **shared),
        http={"auth": "token", "bearer_tokens": TOKENS},
    )


async def ask(
    server: Served, caller: Headers, state: str | None = None, arguments: dict[str, Any] = QUESTION
) -> dict[str, Any]:
    """Call the model, with the person's consent if there is a state; return the JSON-RPC message."""
    consent = {"inputResponses": {"consent": {"action": "accept", "content": {}}}, "requestState": state}
    more = {} if state is None else consent
    body, headers = message(
        "tools/call", "2026-07-28", name="house-chat", arguments=arguments, more_meta=SHOWS_FORMS, **more
    )
    response = await server.post(body, headers | caller)
    answer: dict[str, Any] = json.loads(response.text.strip().splitlines()[-1].removeprefix("data: "))
    return answer


def expired(state: str) -> str:
    """Return a state that servers with this key have sealed, and that has expired."""
    codec = AESGCMRequestStateCodec([Cipher(SecretStr(SHARED_KEY)).subkey("request state")])
    claims = json.loads(codec.unseal(state))
    return codec.seal(json.dumps({**claims, "exp": claims["iat"] - 1}).encode())


async def test_consent_that_one_server_asked_for_is_taken_by_another(emulator: Emulator, redis: RedisServer) -> None:
    config = asking(emulator, redis)
    async with serving(config) as one, serving(config) as other:
        question = (await ask(one, ANNA))["result"]
        requests = len(inference_requests(emulator.requests))
        result = (await ask(other, ANNA, question["requestState"]))["result"]

    assert question["resultType"] == "input_required"
    assert requests == 0
    assert result["_meta"][RECEIPT_KEY]["agreed_by"] == "person"
    assert len(inference_requests(emulator.requests)) == 1


@pytest.mark.parametrize(
    ("change", "caller", "arguments"),
    [
        pytest.param(lambda state: state[:-2] + ("AA" if state[-2:] != "AA" else "BB"), ANNA, QUESTION, id="tampered"),
        pytest.param(expired, ANNA, QUESTION, id="expired"),
        pytest.param(str, BERT, QUESTION, id="of another caller"),
        pytest.param(str, ANNA, {**QUESTION, "max_tokens": 5000}, id="for other arguments"),
    ],
)
async def test_a_state_that_is_not_this_callers_own_for_this_call_is_refused(
    emulator: Emulator, redis: RedisServer, change: Callable[[str], str], caller: Headers, arguments: dict[str, Any]
) -> None:
    config = asking(emulator, redis)
    async with serving(config) as one, serving(config) as other:
        state = (await ask(one, ANNA))["result"]["requestState"]
        refused = await ask(other, caller, change(state), arguments)

    assert "requestState" in refused["error"]["message"]
    assert inference_requests(emulator.requests) == []


async def test_a_state_of_servers_with_another_key_is_refused(emulator: Emulator, redis: RedisServer) -> None:
    strange = asking(emulator, redis, key=SHARED_KEY[::-1])
    async with serving(strange) as one, serving(asking(emulator, redis)) as other:
        state = (await ask(one, ANNA))["result"]["requestState"]
        refused = await ask(other, ANNA, state)

    assert "requestState" in refused["error"]["message"]
    assert inference_requests(emulator.requests) == []
