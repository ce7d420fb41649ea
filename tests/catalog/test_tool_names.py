"""Names that every client takes, the same on every start."""

import re

import pytest

from blaxel_mcp.catalog.tool_names import tool_name

FITS = re.compile(r"[a-z0-9_-]{1,40}")


@pytest.mark.parametrize(
    ("model", "name"),
    [
        pytest.param("gpt-4o-mini", "gpt-4o-mini", id="clean"),
        pytest.param("a" * 40, "a" * 40, id="as long as it may be"),
        pytest.param("GPT-4o", "gpt-4o-9b816f", id="capitals"),
        pytest.param("gpt-4.1", "gpt-4-1-5c51a6", id="a dot"),
        pytest.param("run-model", "run-model-bdf31a", id="a built-in tool's name, however spelled"),
        pytest.param("read_result", "read_result-8c9300", id="a name kept for later"),
        pytest.param("...", "model-ab5df6", id="nothing that fits"),
    ],
)
def test_a_models_name_is_fitted(model: str, name: str) -> None:
    assert tool_name(model) == name
    assert FITS.fullmatch(tool_name(model))


def test_names_that_would_be_cut_to_the_same_stay_apart() -> None:
    names = {tool_name("x" * 45 + end) for end in ("a", "b", "c")}

    assert len(names) == 3
    assert all(FITS.fullmatch(name) for name in names)


def test_models_that_differ_in_case_or_punctuation_stay_apart() -> None:
    models = ["gpt-4.1", "gpt-4-1", "GPT-4.1", "gpt 4.1", "gpt_4.1"]

    assert len({tool_name(model) for model in models}) == len(models)


def test_a_prefix_counts_against_the_length() -> None:
    assert tool_name("chat", prefix="acme_") == "acme_chat"
    assert len(tool_name("x" * 40, prefix="acme_")) == 40
