"""Names of tools: valid for every client, the same on every start, and unique."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.catalog.catalog import build_catalog, tool_name
from blaxel_mcp.catalog.records import ModelRecord
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from tests.properties.examples import any_text, tried

FITS = re.compile(r"[a-z0-9_-]{1,40}")
prefixes = st.from_regex(r"[a-z0-9_-]{0,20}", fullmatch=True)
models = st.from_regex(r"[A-Za-z0-9._-]{1,60}", fullmatch=True).filter(lambda name: name not in (".", ".."))


@tried(300)
@given(model=any_text | models, prefix=prefixes)
@example(model="\ud800", prefix="")
def test_every_model_has_a_tool_name_that_every_client_accepts(model: str, prefix: str) -> None:
    name = tool_name(model, prefix=prefix)

    assert FITS.fullmatch(name)
    assert name.startswith(prefix)
    assert name == tool_name(model, prefix=prefix)
    assert name.removeprefix(prefix) not in BUILTIN_TOOLS


@tried(200)
@given(found=st.lists(models, unique=True, max_size=8), prefix=prefixes)
@example(found=["GPT-4o", "gpt-4o-9b816f"], prefix="")
@example(found=["run-model", "run-model-bdf31a"], prefix="x")
def test_models_that_are_discovered_never_share_a_name(found: list[str], prefix: str) -> None:
    # The shortened name of one model may be the name of another.
    everything = sorted({*found, *(tool_name(model) for model in found)})
    settings = Settings(workspace="demo", tools={"prefix": prefix})

    catalog = build_catalog(settings, [ModelRecord(name=name) for name in everything])

    tools = [entry.tool.lower() for entry in catalog.entries]
    assert len(set(tools)) == len(tools)
    assert all(FITS.fullmatch(tool) for tool in tools)
    assert {entry.name for entry in catalog.entries} == set(everything)
