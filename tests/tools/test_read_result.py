"""What becomes of large answers, and how the rest of them is read."""

import base64
import json
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp_types as types
import pytest

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.apis.raw import Raw
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.inference.answers import Answer, BinaryAnswer, JSONAnswer, TextAnswer, read_answer
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.settings.schema import Settings
from blaxel_mcp.tools.call_tools import PART_KEY, read_result, read_result_tool
from blaxel_mcp.tools.calls import CallRegistry
from blaxel_mcp.tools.results.results import ResultPolicy, answer_result
from blaxel_mcp.tools.results.truncation import TRUNCATION_KEY
from blaxel_mcp.tools.store.store import CallStore
from blaxel_mcp.tools.store.stored_answers import StoreLimits
from tests.support.connecting import receipt_of, text_of
from tests.tools.results.test_media import PNG, PNG64, WAV

pytestmark = pytest.mark.anyio


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[CallStore]:
    async with CallStore(spools=tmp_path / "spools") as store:
        yield store


def _json(value: Any) -> JSONAnswer:
    return JSONAnswer(json.dumps(value, separators=(",", ":")), value)


def _part(result: types.CallToolResult) -> dict[str, Any]:
    part: dict[str, Any] = (result.meta or {})[PART_KEY]
    return part


def _last_text(result: types.CallToolResult) -> str:
    block = result.content[-1]
    assert isinstance(block, types.TextContent)
    return block.text


def _pictures(folder: Path) -> list[Path]:
    return list(folder.rglob("*.png"))


ROW = '"é😀\\u0000 1.10",1.10,-0.0,{"k":[null,true,12345678901234567890]}'


def _policy(store: CallStore, settings: dict[str, Any] | None = None, **fields: Any) -> ResultPolicy:
    return ResultPolicy(store=store, settings=Settings.model_validate(settings or {}), **fields)


async def _reading(policy: ResultPolicy, arguments: dict[str, Any], *, start: int = 0) -> AsyncIterator[str]:
    """The text of one part after the other, as each says where the next begins."""
    offset: int | None = start
    while offset is not None:
        result = await read_result({**arguments, "offset": offset}, CallContext(), policy)
        yield text_of(result)
        offset = _part(result)["next_offset"]


class Speaking(Raw):
    """An API whose answers have a text."""

    def text(self, answer: Any) -> str | None:
        said: str | None = answer.get("said")
        return said


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("answer", "content", "structured"),
    [
        pytest.param(
            JSONAnswer('{"a":1.10,"b":[]}', {"a": 1.1, "b": []}),
            [{"type": "text", "text": '{"a":1.10,"b":[]}'}],
            {"a": 1.1, "b": []},
            id="an object",
        ),
        pytest.param(_json([1, 2]), [{"type": "text", "text": "[1,2]"}], {"result": [1, 2]}, id="an array"),
        pytest.param(TextAnswer("two\nlines"), [{"type": "text", "text": "two\nlines"}], None, id="text"),
        pytest.param(
            BinaryAnswer(PNG, "image/png"),
            [{"type": "image", "data": _base64(PNG), "mimeType": "image/png"}],
            None,
            id="a picture",
        ),
        pytest.param(
            BinaryAnswer(WAV, "audio/wav"),
            [
                {"type": "text", "text": "audio/wav, 44 bytes: blaxel://calls/call_x"},
                {"type": "audio", "data": _base64(WAV), "mimeType": "audio/wav"},
            ],
            None,
            id="a sound",
        ),
        pytest.param(
            BinaryAnswer(b"PK\x03\x04", "application/zip"),
            [
                {
                    "type": "resource",
                    "resource": {
                        "uri": "blaxel://calls/call_x",
                        "mimeType": "application/zip",
                        "blob": _base64(b"PK\x03\x04"),
                    },
                }
            ],
            None,
            id="anything else",
        ),
        pytest.param(
            JSONAnswer("[1e400]", [float("inf")]),
            [{"type": "text", "text": "[1e400]"}],
            None,
            id="a number that only text can say",
        ),
    ],
)
async def test_a_small_answer_is_handed_over_as_it_is(
    store: CallStore, answer: Answer, content: list[Any], structured: Any
) -> None:
    shaped = await answer_result(answer, CallContext(call_id="call_x"), _policy(store))

    blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in shaped.content]
    assert (blocks, shaped.structured_content) == (content, structured)
    assert receipt_of(shaped)["truncated"] is False


async def test_a_long_answer_is_cut_and_read_on_where_its_sentence_says(store: CallStore) -> None:
    content = " ".join(map(str, range(3000)))
    context, policy = CallContext(), _policy(store, {"limits": {"max_result_chars": 2000}})

    result = await answer_result(_json({"choices": [{"text": content}]}), context, policy)

    assert receipt_of(result)["truncated"] is True
    assert result.structured_content == json.loads(text_of(result))
    assert len(text_of(result)) <= 2000
    assert context.call_id in result.structured_content[TRUNCATION_KEY]
    shown = result.structured_content["choices"][0]["text"].partition("... ")[0]
    arguments = {"call_id": context.call_id, "pointer": "/choices/0/text"}
    rest = [part async for part in _reading(policy, arguments, start=len(shown))]
    assert len(rest) > 3
    assert shown + "".join(rest) == content


async def test_a_large_answer_comes_together_again_byte_for_byte(store: CallStore) -> None:
    text = f"[{','.join([ROW] * 60_000)}]"
    policy = _policy(store, {"limits": {"max_result_chars": 500_000}})
    await store.put("call_1", JSONAnswer(text, None))

    parts = [part async for part in _reading(policy, {"call_id": "call_1"})]

    assert len(text.encode()) > 4_000_000
    assert len(parts) == -(-len(text) // 500_000)
    assert "".join(parts).encode() == text.encode()


@pytest.mark.parametrize("place", ["memory", "disk"])
async def test_a_long_answer_is_read_without_the_white_space_that_it_came_with(place: str, tmp_path: Path) -> None:
    text = f"[\n  {f' ,{chr(13)}{chr(10)}{chr(9)}'.join([ROW.replace(',', ' , ')] * 6000)} ]"
    compact = f"[{','.join([ROW] * 6000)}]"
    answer = read_answer(200, {"content-type": "application/json"}, text.encode())
    limits = StoreLimits(memory_bytes=0 if place == "disk" else 1 << 30)
    async with CallStore(spools=tmp_path / "one", limits=limits) as store:
        policy = _policy(store, {"limits": {"max_result_chars": 100_000}})
        shaped = await answer_result(answer, CallContext(call_id="call_1"), _policy(store))
        parts = [part async for part in _reading(policy, {"call_id": "call_1"})]
        again = await policy.store.get("call_1")

    assert receipt_of(shaped)["truncated"] is True
    assert len(text_of(shaped)) <= 40_000
    assert ("".join(parts), again.text) == (compact, compact)


async def test_a_long_answer_that_fits_without_its_white_space_is_shown_whole_as_spelled(
    store: CallStore,
) -> None:
    rows = [ROW] * 500
    text = "[" + ("," + " " * 300).join(rows) + "]"
    answer = read_answer(200, {"content-type": "application/json"}, text.encode())

    shaped = await answer_result(answer, CallContext(), _policy(store))

    assert text_of(shaped) == f"[{','.join(rows)}]"
    assert receipt_of(shaped)["truncated"] is False


async def test_vectors_with_white_space_between_their_numbers_are_told_in_short(store: CallStore) -> None:
    vector = [0.25, -1.5] * 20_000
    answer = read_answer(200, {"content-type": "application/json"}, json.dumps({"data": [vector]}, indent=1).encode())

    shaped = await answer_result(answer, CallContext(), _policy(store))

    assert shaped.structured_content is not None
    assert shaped.structured_content["data"][0]["vector"]["dimensions"] == 40_000


async def test_the_items_of_an_array_come_together_again_as_they_are_spelled(store: CallStore) -> None:
    rows = ",".join([ROW] * 2000)
    await store.put("call_1", JSONAnswer(f'{{"rows":[{rows}]}}', None))

    arguments = {"call_id": "call_1", "pointer": "/rows"}
    parts = [part async for part in _reading(_policy(store), arguments)]

    assert len(parts) > 3
    assert all(len(part) <= 40_000 for part in parts)
    assert ",".join(part[1:-1] for part in parts) == rows


DOCUMENT = JSONAnswer(
    '{"text":"hello world","n":1.10,"list":[1,"two",{"three":3}],"object":{"a":[1.10,2]}}',
    None,
)


@pytest.mark.parametrize(
    ("arguments", "text", "position"),
    [
        pytest.param({"pointer": "/text"}, "hello world", "[complete: 11 characters]", id="a string, verbatim"),
        pytest.param(
            {"pointer": "/text", "offset": 6}, "world", "[characters 6 to 11 of 11, the end]", id="from an offset on"
        ),
        pytest.param(
            {"pointer": "/text", "length": 5},
            "hello",
            '[characters 0 to 5 of 11; continue with read_result(call_id="call_1", pointer="/text", offset=5)]',
            id="so many characters",
        ),
        pytest.param({"pointer": "/n"}, "1.10", "[complete: 4 characters]", id="a number as it is spelled"),
        pytest.param({"pointer": "/list"}, '[1,"two",{"three":3}]', "[complete: 3 items]", id="an array"),
        pytest.param(
            {"pointer": "/list", "offset": 1, "length": 1},
            '["two"]',
            '[items 1 to 2 of 3; continue with read_result(call_id="call_1", pointer="/list", offset=2)]',
            id="an item",
        ),
        pytest.param({"pointer": "/object"}, '{"a":[1.10,2]}', "[complete: 14 characters]", id="an object"),
        pytest.param(
            {"pointer": "/object", "offset": 5},
            "[1.10,2]}",
            "[characters 5 to 14 of 14, the end]",
            id="within an object",
        ),
        pytest.param(
            {"offset": 1, "length": 6},
            '"text"',
            f'[characters 1 to 7 of {len(DOCUMENT.text)}; continue with read_result(call_id="call_1", offset=7)]',
            id="the text of the answer",
        ),
        pytest.param({"pointer": "/text", "offset": 11}, "", "[characters 11 to 11 of 11, the end]", id="at the end"),
    ],
)
async def test_any_part_can_be_read(store: CallStore, arguments: dict[str, Any], text: str, position: str) -> None:
    await store.put("call_1", DOCUMENT)

    result = await read_result({"call_id": "call_1", **arguments}, CallContext(), _policy(store))

    assert (text_of(result), _last_text(result)) == (text, position)
    assert result.structured_content is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"pointer": "/nope"}, "selects nothing at step 'nope'", id="a pointer to nothing"),
        pytest.param({"pointer": "/list", "offset": 9}, "the part has 3 items", id="past the end of an array"),
        pytest.param({"offset": 99_999}, "is past the end", id="past the end of the text"),
    ],
)
async def test_a_part_that_is_not_there_is_refused_with_what_is(
    store: CallStore, arguments: dict[str, Any], message: str
) -> None:
    await store.put("call_1", DOCUMENT)

    with pytest.raises(InvalidArgumentsError, match=message):
        await read_result({"call_id": "call_1", **arguments}, CallContext(), _policy(store))


async def test_a_pointer_into_text_and_an_unknown_call_say_what_to_do(store: CallStore) -> None:
    await store.put("call_1", TextAnswer("plain"))
    policy = _policy(store)

    with pytest.raises(InvalidArgumentsError, match="Omit `pointer`"):
        await read_result({"call_id": "call_1", "pointer": "/a"}, CallContext(), policy)
    with pytest.raises(BlaxelError, match="Take the call_id from a result's receipt") as caught:
        await read_result({"call_id": "call_2"}, CallContext(), policy)
    assert (caught.value.code, caught.value.billed) == ("not_found", "maybe")


async def test_an_object_or_item_too_long_for_one_result_is_cut_with_the_way_to_the_rest(store: CallStore) -> None:
    await store.put("call_1", _json({"rows": [{"text": "x" * 5000}, 2]}))
    policy = _policy(store, {"limits": {"max_result_chars": 1000}})

    whole = await read_result({"call_id": "call_1", "pointer": ""}, CallContext(), policy)
    item = await read_result({"call_id": "call_1", "pointer": "/rows"}, CallContext(), policy)

    for result in (whole, item):
        assert len(text_of(result)) <= 1000
        assert 'pointer="/rows/0/text", offset=' in json.loads(text_of(result))[TRUNCATION_KEY]
        assert receipt_of(result)["truncated"] is True
    assert _part(item)["next_offset"] == 1


async def test_media_within_json_become_blocks_and_the_rest_has_no_structured_content(store: CallStore) -> None:
    context, policy = CallContext(), _policy(store)
    answer = _json({"created": 1, "data": [{"b64_json": PNG64}]})

    result = await answer_result(answer, context, policy)

    text, picture = result.content
    reference = f"[image/png, {len(PNG)} bytes: see content block 2]"
    assert isinstance(text, types.TextContent)
    assert json.loads(text.text) == {"created": 1, "data": [{"b64_json": reference}]}
    assert picture == types.ImageContent(type="image", data=base64.b64encode(PNG).decode(), mime_type="image/png")
    assert result.structured_content is None
    again = await read_result({"call_id": context.call_id, "pointer": "/data/0/b64_json"}, CallContext(), policy)
    assert again.content[0] == picture
    verbatim = await read_result(
        {"call_id": context.call_id, "pointer": "/data/0/b64_json", "offset": 0}, CallContext(), policy
    )
    assert text_of(verbatim) == PNG64
    listed = await read_result({"call_id": context.call_id, "pointer": "/data"}, CallContext(), policy)
    assert (json.loads(text_of(listed)), listed.content[1]) == ([{"b64_json": reference}], picture)


@pytest.mark.parametrize(
    "own_folder", [pytest.param(False, id="the store's folder"), pytest.param(True, id="the user's")]
)
async def test_media_over_the_limit_become_a_file_and_a_link(
    store: CallStore, tmp_path: Path, own_folder: bool
) -> None:
    context = CallContext(model="house/../image")
    folder = tmp_path / "pictures"
    files = {"output_dir": str(folder) if own_folder else None}
    policy = _policy(store, {"limits": {"max_media_bytes": len(PNG) + 1}, "files": files})
    answer = _json({"data": [{"b64_json": PNG64}, {"b64_json": PNG64}]})

    result = await answer_result(answer, context, policy)

    _, picture, link, _ = result.content
    assert isinstance(picture, types.ImageContent)
    assert isinstance(link, types.ResourceLink)
    assert (link.uri, link.mime_type, link.size) == (
        f"blaxel://calls/{context.call_id}/data/1/b64_json",
        "image/png",
        len(PNG),
    )
    said = _last_text(result)
    (file,) = _pictures(tmp_path)
    assert str(file) in said
    assert link.uri in said
    assert file.read_bytes() == PNG
    assert file.name.endswith(link.name)
    assert link.name.startswith("house-..-image-")
    assert (file.parent == folder) is own_folder
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert receipt_of(result)["truncated"] is True


async def test_a_medium_that_is_the_whole_answer_is_told_of_in_the_first_block(store: CallStore) -> None:
    context = CallContext(model="painter")

    policy = _policy(store, {"limits": {"max_media_bytes": 0}})
    result = await answer_result(BinaryAnswer(PNG, "image/png"), context, policy)

    text, link = result.content
    assert isinstance(text, types.TextContent)
    assert text.text.startswith(f"The image/png of {len(PNG)} bytes is too large for this result. It is in the file /")
    assert isinstance(link, types.ResourceLink)
    assert link.uri == f"blaxel://calls/{context.call_id}"


async def test_pictures_of_one_answer_get_a_file_each_however_deep_they_are(store: CallStore, tmp_path: Path) -> None:
    policy = _policy(store, {"limits": {"max_media_bytes": 0}, "files": {"output_dir": str(tmp_path / "out")}})
    message = {"choices": [{"message": {"images": [{"image_url": {"b64_json": PNG64}}]}}]}

    await answer_result(_json({"outputs": [message] * 3}), CallContext(model="m" * 128), policy)

    assert len(_pictures(tmp_path / "out")) == 3


async def test_a_folder_that_cannot_be_written_to_loses_nothing(store: CallStore, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    policy = _policy(store, {"limits": {"max_media_bytes": 0}, "files": {"output_dir": str(tmp_path / "taken")}})
    context = CallContext()

    result = await answer_result(BinaryAnswer(PNG, "image/png"), context, policy)

    assert "It could not be written to a file: " in text_of(result)
    assert (await store.get(context.call_id)).data == PNG


@pytest.mark.skipif(sys.platform == "win32", reason="there, a home directory is found in another way")
async def test_without_a_home_directory_nothing_is_lost(store: CallStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    policy = _policy(store, {"limits": {"max_media_bytes": 0}, "files": {"output_dir": "~/media"}})

    result = await answer_result(BinaryAnswer(PNG, "image/png"), CallContext(), policy)

    assert "It could not be written to a file: Could not determine home directory. For" in text_of(result)


async def test_vectors_of_a_long_answer_are_told_in_short_and_can_be_read_whole(store: CallStore) -> None:
    vector = [number / 7 for number in range(500)]
    context, policy = CallContext(), _policy(store)

    result = await answer_result(_json({"data": [{"embedding": vector}], "model": "m"}), context, policy)

    assert result.structured_content is not None
    assert result.structured_content["data"][0]["embedding"]["vector"]["dimensions"] == 500
    assert result.structured_content == json.loads(text_of(result))
    assert result.structured_content[TRUNCATION_KEY] == (
        "One vector is summarized. Read one in full with read_result("
        f'call_id="{context.call_id}", pointer="/data/0/embedding").'
    )
    assert receipt_of(result)["truncated"] is True
    whole = await read_result({"call_id": context.call_id, "pointer": "/data/0/embedding"}, CallContext(), policy)
    assert json.loads(text_of(whole)) == vector


async def test_short_vectors_stay(store: CallStore) -> None:
    result = await answer_result(_json({"embedding": [0.5] * 100}), CallContext(), _policy(store))

    assert result.structured_content == {"embedding": [0.5] * 100}


@pytest.mark.parametrize(
    ("api", "value", "text"),
    [
        pytest.param(Speaking(), {"said": "Hello."}, "Hello.", id="the text alone"),
        pytest.param(Speaking(), {"else": 1}, '{"else":1}', id="an answer without one"),
        pytest.param(
            Speaking(), {"said": "Hello.", "schema": {"a": {"type": ["string", "null"]}}}, "Hello.", id="with a schema"
        ),
        pytest.param(None, {"said": "Hello."}, '{"said":"Hello."}', id="an API that is not known"),
    ],
)
async def test_a_result_can_be_the_models_text_alone(
    store: CallStore, api: ModelAPI | None, value: Any, text: str
) -> None:
    result = await answer_result(_json(value), CallContext(), _policy(store, kind="text", api=api))

    assert text_of(result) == text
    assert (result.structured_content is None) is (text == "Hello.")


async def test_a_models_long_text_is_cut_and_goes_on_where_it_stands_in_the_answer(store: CallStore) -> None:
    said = " ".join(map(str, range(3000)))
    context, policy = CallContext(), _policy(store, {"limits": {"max_result_chars": 1000}}, kind="text", api=Speaking())

    result = await answer_result(_json({"said": said}), context, policy)

    shown = text_of(result).rpartition("\n\n")[0]
    assert f'pointer="/said", offset={len(shown)}' in text_of(result)
    more = await read_result(
        {"call_id": context.call_id, "pointer": "/said", "offset": len(shown)}, CallContext(), policy
    )
    assert said.startswith(shown + text_of(more))


async def test_the_tool_says_what_it_takes(store: CallStore) -> None:
    tool = read_result_tool(_policy(store, {"tools": {"prefix": "bl_"}}, reader="bl_read_result"), CallRegistry())

    assert tool.name == "bl_read_result"
    assert len(tool.definition.model_dump_json()) < 1500
    with pytest.raises(InvalidArgumentsError, match="'call_id' is required"):
        tool.validator.validate({})
    with pytest.raises(InvalidArgumentsError, match="pointer: expected maxLength 10000"):
        tool.validator.validate({"call_id": "call_1", "pointer": "/a" * 6000})


LONE = "\\ud83d"
"""Half of a surrogate pair, as JSON spells it: the SDK cannot write it."""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"a":"half {LONE}","b":[1.10]}}', id="half a surrogate pair"),
        pytest.param('{"a":"x","b":[1e999]}', id="a number beyond the range"),
        pytest.param(f'{{"a":"x","b":{"[" * 150}{"]" * 150}}}', id="deep nesting"),
    ],
)
async def test_several_selected_parts_can_be_written_whatever_is_in_them(store: CallStore, body: str) -> None:
    answer = read_answer(200, {}, body.encode())
    result = await answer_result(answer, CallContext(), _policy(store, select=("/a", "/b")))

    assert result.model_dump_json()
    assert text_of(result).startswith('{"/a":')


async def test_an_object_whose_escapes_alone_are_too_long_is_read_complete_within_the_limit(store: CallStore) -> None:
    context, policy = CallContext(), _policy(store)
    escaped = "\\u00e9" * 30_000
    await answer_result(read_answer(200, {}, f'{{"a":"{escaped}"}}'.encode()), context, policy)
    result = await read_result({"call_id": context.call_id, "pointer": ""}, CallContext(), policy)

    assert text_of(result) == json.dumps({"a": "é" * 30_000}, ensure_ascii=False, separators=(",", ":"))


@pytest.mark.parametrize("part", ["[1]", f'["{PNG64}"]', f'"{PNG64}"'])
async def test_a_member_whose_name_cannot_be_written_can_be_read(store: CallStore, part: str) -> None:
    context, policy = CallContext(), _policy(store)
    await answer_result(read_answer(200, {}, f'{{"{LONE}":{part}}}'.encode()), context, policy)
    result = await read_result({"call_id": context.call_id, "pointer": "/\ud83d"}, CallContext(), policy)

    assert result.model_dump_json()


async def test_a_result_holds_as_many_of_many_long_parts_as_fit_and_says_how_to_read_the_others(
    store: CallStore,
) -> None:
    pointers = tuple(f"/{index}" for index in range(100))
    result = await answer_result(_json(["long " * 300] * 100), CallContext(), _policy(store, select=pointers))
    parts = json.loads(text_of(result))

    assert len(text_of(result)) < 50_000
    assert len(parts) + len(parts["not_selected"]) == 101
    assert 'pointer="/99") returns it' in parts["not_selected"]["/99"]


@pytest.mark.parametrize("form", ["similarity", "file"])
@pytest.mark.parametrize(
    "member",
    [
        pytest.param(f'"half {LONE}"', id="half a surrogate pair"),
        pytest.param("1e999", id="a number beyond the range"),
        pytest.param(f"{'[' * 150}{']' * 150}", id="deep nesting"),
        pytest.param(f'"{"long " * 20_000}"', id="a long text"),
    ],
)
async def test_another_form_of_vectors_is_short_and_can_be_written_whatever_is_beside_them(
    store: CallStore, form: str, member: str
) -> None:
    body = f'{{"data":[{{"embedding":[1,0]}},{{"embedding":[1,0.5]}}],"odd":{member}}}'
    answer = read_answer(200, {}, body.encode())
    result = await answer_result(answer, CallContext(), _policy(store, returns=form))

    assert result.model_dump_json()
    assert ("similarity" if form == "similarity" else "dimensions") in text_of(result)
    assert len(text_of(result)) < 40_000


@pytest.mark.parametrize("odd", ["0", "1e999"])
async def test_the_rest_of_a_models_text_begins_where_the_note_says(store: CallStore, odd: str) -> None:
    said = json.dumps('Line "1"\n' * 500)
    answer = read_answer(200, {}, f'{{"thoughts":"{"t" * 3000}","said":{said},"odd":{odd}}}'.encode())
    policy = _policy(store, {"limits": {"max_result_chars": 2000}}, kind="text", api=Speaking())
    shown = text_of(await answer_result(answer, CallContext(call_id="call_x"), policy))
    text, _, note = shown.rpartition("\n\n[")

    assert f'pointer="/said", offset={len(text)}' in note
