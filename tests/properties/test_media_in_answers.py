"""Media in JSON answers: extracted unchanged and in order, with no base64 left."""

import base64
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.core import json_text
from blaxel_mcp.inference.answers import JSONAnswer
from blaxel_mcp.tools.results.media import decode_media
from blaxel_mcp.tools.results.parts import PartRequest, read_part
from blaxel_mcp.tools.results.presentation import present
from blaxel_mcp.tools.results.truncation import AnswerRef
from tests.properties.examples import any_text, json_values, tried

ANSWER = AnswerRef("call_x")
LIMITS = st.integers(1000, 5000)
MEDIA_HEADS = (
    ("image/png", b"\x89PNG\r\n\x1a\n"),
    ("image/jpeg", b"\xff\xd8\xff"),
    ("audio/mpeg", b"ID3"),
    ("image/gif", b"GIF89a"),
    ("audio/wav", b"RIFF\0\0\0\0WAVE"),
)
media = st.builds(
    lambda head, rest: (head[0], head[1] + rest), st.sampled_from(MEDIA_HEADS), st.binary(min_size=40, max_size=400)
)
PLACES = ("b64_json", "inlineData", "source", "audio", "url", "image_generation_call")


def placed(place: str, media_type: str, data: bytes, urlsafe: bool) -> Any:
    encoded = (base64.urlsafe_b64encode if urlsafe else base64.b64encode)(data).decode()
    match place:
        case "b64_json":
            return {"b64_json": encoded, "revised_prompt": "x"}
        case "inlineData":
            return {"inlineData": {"mimeType": media_type, "data": encoded}}
        case "source":
            return {"source": {"media_type": media_type, "data": encoded}}
        case "audio":
            return {"audio": {"data": encoded, "id": "a"}}
        case "image_generation_call":
            return {"type": "image_generation_call", "result": encoded}
    return {"anything": f"data:{media_type};base64,{encoded}"}


@tried(200)
@given(
    found=st.lists(st.tuples(st.sampled_from(PLACES), media, st.booleans()), min_size=1, max_size=4),
    beside=json_values,
    limit=LIMITS,
)
def test_media_are_extracted_unchanged_and_leave_no_base64_in_the_text(
    found: list[tuple[str, tuple[str, bytes], bool]], beside: Any, limit: int
) -> None:
    value = {"items": [placed(place, *medium, urlsafe) for place, medium, urlsafe in found], "beside": beside}
    answer = JSONAnswer(json_text.dump(value), value)
    shown = present(answer, limit=limit, ref=ANSWER)

    assert [(medium.media_type, medium.data) for medium in shown.media] == [medium for _, medium, _ in found]
    assert shown.structured is None, "some clients drop the blocks beside it"
    assert shown.text is not None
    assert len(shown.text) <= limit
    for number, ((_, (_, data), _), medium) in enumerate(zip(found, shown.media, strict=True), 2):
        assert base64.b64encode(data).decode()[:24] not in shown.text
        assert shown.truncated or f"see content block {number}]" in shown.text
        part = read_part(answer.text, PartRequest(medium.pointer), is_json=True, limit=limit, ref=ANSWER)
        assert [again.data for again in part.media] == [data]


@tried(200)
@given(text=any_text | st.text("ABCDabcd0189+/=-_ \n", max_size=120))
def test_text_is_media_only_with_a_known_signature(text: str) -> None:
    decoded = decode_media(text)

    assert decoded is None or decoded[1]
