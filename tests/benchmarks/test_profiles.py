"""The shares of packages in a profile."""

import pytest

from benchmarks.profiles import Function, charged, layers_table, package_of, shares

CALL: Function = ("/src/blaxel_mcp/inference/inference.py", 1, "run")
SEND: Function = ("/env/lib/python3.11/site-packages/httpx/_client.py", 1, "send")
WAIT: Function = ("~", 0, "<method 'poll' of 'select.epoll' objects>")


@pytest.mark.parametrize(
    ("function", "package"),
    [
        (CALL, "blaxel_mcp.inference"),
        (("/src/blaxel_mcp/__main__.py", 1, "main"), "blaxel_mcp"),
        (SEND, "httpx"),
        (("/env/lib/site-packages/typing_extensions.py", 1, "f"), "typing_extensions"),
        (("/usr/lib/python3.11/asyncio/events.py", 80, "_run"), "asyncio"),
        (("/usr/lib/python3.11/json/encoder.py", 80, "f"), "standard library"),
        (("~", 0, "<built-in method builtins.len>"), "built-in functions"),
        (WAIT, "waiting"),
    ],
)
def test_a_function_belongs_to_a_package(function: Function, package: str) -> None:
    assert package_of(function) == package


def test_waiting_is_no_work_and_the_largest_share_comes_first() -> None:
    measured = shares({SEND: 1.0, CALL: 3.0, WAIT: 50.0})

    assert [package for package, _ in measured] == ["blaxel_mcp.inference", "httpx"]
    assert dict(measured) == pytest.approx({"blaxel_mcp.inference": 0.75, "httpx": 0.25})


def test_the_layers_of_several_rows_are_one_table() -> None:
    per_row = {"p50": [("blaxel_mcp.core", 0.25), ("blaxel_mcp.tools", 0.25), ("h11", 0.5)], "1mb": [("asyncio", 1.0)]}

    assert layers_table(per_row).splitlines()[2:] == [
        "| this server | 50 % | 0 % |",
        "| SDK, pydantic | 0 % | 0 % |",
        "| httpx, httpcore, h11 | 50 % | 0 % |",
        "| anyio, event loop | 0 % | 100 % |",
        "| rest | 0 % | 0 % |",
    ]


def test_a_built_in_function_is_charged_to_its_callers() -> None:
    dumps: Function = ("~", 0, "<built-in method dumps>")
    callers = {CALL: (1, 1, 0.5, 0.5), SEND: (1, 1, 0.25, 0.25)}
    stats = {
        CALL: (1, 1, 1.0, 2.0, {}),
        WAIT: (1, 1, 9.0, 9.0, {CALL: (1, 1, 9.0, 9.0)}),
        dumps: (2, 2, 0.75, 0.75, callers),
    }

    assert charged(stats) == {CALL: 1.5, SEND: 0.25, WAIT: 9.0}
