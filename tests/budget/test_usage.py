"""What a call took, in every provider's format."""

from typing import Any

import pytest

from blaxel_mcp.budget.usage import MAX_TOKENS, Usage, read_usage


def usage(read: int | None, written: int | None, **more: Any) -> Usage:
    return Usage(input_tokens=read, output_tokens=written, total_tokens=(read or 0) + (written or 0), **more)


CHAT = {"prompt_tokens": 30, "completion_tokens": 5, "total_tokens": 35}
GEMINI = {"promptTokenCount": 20, "candidatesTokenCount": 5, "totalTokenCount": 25}
HOUR = {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 80}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        pytest.param({"usage": CHAT}, usage(30, 5), id="OpenAI"),
        pytest.param({"result": {"response": "Hi", "usage": CHAT}}, usage(30, 5), id="Cloudflare's envelope"),
        pytest.param(
            {"usage": {**CHAT, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 100}},
            usage(630, 5, cached_input_tokens=500, cache_write_tokens=100, claude=True),
            id="a gateway's cache beside the prompt",
        ),
        pytest.param(
            {"usage": {"inputTokens": 5, "outputTokens": 9, "totalTokens": 14, "cacheReadInputTokenCount": 1000}},
            usage(1005, 9, cached_input_tokens=1000, claude=True),
            id="Bedrock's other names",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 3,
                    "output_tokens": 7,
                    "cache_read_input_tokens": 100,
                    "iterations": [{"type": "message", "input_tokens": 3, "output_tokens": 7}],
                }
            },
            usage(103, 7, cached_input_tokens=100, claude=True),
            id="a pass without its cache",
        ),
        pytest.param({"usage": {"prompt_tokens": 3, "total_tokens": 3}}, usage(3, None), id="OpenAI embeddings"),
        pytest.param({"usage": {"total_tokens": 9}}, usage(9, None), id="a total alone"),
        pytest.param(
            {
                "usage": {
                    **CHAT,
                    "prompt_tokens_details": {"cached_tokens": 20},
                    "completion_tokens_details": {"reasoning_tokens": 4},
                },
                "service_tier": "flex",
            },
            usage(30, 5, cached_input_tokens=20, reasoning_tokens=4, tier="flex"),
            id="OpenAI's cache and reasoning are inside",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 30,
                    "output_tokens": 9,
                    "total_tokens": 39,
                    "input_tokens_details": {"cached_tokens": 10},
                    "output_tokens_details": {"reasoning_tokens": 8},
                },
                "output": [{"type": "web_search_call"}, {"type": "message"}],
            },
            usage(30, 9, cached_input_tokens=10, reasoning_tokens=8, searches=1),
            id="Responses",
        ),
        pytest.param(
            {"usage": {**CHAT, "total_tokens": 335, "completion_tokens_details": {"reasoning_tokens": 300}}},
            usage(30, 305, reasoning_tokens=300),
            id="xAI's reasoning is beside",
        ),
        pytest.param(
            {
                "usage": {
                    "prompt_tokens": 30,
                    "completion_tokens": 5,
                    "completion_tokens_details": {"reasoning_tokens": 300},
                }
            },
            usage(30, 305, reasoning_tokens=300),
            id="and without a total",
        ),
        pytest.param(
            {"usage": {**CHAT, "reasoning_tokens": 100, "citation_tokens": 1000, "num_search_queries": 7}},
            usage(1030, 105, reasoning_tokens=100, searches=7),
            id="Perplexity's deep research",
        ),
        pytest.param(
            {"usage": {**CHAT, "total_tokens": 410, "prompt_audio_seconds": 12}},
            usage(405, 5, audio_input_tokens=375, audio_seconds=12),
            id="Mistral's audio",
        ),
        pytest.param({"usage": {"input_tokens": 3, "output_tokens": 5}}, usage(3, 5), id="Anthropic"),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 3,
                    "cache_creation_input_tokens": 100,
                    "cache_read_input_tokens": 50,
                    "output_tokens": 5,
                    "cache_creation": HOUR,
                    "server_tool_use": {"web_search_requests": 2},
                }
            },
            usage(
                153,
                5,
                cached_input_tokens=50,
                cache_write_tokens=100,
                cache_write_1h_tokens=80,
                searches=2,
                claude=True,
            ),
            id="Anthropic's cache is beside",
        ),
        pytest.param(
            {"usage": {**CHAT, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 0}},
            usage(30, 5, cached_input_tokens=20, claude=True),
            id="beside OpenAI's names it is inside",
        ),
        pytest.param(
            {
                "usage": {
                    "input_tokens": 160,
                    "output_tokens": 10,
                    "iterations": [
                        {"type": "compaction", "input_tokens": 99_000, "output_tokens": 80},
                        {"type": "message", "input_tokens": 160, "output_tokens": 10},
                    ],
                }
            },
            usage(99_160, 90),
            id="Anthropic's iterations, once",
        ),
        pytest.param(
            {"usage": {"inputTokens": 3, "outputTokens": 5, "totalTokens": 58, "cacheReadInputTokens": 50}},
            usage(53, 5, cached_input_tokens=50, claude=True),
            id="Bedrock",
        ),
        pytest.param({"usageMetadata": GEMINI}, usage(20, 5), id="Gemini"),
        pytest.param(
            {"usageMetadata": {**GEMINI, "thoughtsTokenCount": 400, "totalTokenCount": 425}},
            usage(20, 405, reasoning_tokens=400),
            id="Gemini's thoughts",
        ),
        pytest.param(
            {"usageMetadata": {"promptTokenCount": 20, "totalTokenCount": 80}}, usage(20, 60), id="only in the total"
        ),
        pytest.param(
            {
                "usageMetadata": {
                    **GEMINI,
                    "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 12}],
                    "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 4}],
                }
            },
            usage(20, 5, audio_input_tokens=12, image_output_tokens=4),
            id="Gemini's modalities",
        ),
        pytest.param(
            {
                "usage": {
                    "total_input_tokens": 10,
                    "total_output_tokens": 5,
                    "total_thought_tokens": 40,
                    "total_cached_tokens": 4,
                    "total_tokens": 55,
                }
            },
            usage(10, 45, reasoning_tokens=40, cached_input_tokens=4),
            id="Interactions",
        ),
        pytest.param(
            {"usage": {"billed_units": {"input_tokens": 8, "output_tokens": 2}, "tokens": {"input_tokens": 510}}},
            usage(8, 2),
            id="Cohere bills its billed units",
        ),
        pytest.param({"usage": {"tokens": {"input_tokens": 3.0}}}, usage(3, None), id="Cohere's tokens"),
        pytest.param({"meta": {"billed_units": {"input_tokens": 2}}}, usage(2, None), id="Cohere v1"),
        pytest.param({"meta": {"billed_units": {"search_units": 1}}}, Usage(searches=1), id="Cohere's rerank"),
        pytest.param({"x_groq": {"usage": CHAT}}, usage(30, 5), id="Groq's streams"),
        pytest.param({"prompt_eval_count": 7, "eval_count": 3, "done": True}, usage(7, 3), id="Ollama"),
        pytest.param({"text": "Hi", "usage": {"type": "duration", "seconds": 9}}, Usage(audio_seconds=9), id="Whisper"),
        pytest.param({"text": "Hi", "duration": 8.5}, Usage(audio_seconds=8.5), id="verbose_json"),
        pytest.param({"data": [{"b64_json": "aa"}, {"url": "u"}]}, Usage(images=2), id="pictures"),
        pytest.param({"data": [{"embedding": [1]}], "usage": None}, None, id="null"),
        pytest.param({"usage": {"prompt_tokens": "3"}}, None, id="not a number"),
        pytest.param({"usage": {"prompt_tokens": True}}, None, id="a boolean"),
        pytest.param({"usage": {"prompt_tokens": -1}}, None, id="negative"),
        pytest.param({"usage": {"prompt_tokens": MAX_TOKENS + 1}}, None, id="more than there can be"),
        pytest.param({"input_tokens": 14}, None, id="an endpoint that counts tokens is free"),
        pytest.param({"usage": {"prompt_tokens_details": [1], "prompt_tokens": 3}}, usage(3, None), id="odd details"),
        pytest.param({"candidates": [None, {"groundingMetadata": 1}], "output": "x"}, None, id="odd lists"),
        pytest.param([1], None, id="not an object"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_usage_is_read_in_every_known_format(answer: Any, expected: Usage | None) -> None:
    assert read_usage(answer) == expected


GROUNDED = {"candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}, {"index": 1}]}


@pytest.mark.parametrize(
    ("version", "model", "searches"),
    [
        pytest.param("gemini-2.5-flash", "", 1, id="version 2.5 by the prompt"),
        pytest.param("models/gemini-2.0-flash-001", "", 1, id="version 2.0"),
        pytest.param(None, "None /v1beta/models/gemini-2.5-pro:generateContent", 1, id="named by the path"),
        pytest.param("gemini-3-pro-preview", "gemini-2.5-pro", 3, id="version 3 by the query"),
        pytest.param("gemini-3.1-flash", "", 3, id="later than 3"),
        pytest.param(None, "gemini-flash-latest", 3, id="not known: by the dearer"),
        pytest.param(7, "", 3, id="an odd version"),
    ],
)
def test_searches_of_gemini_are_counted_as_its_version_bills_them(version: Any, model: str, searches: int) -> None:
    read = read_usage({**GROUNDED, "modelVersion": version}, model)

    assert read is not None
    assert read.searches == searches


def test_a_prompt_of_gemini_2_that_needed_no_search_counts_none() -> None:
    answer = {"candidates": [{"groundingMetadata": {}}], "modelVersion": "gemini-2.5-flash", "usageMetadata": {}}

    assert read_usage(answer) is None
