"""`blaxel-mcp init`: the settings file that it writes loads for any answer of the control plane."""

import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blaxel_mcp.catalog.catalog import build_catalog
from blaxel_mcp.catalog.records import ModelRecord, read_record
from blaxel_mcp.settings.loading import load_settings
from blaxel_mcp.setup.settings_file import first_settings, toml_string
from tests.properties.examples import tried


@tried(300)
@given(st.text(max_size=2000))
def test_any_text_survives_a_toml_string(text: str) -> None:
    readable = re.sub("[\ud800-\udfff]", "?", text[:500])

    written = toml_string(text)

    assert "\n" not in written
    assert tomllib.loads(f"key = {written}")["key"] == readable


NAMES = st.text(st.characters(codec="utf-8"), max_size=140) | st.from_regex(r"[A-Za-z0-9._-]{1,128}", fullmatch=True)


HOSTILE = st.sampled_from(['"""', "\n[[models]]\n", "# \r", "\x00\x7f\u2028", "${BL_API_KEY}", "x" * 10_000, "\\u0041"])


TEXTS = st.none() | HOSTILE | st.text(max_size=60)


@st.composite
def records_of_a_workspace(draw: st.DrawFn) -> list[ModelRecord]:
    """Generate model records as they are read from any answer of a control plane."""
    found = {}
    for name in draw(st.lists(NAMES, max_size=6)):
        runtime = {"type": draw(TEXTS | st.just("gemini") | st.just("openai")), "model": draw(TEXTS)}
        metadata = {"name": name, "displayName": draw(TEXTS), "url": draw(TEXTS)}
        spec = {"enabled": draw(st.booleans()), "sandbox": draw(st.booleans()), "runtime": runtime}
        record = read_record({"metadata": metadata, "spec": spec, "status": draw(TEXTS)})
        if record is not None:
            found[record.name] = record
    return list(found.values())


@tried(40)
@given(records_of_a_workspace())
def test_the_file_loads_and_makes_the_same_tools_for_any_records(
    tmp_path_factory: pytest.TempPathFactory, records: list[ModelRecord]
) -> None:
    file = tmp_path_factory.mktemp("init") / "config.toml"
    for empty in (False, True):
        written = first_settings("demo", [] if empty else records, empty=empty)
        file.write_text(written.text, encoding="utf-8")

        config = load_settings(config_file=file, environ={})

        assert config.warnings == ()
        assert tuple(model.name for model in config.settings.models) == written.listed
        assert [entry.name for entry in build_catalog(config.settings).entries] == list(written.listed)
