"""Reads the usage that any provider's answer reports: tokens, images, seconds of audio, searches.

`genai-prices` reads usage too, but misreads three of the shapes in `tests/budget/test_usage.py`: xAI's (reasoning
beside completion), Claude's `iterations` and `x_groq`. It also needs the provider, which a configured model does not
name.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

_PLACES = ("usage", "usageMetadata", "meta", "x_groq", "result")
_INSIDE = ("billed_units", "tokens", "usage")
"""The fields that hold the counts; Cohere bills its `billed_units`, not its `tokens`."""

_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount", "inputTokens", "total_input_tokens", "prompt_eval_count")
_OUTPUT = (
    "completion_tokens",
    "output_tokens",
    "candidatesTokenCount",
    "responseTokenCount",
    "outputTokens",
    "total_output_tokens",
    "eval_count",
)
_AT_THE_TOP = ("prompt_eval_count", "eval_count")
"""Ollama's counts. Other top-level counts come from endpoints that only count tokens, which is free."""
_TOTAL = ("total_tokens", "totalTokenCount", "totalTokens")
_SIMPLE = frozenset((*_INPUT, *_OUTPUT, *_TOTAL)) - {"promptTokenCount"}
"""Counts that are complete if there are no others beside them."""
_BESIDE = frozenset((*_PLACES, *_AT_THE_TOP, "data", "text", "output", "candidates", "service_tier")) - {"usage"}
"""Fields beside `usage` that may hold further counts."""
_MORE_INPUT = ("toolUsePromptTokenCount", "total_tool_use_tokens", "citation_tokens")
"""Input that is not part of the input count."""
_THOUGHTS = ("thoughtsTokenCount", "total_thought_tokens")
"""Output that is not part of the output count."""
_REASONING = (
    "reasoning_tokens",
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
)
_CACHED = (
    "prompt_tokens_details.cached_tokens",
    "prompt_token_details.cached_tokens",
    "input_tokens_details.cached_tokens",
    "prompt_cache_hit_tokens",
    "cached_tokens",
    "cachedContentTokenCount",
    "total_cached_tokens",
)
"""Input from a cache, which is part of the input count."""
_READ = ("cache_read_input_tokens", "cacheReadInputTokens", "cacheReadInputTokenCount")
_WRITTEN = ("cache_creation_input_tokens", "cacheWriteInputTokens", "cacheWriteInputTokenCount")
"""Claude's input from and to a cache. Its own `input_tokens` exclude them; a `prompt_tokens` beside them does not,
unless it is smaller."""
_WRITTEN_FOR_AN_HOUR = ("cache_creation.ephemeral_1h_input_tokens",)
_AUDIO = ("prompt_tokens_details.audio_tokens", "input_tokens_details.audio_tokens", "input_token_details.audio_tokens")
_AUDIO_WRITTEN = ("completion_tokens_details.audio_tokens", "output_tokens_details.audio_tokens")
_PICTURES = ("output_tokens_details.image_tokens", "completion_tokens_details.image_tokens")
_SECONDS = ("prompt_audio_seconds", "seconds")
_SEARCHES = ("server_tool_use.web_search_requests", "num_search_queries", "num_sources_used", "search_units")

MAX_TOKENS = 1_000_000_000
"""Largest plausible number of tokens of one call. A larger one is ignored: sums of a few would overflow the ledger."""


_GEMINI_2 = re.compile(r"\bgemini-[12](?!\d)")

CHARS_PER_TOKEN = 4
MAX_CHARS_PER_TOKEN = 12
"""More characters per reported token than any text has, except for rulers and white space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The usage of one call.

    Attributes:
        input_tokens: Everything that was read, from and to a cache included; None if the provider did not report it.
        output_tokens: Everything that was written, reasoning included; None if the provider did not report it.
        total_tokens: Both; None if the provider did not report any tokens.
        cached_input_tokens: The part of the input that came from a cache.
        cache_write_tokens: The part of the input that was written to a cache.
        cache_write_1h_tokens: The part of `cache_write_tokens` that is kept for an hour.
        reasoning_tokens: The part of the output that is hidden reasoning.
        cached_audio_tokens: The part of `cached_input_tokens` that is audio.
        audio_seconds: Seconds of audio that were read; None if not known.
        searches: Web searches and reranked searches.
        tier: The service tier or speed that the answer names, which may have prices of its own.
        claude: Whether the counts are Claude's, whose cache has prices of its own.
        estimated: Whether the tokens are estimates, because the provider reported none or too few.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    cached_audio_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    audio_seconds: float | None = None
    searches: int = 0
    tier: str | None = None
    claude: bool = False
    estimated: bool = False


def read_usage(answer: Any, model: str = "") -> Usage | None:
    """Return the usage that an answer reports, in the fields of any provider; None if it reports none.

    The model is the provider's, or text that names it, for answers that do not name it.
    """
    if not isinstance(answer, Mapping):
        return None
    counts = answer.get("usage")
    if isinstance(counts, dict) and counts.keys() <= _SIMPLE and _BESIDE.isdisjoint(answer):
        usage = _simple_usage(counts)
        return None if usage.total_tokens is None else usage
    places = _places(answer)
    counts = next((place for place in places if _number(place, _INPUT + _OUTPUT + _TOTAL) is not None), {})
    data = answer.get("data")
    pictures = [each for each in data if isinstance(each, Mapping)] if isinstance(data, list) else []
    images = sum(bool({"b64_json", "url"} & each.keys()) for each in pictures)
    seconds = next(filter(None, (_number(place, _SECONDS) for place in places)), None)
    if seconds is None and "text" in answer:
        seconds = _number(answer, ("duration",))
    searches = int(max(_number(place, _SEARCHES) or 0 for place in places))
    if not searches and ("output" in answer or "candidates" in answer):
        searches = _searches_in(answer, model)
    if not counts and not images and seconds is None and not searches:
        return None
    usage = _simple_usage(counts) if counts.keys() <= _SIMPLE else _token_usage(counts)
    tier = answer.get("service_tier") or counts.get("speed")
    if not images and seconds is None and not searches and not tier:
        return usage
    return replace(
        usage, images=images, audio_seconds=seconds, searches=searches, tier=tier if isinstance(tier, str) else None
    )


def plausible_usage(usage: Usage | None, characters: int, *, input_tokens: int) -> Usage:
    """Return the usage that an answer reports or, if it is missing or far below the answer's text, an estimate.

    The characters are those that the model wrote, the tokens those estimated of the request.
    """
    reported = 0
    if usage is not None:
        reported = usage.output_tokens or 0
        if characters <= reported * MAX_CHARS_PER_TOKEN:
            return usage
        input_tokens = max(input_tokens, usage.input_tokens or 0)
    output_tokens = max(reported, math.ceil(characters / CHARS_PER_TOKEN))
    return replace(
        usage or Usage(),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        estimated=True,
    )


def _places(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the objects that may hold the counts, the likeliest first."""
    places: list[Mapping[str, Any]] = []
    for place in map(answer.get, _PLACES):
        if isinstance(place, Mapping):
            places += (inner for key in _INSIDE if isinstance(inner := place.get(key), Mapping))
            places.append(place)
    return [*places, {name: answer[name] for name in _AT_THE_TOP if name in answer}]


def _token_usage(counts: Mapping[str, Any]) -> Usage:
    passes = _passes(counts) if isinstance(counts.get("iterations"), list) else [counts]
    # A pass may lack the figures of the cache, which the whole then has.
    read, written = (max(_count(passes, names) or 0, _count([counts], names) or 0) for names in (_READ, _WRITTEN))
    input_tokens, output = _count(passes, _INPUT), _count(passes, _OUTPUT)
    total = _count([counts], _TOTAL)
    if input_tokens is None and output is None:
        input_tokens = total
    if input_tokens is not None:
        beside = 0 if "prompt_tokens" in counts and input_tokens >= read + written else read + written
        input_tokens += beside + sum(_count([counts], (name,)) or 0 for name in _MORE_INPUT)
    reasoning = _count([counts], (*_THOUGHTS, *_REASONING)) or 0
    is_beside = "citation_tokens" in counts or any(name in counts for name in _THOUGHTS)
    if is_beside or (total is None and reasoning > (output or 0)):
        # Gemini, Perplexity and xAI do not count the reasoning as output.
        output = (output or 0) + reasoning
    audio = _count([counts], _AUDIO) or 0
    over = max((total or 0) - (input_tokens or 0) - (output or 0), 0)
    if over and "prompt_audio_seconds" in counts:
        # The audio that Mistral's Voxtral listened to is in the total only.
        input_tokens, audio = (input_tokens or 0) + over, audio or over
    elif over:
        output = (output or 0) + over
    known = input_tokens is not None or output is not None
    all_read, all_written = input_tokens or 0, output or 0
    cached = min(read or _count([counts], _CACHED) or 0, all_read)
    cached_audio = 0
    spoken, pictures = _count([counts], _AUDIO_WRITTEN) or 0, _count([counts], _PICTURES) or 0
    if "promptTokenCount" in counts:
        audio = _of_modality(counts.get("promptTokensDetails"), "AUDIO")
        cached_audio = _of_modality(counts.get("cacheTokensDetails"), "AUDIO")
        spoken, pictures = (_of_modality(counts.get("candidatesTokensDetails"), kind) for kind in ("AUDIO", "IMAGE"))
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output,
        total_tokens=all_read + all_written if known else None,
        cached_input_tokens=cached,
        cache_write_tokens=min(written, all_read),
        cache_write_1h_tokens=min(_count(passes, _WRITTEN_FOR_AN_HOUR) or 0, written),
        reasoning_tokens=min(reasoning, all_written),
        audio_input_tokens=min(audio, all_read),
        cached_audio_tokens=min(cached_audio, cached, audio),
        audio_output_tokens=min(spoken, all_written),
        image_output_tokens=min(pictures, all_written),
        claude=read + written > 0,
    )


def _simple_usage(counts: Mapping[str, Any]) -> Usage:
    """Return the usage of plain counts of input, output and both, which need no further rules."""
    numbers = [_number(counts, names) for names in (_INPUT, _OUTPUT, _TOTAL)]
    input_tokens, output, total = [None if number is None else int(number) for number in numbers]
    if input_tokens is None and output is None:
        input_tokens = total
    if (over := (total or 0) - (input_tokens or 0) - (output or 0)) > 0:
        output = (output or 0) + over
    whole = None if input_tokens is None and output is None else (input_tokens or 0) + (output or 0)
    return Usage(input_tokens=input_tokens, output_tokens=output, total_tokens=whole)


def _passes(counts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the counts of each pass of a call.

    Claude reports compaction and advisor passes in `iterations`, with the last message's counts once more outside.
    """
    passes = [each for each in counts["iterations"] if isinstance(each, Mapping)]
    return passes if (_count(passes, _INPUT) or 0) >= (_count([counts], _INPUT) or 0) and passes else [counts]


def _count(passes: Iterable[Mapping[str, Any]], names: tuple[str, ...]) -> int | None:
    """Return the sum of the first plausible number of each pass; None if there is none."""
    numbers = [number for counts in passes if (number := _number(counts, names)) is not None]
    return int(sum(numbers)) if numbers else None


def _number(counts: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    """Return the first plausible number under one of some names; a dot leads into an object."""
    steps, fields = _steps(names)
    if counts.keys().isdisjoint(fields):
        return None
    for outer, inner in steps:
        value = counts.get(outer)
        if inner:
            value = value.get(inner) if isinstance(value, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= MAX_TOKENS:
            return value
    return None


@cache
def _steps(names: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    """Return each name as its field and the field inside it, or an empty string; and the set of these fields."""
    steps = tuple((outer, inner) for outer, _, inner in (name.partition(".") for name in names))
    return steps, frozenset(outer for outer, _ in steps)


def _of_modality(details: Any, modality: str) -> int:
    """Return Gemini's count of the tokens of a modality."""
    each = [item for item in details if isinstance(item, Mapping)] if isinstance(details, list) else []
    return _count((item for item in each if item.get("modality") == modality), ("tokenCount",)) or 0


def _searches_in(answer: Mapping[str, Any], model: str) -> int:
    """Count the web searches that OpenAI's Responses and Gemini list rather than count.

    Gemini bills each query since version 3, and before that each prompt that was searched for.
    """
    output, candidates = answer.get("output"), answer.get("candidates")
    calls = [each for each in output if isinstance(each, Mapping)] if isinstance(output, list) else []
    listed = sum(each.get("type") == "web_search_call" for each in calls)
    for candidate in candidates if isinstance(candidates, list) else []:
        grounding = candidate.get("groundingMetadata") if isinstance(candidate, Mapping) else None
        queries = grounding.get("webSearchQueries") if isinstance(grounding, Mapping) else None
        listed += len(queries) if isinstance(queries, list) else 0
    named = answer.get("modelVersion")
    by_prompt = candidates is not None and _GEMINI_2.search(named if isinstance(named, str) and named else model)
    return min(int(listed), 1) if by_prompt else int(listed)
