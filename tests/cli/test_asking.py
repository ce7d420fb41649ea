"""`blaxel-mcp run MODEL "text"`: a question becomes the body that the model's own tool would send."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest

from blaxel_mcp.apis import APIS
from blaxel_mcp.cli.main import main
from blaxel_mcp.cli.run_output import print_answer, save_media
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.inference.answers import JSONAnswer, TextAnswer
from blaxel_mcp.tools.results.media import Media

PICTURE = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\x02\0\0\0\x90wS\xde"


def piped(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.fixture(autouse=True)
def _nothing_is_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    piped(monkeypatch, "")


def last_body(platform: Emulator) -> Any:
    return json.loads(platform.requests[-1].body)


@pytest.mark.parametrize(
    "model", ["house-chat", "house-claude", "house-gemini", "house-cohere", "edge-chat", "sandbox-openai"]
)
@pytest.mark.usefixtures("platform")
def test_a_question_gets_the_text_of_the_answer_alone(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", model, "What is 17 * 23?"]) == 0

    assert capsys.readouterr() == ("17 * 23 = 391\n", "")


def test_the_body_is_that_of_the_models_own_tool(platform: Emulator) -> None:
    assert main(["run", "house-chat", "-s", "Be brief", "Hi", "-o", "max_tokens=7", "--option", "user=me"]) == 0

    assert last_body(platform) == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "max_tokens": 7,
        "user": "me",
    }


def test_text_on_stdin_is_the_question_or_the_material_of_one(
    platform: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = []
    for words in ([], ["Translate:"]):
        piped(monkeypatch, "Guten Tag\n")
        assert main(["run", "house-chat", *words]) == 0
        contents.append(last_body(platform)["messages"][0]["content"])

    assert contents == ["Guten Tag", "Translate:\n\nGuten Tag"]


def test_attached_files_need_no_allowed_folder_and_may_be_relative(
    platform: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("picture.png").write_bytes(PICTURE)
    Path("notes.txt").write_text("some notes")

    assert main(["run", "house-chat", "Compare", "-a", "picture.png", "--attach", "notes.txt"]) == 0

    text, picture = last_body(platform)["messages"][0]["content"]
    assert text == {"type": "text", "text": "Compare\n\nsome notes"}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,")


@pytest.mark.usefixtures("platform")
def test_documents_to_rank_are_the_lines_of_the_material(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    piped(monkeypatch, "a cat\n\na house\n")

    assert main(["run", "house-rerank", "house"]) == 0

    assert [result["index"] for result in json.loads(capsys.readouterr().out)["results"]] == [1, 0]


@pytest.mark.usefixtures("platform")
def test_a_pipe_gets_several_pictures_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "house-painter", "a house", "-o", "n=2"]) == 0

    pictures = json.loads(capsys.readouterr().out)["data"]
    assert [base64.b64decode(picture["b64_json"])[:4] for picture in pictures] == [b"\x89PNG"] * 2


def test_a_picture_beside_a_text_is_saved_in_a_pipe_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(PICTURE * 20).decode()}}
    value = {"candidates": [{"content": {"role": "model", "parts": [{"text": "A house."}, picture]}}]}

    (api,) = (api for api in APIS if api.name == "generate-content")

    print_answer(JSONAnswer(json.dumps(value), value), "m", api, None, as_json=False, printed=False)

    printed = capsys.readouterr()
    assert printed.out == "A house.\n"
    assert f"is saved as {tmp_path / 'm.png'}." in printed.err
    assert (tmp_path / "m.png").read_bytes() == PICTURE * 20


@pytest.mark.usefixtures("platform")
def test_a_pipe_gets_the_bytes_of_a_picture_and_a_sound(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main(["run", "house-painter", "a house"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"\x89PNG")
    assert main(["run", "house-voice", "Hello"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"RIFF")


@pytest.mark.parametrize(
    ("model", "beginning"), [("house-painter", b"\x89PNG"), ("house-chat", b"You said"), ("house-embed", b"{")]
)
@pytest.mark.usefixtures("platform")
def test_an_answer_is_saved_in_the_named_file_which_is_printed(
    model: str, beginning: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer"
    file.write_text("replaced")

    assert main(["run", model, "a house", "--save", str(file)]) == 0

    assert file.read_bytes().startswith(beginning)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert str(file) in printed.err


def test_a_file_that_cannot_be_saved_is_refused_before_anything_is_sent(
    platform: Emulator, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in ("/none/such/file", "/", "/proc/answer", f"/tmp/{'a' * 300}"):  # noqa: S108 - it is never made
        assert main(["run", "house-chat", "Hi", "--save", file]) == 2
        assert f"--save {file!r} cannot be written: " in capsys.readouterr().err

    assert not platform.requests


def test_a_file_to_save_is_not_made_or_changed_by_a_call_that_fails(platform: Emulator, tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    folder.mkdir()
    (folder / "old").write_text("kept")
    for name in ("new", "old"):
        assert main(["run", "fault-500", "Hi", "--save", str(folder / name)]) == 1

    assert platform.requests
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("old", "kept")]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="only Linux has a folder that root cannot write into")
def test_each_medium_is_kept_although_none_can_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir("/proc/self")

    with pytest.raises(BlaxelError) as raised:
        save_media([("m", [Media(b"1", "image/png"), Media(b"2", "image/png")]), ("n", [Media(b"3", "audio/wav")])])

    kept = {file.read_bytes(): str(file) for file in tmp_path.rglob("*.*") if file.is_file()}
    texts = [str(raised.value), *capsys.readouterr().err.splitlines()]
    assert [any(f"is in {kept[data]} instead." in text for text in texts) for data in (b"1", b"2", b"3")] == [True] * 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.usefixtures("platform")
def test_a_paid_answer_that_cannot_be_saved_is_kept_elsewhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    assert main(["run", "house-chat", "What is 17 * 23?", "--save", "/dev/full"]) == 2

    (kept,) = [file for file in (tmp_path / "temporary").rglob("*") if file.is_file()]
    assert kept.read_text() == "17 * 23 = 391\n"
    assert f"It has been billed, and is in {kept} instead." in capsys.readouterr().err


def test_half_a_character_in_an_answer_is_saved_escaped(tmp_path: Path) -> None:
    print_answer(TextAnswer("half \ud83d"), "m", None, str(tmp_path / "answer"), as_json=False, printed=False)

    assert (tmp_path / "answer").read_text() == "half \\ud83d\n"


@pytest.mark.usefixtures("platform")
def test_json_is_that_of_the_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    for more in ([], ["--stream"]):
        assert main(["run", "house-chat", "What is 6 * 7?", "--json", *more]) == 0

        assert json.loads(capsys.readouterr().out)["choices"][0]["message"]["content"] == "6 * 7 = 42"


def test_the_spellings_of_blaxels_own_command_line_are_understood(platform: Emulator, tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    files = [tmp_path / "body.json", tmp_path / "body.yaml"]
    files[0].write_text(json.dumps(body))
    files[1].write_text("messages:\n- role: user\n  content: Hi\n")

    for options in (["-d", json.dumps(body)], ["--file", str(files[0])], ["-f", str(files[1])]):
        words = [*options, "--params", "a=1", "--params", "b=2", "--header", "X-Trace: on"]
        assert main(["run", "house-chat", *words]) == 0
        request = platform.requests[-1]
        assert request.raw_path.endswith(b"?a=1&b=2")
        assert dict(request.headers)["x-trace"] == "on"
        assert last_body(platform)["messages"] == body["messages"]


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("day: 2024-01-31\nat: 2024-01-31 10:00:00", {"day": "2024-01-31", "at": "2024-01-31 10:00:00"}),
        ("2024-01-31: x", None),
        ("letters: !!set {x, y}", None),
        ("data: !!binary aGk=", None),
    ],
)
def test_yaml_becomes_json_if_json_has_such_values(
    platform: Emulator, text: str, body: dict[str, str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "body.yaml").write_text(text)

    code = main(["run", "house-chat", "--file", str(tmp_path / "body.yaml")])

    if body is None:
        assert code == 2
        assert f"The data from {tmp_path / 'body.yaml'} is not JSON: " in capsys.readouterr().err
    else:
        assert last_body(platform) == {"model": "gpt-4o-mini", **body}


def test_an_uploaded_file_is_the_whole_body(platform: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "data.bin"
    file.write_bytes(b"\x01\x02three")

    main(["run", "house-classifier", "--upload-file", str(file)])

    assert platform.requests[-1].body == b"\x01\x02three"


@pytest.mark.usefixtures("platform")
def test_debug_prints_the_exchange_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "house-chat", "Hi", "--debug", "--header", "X-Team-Secret: hidden-value"]

    assert main(words) == 0

    shown = capsys.readouterr().err
    assert "> POST http://127.0.0.1:" in shown
    assert "> X-Blaxel-Authorization: Bearer ********" in shown
    assert '"content":"Hi"' in shown
    assert "< 200" in shown
    assert "< content-type: application/json" in shown
    assert "hidden-value" not in shown


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["house-chat", "Hi", "--data", "{}"], "whole request body", id="a question and a body"),
        pytest.param(["house-chat", "--file", "x", "--data", "{}"], "--file", id="two bodies"),
        pytest.param(["house-chat", "Hi", "--method", "GET"], "POST", id="a question with GET"),
        pytest.param(["house-chat", "Hi", "-a", "/none/such"], "/none/such", id="no such file"),
        pytest.param(["house-chat", "Hi", "-o", "max_tokens"], "NAME=VALUE", id="an option without a value"),
        pytest.param(["house-chat", "Hi", "-o", "max_tokens=many"], "max_tokens", id="an option of the wrong type"),
        pytest.param(["house-embed", "Hi", "-s", "Be brief"], "--system", id="a system text for an embedding"),
        pytest.param(["house-chat", "Hi", "--param", " =1"], "NAME=VALUE", id="a parameter without a name"),
        pytest.param(["house-chat", " \n"], "no message", id="a blank question"),
        pytest.param(["house-chat", "Hi", "--path", "/v1/../x"], "invalid_arguments: The path", id="a path with dots"),
        pytest.param(["house-chat", "Hi", "--header", "X"], "NAME: VALUE", id="a header without a value"),
        pytest.param(["house-chat", "Hi", "--header", "Authorization: Bearer x"], "reserved", id="a reserved header"),
        pytest.param(["house-chat", "--data", "What is 6 * 7?"], 'run MODEL "text"', id="a question as a body"),
    ],
)
def test_a_mistake_is_reported_and_nothing_is_sent(
    platform: Emulator, words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *words]) == 2

    assert problem in capsys.readouterr().err
    assert not [request for request in platform.requests if request.method == "POST"]


@pytest.mark.usefixtures("platform")
def test_a_stream_that_breaks_keeps_its_text_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "fault-stream-cut", "Hi", "--stream"]) == 1

    printed = capsys.readouterr()
    assert printed.out == "I count\n"
    assert "bad_response" in printed.err
    assert "The answer above is incomplete. It was probably billed." in printed.err


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 200])
@pytest.mark.usefixtures("platform")
def test_a_name_that_no_model_has_is_a_mistake_of_usage(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["run", name, "Hi"], ["run", name, "--data", "{}"], ["compare", name, "house-chat", "Hi"]):
        assert main(words) == 2
        assert "cannot be the name of a model" in capsys.readouterr().err


def test_without_a_network_the_failure_is_that_of_the_network(
    platform: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BL_API_URL", "http://127.0.0.1:1/v0")

    assert main(["run", "house-chat", "Hi"]) == 1
    assert "network_error: 127.0.0.1:1 could not be reached: it refused the connection" in capsys.readouterr().err
    assert platform.requests == []


@pytest.mark.parametrize(("model", "code"), [("house-chat", 2), ("house-claude", 2), ("house-gemini", 0)])
@pytest.mark.usefixtures("platform")
def test_a_sound_is_sent_only_to_an_api_that_takes_it(
    model: str, code: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "note.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(28))

    assert main(["run", model, "What is said?", "-a", str(tmp_path / "note.wav")]) == code
    assert ("does not take audio/wav files" in capsys.readouterr().err) == bool(code)


@pytest.mark.usefixtures("platform")
def test_an_unknown_model_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "hose-chat", "Hi"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("blaxel-mcp: unknown_model: ")


@pytest.mark.usefixtures("platform")
def test_a_question_from_a_shell_without_utf8_is_read_as_utf8(capsys: pytest.CaptureFixture[str]) -> None:
    in_ascii = "Grüße".encode().decode("ascii", "surrogateescape")

    assert main(["run", "house-chat", in_ascii]) == 0
    assert "Grüße" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "guess"),
    [
        (["rnu", "house-chat"], "did you mean `blaxel-mcp run`?"),
        (["run", "house-chat", "--jsno"], "did you mean --json?"),
        (["usage", "--day=3"], "did you mean --days?"),
        (["run", "hose-chat", "Hi"], "Did you mean 'house-chat'?"),
    ],
)
@pytest.mark.usefixtures("platform")
def test_a_misspelled_word_gets_a_suggestion(words: list[str], guess: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main(words)
    except SystemExit as ended:
        code = int(ended.code or 0)

    assert code in (1, 2)
    assert guess in capsys.readouterr().err
