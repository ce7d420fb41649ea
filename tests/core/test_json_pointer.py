"""JSON Pointers on JSON text: each part is returned verbatim, each failure is explained."""

import pytest

from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_pointer import find_string, items, locate, spell

# The document of RFC 6901, section 5.
RFC = '{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\\\j":5,"k\\"l":6," ":7,"m~n":8}'


@pytest.mark.parametrize(
    ("pointer", "part"),
    [
        ("", RFC),
        ("/foo", '["bar","baz"]'),
        ("/foo/0", '"bar"'),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ('/k"l', "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ],
)
def test_the_examples_of_the_rfc_hold(pointer: str, part: str) -> None:
    assert RFC[locate(RFC, pointer)] == part


@pytest.mark.parametrize(
    ("text", "pointer", "part"),
    [
        pytest.param('{"a":1.10}', "/a", "1.10", id="a number as it is spelled"),
        pytest.param('{"a":-0.0,"b":1e400}', "/b", "1e400", id="a number beyond a float"),
        pytest.param('[ { "a" : [ 1 , 2 ] } ]', "/0/a/1", "2", id="white space"),
        pytest.param('{"a":1,"a":2}', "/a", "1", id="a name given twice"),
        pytest.param('{"\\u0061":"\\ud800"}', "/a", '"\\ud800"', id="escapes"),
        pytest.param('["]","}",{"x":"[{"},3]', "/3", "3", id="brackets within strings"),
        pytest.param(" 5 ", "", "5", id="the whole"),
    ],
)
def test_a_part_is_exactly_what_stands_there(text: str, pointer: str, part: str) -> None:
    assert text[locate(text, pointer)] == part


@pytest.mark.parametrize(
    ("pointer", "message"),
    [
        pytest.param("foo", "The pointer 'foo' does not begin with '/'.", id="no slash"),
        pytest.param(
            "/foo/2",
            "The pointer selects nothing at step '2': the value at '/foo' is an array of 2 items, counted from 0.",
            id="past the end",
        ),
        pytest.param(
            "/foo/-",
            "The pointer selects nothing at step '-': the value at '/foo' is an array of 2 items, selected by index.",
            id="not an index",
        ),
        pytest.param(
            "/foo/01",
            "The pointer selects nothing at step '01': the value at '/foo' is an array of 2 items, selected by index.",
            id="an index with a zero before it",
        ),
        pytest.param(
            "/foo/0/x",
            "The pointer selects nothing at step 'x': the value at '/foo/0' is a string and has no parts.",
            id="into a string",
        ),
        pytest.param(
            "/nope",
            "The pointer selects nothing at step 'nope': the top level is an object with the members "
            "'foo', '', 'a/b', 'c%d', 'e^f', 'g|h', 'i\\\\j', 'k\"l', ' ', 'm~n'.",
            id="no such name",
        ),
    ],
)
def test_a_dead_end_names_the_step_and_what_is_there(pointer: str, message: str) -> None:
    with pytest.raises(InvalidArgumentsError) as caught:
        locate(RFC, pointer)

    assert caught.value.message == message


@pytest.mark.parametrize("text", ["[]", '[ 1 ,[2,3], {"a":[4]} ]', '["a,b"]'])
def test_the_items_of_an_array_are_found_one_by_one(text: str) -> None:
    expected = {"[]": [], '["a,b"]': ['"a,b"']}.get(text, ["1", "[2,3]", '{"a":[4]}'])

    assert [text[place] for place in items(text)] == expected


def test_a_string_is_found_by_what_it_says() -> None:
    assert find_string({"a/b": [1, {"~": "here"}]}, "here") == "/a~1b/1/~0"
    assert find_string("here", "here") == ""
    assert find_string({"here": 1}, "here") is None
    assert spell(["a/b", 1, "~"]) == "/a~1b/1/~0"
