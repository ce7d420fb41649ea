"""Every failure of the platform, as the agent sees it."""

from typing import Any

import anyio
import pytest

from blaxel_mcp.core.exceptions import ERROR_CODES
from blaxel_mcp.emulator import Emulator
from tests.support.canaries import MARKER, WRONG_KEY
from tests.support.connecting import answer_of, connect, error_of, inference_requests, leading_to, receipt_of, text_of

pytestmark = pytest.mark.anyio

SENT_AGAIN = {"fault-404-unavailable", "fault-429", "fault-429-provider", "fault-not-dispatched"}

FIELDS = ("code", "origin", "status", "retryable", "retry_after_seconds", "billed")


async def call(emulator: Emulator, model: str, **settings: Any) -> Any:
    async with connect(leading_to(emulator, **settings)) as client:
        return await client.call_tool("run_model", {"model": model, "data": {"inputs": "x"}})


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("fault-401", ("authentication_failed", "blaxel", 401, False, None, "no")),
        pytest.param("fault-401-provider", ("authentication_failed", "provider", 401, False, None, "no")),
        pytest.param("fault-402", ("quota_exceeded", "blaxel", 402, False, None, "no")),
        pytest.param("fault-403", ("permission_denied", "blaxel", 403, False, None, "no")),
        pytest.param("fault-403-text", ("permission_denied", "blaxel", 403, False, None, "no")),
        pytest.param("fault-404", ("unknown_model", "blaxel", 404, False, None, "no")),
        pytest.param("fault-404-unavailable", ("model_unavailable", "blaxel", 404, True, None, "no")),
        pytest.param("fault-413", ("request_too_large", "blaxel", 413, False, None, "no")),
        pytest.param("fault-429", ("rate_limited", "blaxel", 429, True, 7.0, "no")),
        pytest.param("fault-429-provider", ("rate_limited", "provider", 429, True, 20.0, "no")),
        pytest.param("fault-500", ("upstream_error", "blaxel", 500, True, None, "maybe")),
        pytest.param("fault-500-provider", ("provider_error", "provider", 500, False, None, "maybe")),
        pytest.param("fault-502-empty", ("upstream_error", "blaxel", 502, False, None, "maybe")),
        pytest.param("fault-html-504", ("upstream_error", "blaxel", 504, False, None, "maybe")),
        pytest.param("fault-html-200", ("bad_response", "blaxel", 200, False, None, "maybe")),
        pytest.param("fault-not-json", ("bad_response", "blaxel", 200, False, None, "maybe")),
        pytest.param("fault-redirect", ("upstream_error", "blaxel", 307, False, None, "no")),
        pytest.param("fault-drop", ("network_error", "network", None, False, None, "maybe")),
        pytest.param("fault-truncated", ("network_error", "network", 200, False, None, "maybe")),
        pytest.param("fault-not-dispatched", ("model_unavailable", "blaxel", 503, True, None, "no")),
        pytest.param("no-such-model", ("unknown_model", "blaxel", 404, False, None, "no")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_has_its_fields_and_is_retried_only_if_it_reached_no_model(
    emulator: Emulator, model: str, expected: tuple[Any, ...]
) -> None:
    result = await call(emulator, model)
    requests = 3 if model in SENT_AGAIN else 1

    error = error_of(result)
    assert tuple(error[field] for field in FIELDS) == expected
    assert error["code"] in ERROR_CODES
    assert result.structured_content is None
    assert text_of(result) == f"{error['message']} {error['hint']}".rstrip()
    assert len(inference_requests(emulator.requests)) == receipt_of(result)["attempts"] == requests
    assert receipt_of(result)["status"] == error["status"]


async def test_the_retry_delay_of_upstream_is_in_the_text_too(emulator: Emulator) -> None:
    for model in ("fault-429", "fault-429-body"):
        result = await call(emulator, model)

        assert "Retry after 7 seconds." in text_of(result)
        assert error_of(result)["retry_after_seconds"] == 7.0


@pytest.mark.parametrize("model", ["fault-html-504", "fault-html-200", "fault-502-empty"])
async def test_an_html_page_is_never_quoted(emulator: Emulator, model: str) -> None:
    result = await call(emulator, model)

    assert "<" not in text_of(result)
    assert str(error_of(result)["status"]) in text_of(result)


async def test_a_providers_refusal_of_its_key_is_not_blamed_on_the_blaxel_key(emulator: Emulator) -> None:
    result = await call(emulator, "fault-401-provider")

    text = text_of(result)
    assert "provider" in text
    assert "integration" in text
    for blamed in ("BL_API_KEY", "bl login", "your Blaxel API key"):
        assert blamed not in text
    assert "sk-emulator" not in result.model_dump_json()


async def test_a_wrong_key_is_reported_with_its_source_and_without_its_value(emulator: Emulator) -> None:
    result = await call(emulator, "house-chat", api_key=WRONG_KEY)

    assert error_of(result)["code"] == "authentication_failed"
    assert error_of(result)["origin"] == "blaxel"
    assert "The credentials came from api_key." in text_of(result)
    assert MARKER not in result.model_dump_json()
    assert len(inference_requests(emulator.requests)) == 1


async def test_a_key_that_the_model_echoes_is_redacted(emulator: Emulator) -> None:
    result = await call(emulator, "fault-echo-headers")

    assert answer_of(result)
    assert MARKER not in result.model_dump_json()
    assert "[redacted]" in text_of(result)


async def test_a_deadline_holds_against_a_server_that_drips(emulator: Emulator) -> None:
    models = [{"name": "house-chat"}, {"name": "fault-drip", "timeout_seconds": 1}]
    async with connect(leading_to(emulator, models=models)) as client:
        # The first call opens the connection pool: the deadline is for the request alone, even on a busy machine.
        await client.call_tool("run_model", {"model": "house-classifier", "data": {"inputs": "x"}})
        result = await client.call_tool("run_model", {"model": "fault-drip", "data": {"inputs": "x"}})

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("timeout", "maybe")
    assert "1 second" in text_of(result)
    assert "timeout_seconds" in text_of(result)
    with anyio.fail_after(20):
        await inference_requests(emulator.requests)[1].wait_aborted()


async def test_a_models_own_deadline_takes_precedence(emulator: Emulator) -> None:
    models = [{"name": "fault-slow-30s", "timeout_seconds": 0.3}]

    assert error_of(await call(emulator, "fault-slow-30s", models=models))["code"] == "timeout"


@pytest.mark.parametrize("model", ["fault-gzip-bomb", "fault-flood-3"])
async def test_an_answer_is_bounded_while_it_is_read(emulator: Emulator, model: str) -> None:
    result = await call(emulator, model, limits={"max_response_bytes": 1_000_000})

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("response_too_large", "yes")
    assert "limits.max_response_bytes" in text_of(result)


async def test_a_compressed_answer_within_the_bound_is_an_answer(emulator: Emulator) -> None:
    assert answer_of(await call(emulator, "fault-gzip"))


async def test_a_truncated_compressed_answer_is_no_answer(emulator: Emulator) -> None:
    assert error_of(await call(emulator, "fault-truncated-gzip"))["code"] in ("bad_response", "network_error")


async def test_an_unreachable_platform_is_reported_with_its_host_and_not_billed() -> None:
    unreachable = Emulator()
    unreachable.url = "http://127.0.0.1:9"

    result = await call(unreachable, "house-chat")

    assert (error_of(result)["code"], error_of(result)["billed"]) == ("network_error", "no")
    assert "127.0.0.1" in text_of(result)
