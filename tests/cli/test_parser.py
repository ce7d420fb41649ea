"""The help of each command: a summary, a paragraph, and examples that work when pasted."""

import pytest

from blaxel_mcp.cli.commands import COMMANDS, CommandSpec
from blaxel_mcp.cli.parser import build_parser, parse_command_line
from tests.support.docs_pages import commands

EXAMPLES = [(command.name, example) for command in COMMANDS for example in command.examples]

each_command = pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])


@each_command
def test_a_command_has_a_one_line_summary_a_paragraph_and_two_to_four_examples(command: CommandSpec) -> None:
    assert "\n" not in command.summary + command.description
    assert not command.summary.endswith(".")
    assert command.description.endswith(".")
    assert 2 <= len(command.examples) <= 4


@each_command
def test_the_help_of_a_command_fits_a_terminal_but_for_its_examples(
    command: CommandSpec, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")

    with pytest.raises(SystemExit):
        build_parser().parse_args([command.name, "--help"])

    text, _, examples = capsys.readouterr().out.partition("\nexamples:\n")
    assert max(map(len, text.splitlines())) <= 80
    assert examples.splitlines() == [f"  {example}" for example in command.examples]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example for _, example in EXAMPLES])
def test_an_example_is_a_command_line_of_its_command(name: str, example: str) -> None:
    (words,) = commands(example)

    assert build_parser().parse_args(words).command == name


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["usage", "--days", "0"], "--days: must be a whole number from 1 to 400, not '0'", id="too few"),
        pytest.param(["usage", "--days", "two"], "--days: must be a whole number from 1", id="no number"),
        pytest.param(["serve", "--port", "65536"], "--port: must be a whole number from 0 to 65535", id="too many"),
        pytest.param(["serve", "--port", "9" * 5000], "--port: must be a whole number from 0 to 65535", id="very many"),
        pytest.param(["serve", "--workers", "-1"], "--workers: must be a whole number from 1 to 64", id="negative"),
    ],
)
def test_a_number_out_of_range_is_refused_with_the_range(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(words)

    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("blank", ["", " ", "${FILE}"])
@pytest.mark.parametrize(
    "words",
    [
        ["install", "cursor", "--file"],
        ["run", "m", "--file"],
        ["run", "m", "--save"],
        ["run", "m", "--attach"],
        ["run", "m", "--upload-file"],
        ["compare", "m", "n", "Hi", "--attach"],
    ],
)
def test_a_file_that_is_not_named_is_refused(words: list[str], blank: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_command_line([*words, blank])

    assert ended.value.code == 2
    assert f"{words[-1]}" in capsys.readouterr().err


def test_a_common_option_may_precede_or_follow_the_command() -> None:
    for words in (["--config", "a.toml", "models"], ["models", "--config", "a.toml"]):
        assert build_parser().parse_args(words).config == "a.toml"
    assert build_parser().parse_args(["--demo", "models", "--log-level", "info"]).demo is True


@pytest.mark.parametrize(
    "words",
    [
        ["--transport", "http", "--port", "0"],
        ["--transport=http", "--port=0"],
        ["--log-level", "info", "--transport", "http", "--port", "0"],
        ["serve", "--transport", "http", "--port", "0"],
    ],
)
def test_the_options_of_serve_need_no_serve(words: list[str]) -> None:
    options = parse_command_line(words)

    assert (options.command, options.transport, options.port, options.workers) == ("serve", "http", 0, 1)


@pytest.mark.parametrize("words", [["serve"], ["serve", "--transport", "stdio"], []])
@pytest.mark.parametrize("option", [["--port", "9000"], ["--host=127.0.0.1"], ["--workers", "1"]])
def test_an_option_of_http_without_http_is_an_error(
    words: list[str], option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_command_line([*words, *option])

    assert ended.value.code == 2
    name = option[0].partition("=")[0]
    assert f"{name} is an option of the HTTP transport: add `--transport http`" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["--demo"], ["serve"], ["emulator", "--port", "0"]])
def test_a_command_line_without_options_of_http_is_taken_as_it_is(words: list[str]) -> None:
    options = parse_command_line(words)

    assert options.command == ("emulator" if "emulator" in words else "serve")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["run", "m", "What", "is"], "put the question in quotes", id="a question in several words"),
        pytest.param(["run", "m", "--sytem", "x"], "did you mean --system?", id="a misspelled option"),
        pytest.param(["modles"], "did you mean `blaxel-mcp models`?", id="a misspelled command"),
    ],
)
def test_a_mistake_gets_two_lines_with_what_to_type(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        build_parser().parse_args(words)

    assert ended.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert problem in first
    assert second.startswith("Try `blaxel-mcp")
    assert second.endswith(" --help`.")


def test_an_option_may_stand_between_two_arguments() -> None:
    options = build_parser().parse_args(["run", "m", "--demo", "-s", "Be brief", "a question", "-o", "a=1"])

    assert (options.model, options.text, options.system, options.option) == ("m", "a question", "Be brief", ["a=1"])
