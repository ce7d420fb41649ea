"""Sub-endpoints and base URLs: what is refused, what goes through and what comes out."""

from typing import Any

import pytest

from blaxel_mcp.client.endpoints import (
    Endpoint,
    check_model_name,
    classic_base,
    endpoint_url,
    resolve_base,
    split_path,
)
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.settings.schema import Settings

GOOD_PATHS = [
    ("", ("", "")),
    ("/", ("", "")),
    ("?", ("", "")),
    ("/?a=b", ("", "a=b")),
    ("?a=b", ("", "a=b")),
    ("v1/chat/completions", ("/v1/chat/completions", "")),
    ("/v1/chat/completions", ("/v1/chat/completions", "")),
    ("/v1/messages", ("/v1/messages", "")),
    ("/v2/chat", ("/v2/chat", "")),
    ("/v1/models/", ("/v1/models/", "")),
    ("/v1beta/models/gemini-2.5-pro:generateContent", ("/v1beta/models/gemini-2.5-pro:generateContent", "")),
    ("/v1beta/models/g:streamGenerateContent?alt=sse", ("/v1beta/models/g:streamGenerateContent", "alt=sse")),
    ("/v1/models?limit=2&after=x", ("/v1/models", "limit=2&after=x")),
    ("/v1/files/a b.txt", ("/v1/files/a%20b.txt", "")),
    ("/v1/files/a%20b.txt", ("/v1/files/a%20b.txt", "")),
    ("/v1/café", ("/v1/caf%C3%A9", "")),
    ("/v1/caf%C3%A9", ("/v1/caf%C3%A9", "")),
    ("/v1/caf%c3%a9", ("/v1/caf%c3%a9", "")),
    ("/v1/模型", ("/v1/%E6%A8%A1%E5%9E%8B", "")),
    ("/v1/50%25", ("/v1/50%25", "")),
    ("/v1/x%25zz", ("/v1/x%25zz", "")),
    ("/.well-known/openid", ("/.well-known/openid", "")),
    ("/v1/..a", ("/v1/..a", "")),
    ("/v1/a..b", ("/v1/a..b", "")),
    ("/v1/a.", ("/v1/a.", "")),
    ("/v1/a;version=2", ("/v1/a;version=2", "")),
    ("/v1/a@b,c+d=(e)", ("/v1/a@b,c+d=(e)", "")),
    ("/v1/<a>|b", ("/v1/%3Ca%3E%7Cb", "")),
    ("/models/http:x", ("/models/http:x", "")),
    ("/v1/x?q=two words", ("/v1/x", "q=two%20words")),
    ("/v1/x?q=é", ("/v1/x", "q=%C3%A9")),
    ("/v1/x?next=https://a.example/../b?c", ("/v1/x", "next=https://a.example/../b?c")),
    ("/v1/x?q=%2F%5C%23", ("/v1/x", "q=%2F%5C%23")),
    ("/" + "a" * 1999, ("/" + "a" * 1999, "")),
]


@pytest.mark.parametrize(("path", "expected"), GOOD_PATHS, ids=[ascii(path)[:40] for path, _ in GOOD_PATHS])
def test_plain_path_is_split_and_encoded(path: str, expected: tuple[str, str]) -> None:
    assert split_path(path) == expected


@pytest.mark.parametrize("path", [path for path, _ in GOOD_PATHS if len(path) < 100], ids=ascii)
def test_encoding_twice_is_encoding_once(path: str) -> None:
    once = split_path(path)
    assert split_path(once[0] + ("?" + once[1] if once[1] else "")) == once


_URL = "it is a complete URL, and only the server's settings choose the host"
_DOTS = "it contains a segment of only dots"
_EMPTY = "it contains an empty segment"
_SLASH = "it contains an encoded slash"
_BACKSLASH = "it contains a backslash"
_CONTROL = "it contains a control or an invisible character"
_FRAGMENT = "it contains a '#', and a fragment is never sent"
_ESCAPE = "it contains a '%' without two hexadecimal digits; write '%25' for a percent sign"
_NOT_UTF8 = "its percent escapes are not UTF-8"
_CUT = "it contains an encoded question mark"

HOSTILE_PATHS = [
    ("http://evil.example/v1", _URL),
    ("https://run.blaxel.ai/acme/models/x", _URL),
    ("HTTPS://evil.example", _URL),
    ("http:/evil.example", _URL),
    ("file:///etc/passwd", _URL),
    ("git+ssh://evil.example/x", _URL),
    ("//evil.example/v1", "it begins with two slashes"),
    ("///evil.example", "it begins with two slashes"),
    ("//", "it begins with two slashes"),
    ("/v1//chat", _EMPTY),
    ("/v1/chat//", _EMPTY),
    ("v1//", _EMPTY),
    ("/v1/%20/chat", _EMPTY),
    ("/v1/ /chat", _EMPTY),
    ("/v1/;a=b/chat", _EMPTY),
    ("/%2F/evil.example", _SLASH),
    ("\\\\evil.example\\v1", _BACKSLASH),
    ("/\\evil.example", _BACKSLASH),
    ("/v1\\..\\admin", _BACKSLASH),
    ("/v1/%5C..%5Cadmin", _BACKSLASH),
    ("/v1/%5c", _BACKSLASH),
    ("/v1/%255c", _BACKSLASH),
    ("/v1/%25255C", _BACKSLASH),
    ("/v1/\uff3cx", _BACKSLASH),
    ("/v1/%EF%BC%BCx", _BACKSLASH),
    ("..", _DOTS),
    (".", _DOTS),
    ("../other/v1", _DOTS),
    ("/../../other", _DOTS),
    ("/v1/../../other", _DOTS),
    ("/v1/./chat", _DOTS),
    ("/v1/..", _DOTS),
    ("/v1/../", _DOTS),
    ("/v1/...", _DOTS),
    ("/v1/%2e%2e/x", _DOTS),
    ("/v1/%2E%2E/x", _DOTS),
    ("/v1/.%2e/x", _DOTS),
    ("/v1/%2e./x", _DOTS),
    ("/v1/%2e", _DOTS),
    ("/v1/%252e%252e/x", _DOTS),
    ("/v1/%25252e%25252e/x", _DOTS),
    ("/v1/%2525252e./x", _DOTS),
    ("/v1/%252e%2e/x", _DOTS),
    ("/v1/%%32%65", _ESCAPE),
    ("/v1/%25%32%65%2e", _DOTS),
    ("/v1/\uff0e\uff0e/x", _DOTS),
    ("/v1/%EF%BC%8E%EF%BC%8E/x", _DOTS),
    ("/v1/‥/x", _DOTS),
    ("/v1/\u2024\u2024/x", _DOTS),
    ("/v1/﹒﹒/x", _DOTS),
    ("/v1/…/x", _DOTS),
    ("/v1/\uff052e\uff052e/x", _DOTS),
    ("/v1/..;/x", _DOTS),
    ("/v1/..;a=b/x", _DOTS),
    ("/v1/.;x", _DOTS),
    ("/v1/..%3Bx/y", _DOTS),
    ("/v1/%2e%2e%3b/y", _DOTS),
    ("/v1/ ../x", _DOTS),
    ("/v1/..%20/x", _DOTS),
    ("/v1/%C0%AE%C0%AE/x", _NOT_UTF8),
    ("/v1/%c0%af", _NOT_UTF8),
    ("/v1/%E0%80%AE", _NOT_UTF8),
    ("/v1/%F0%80%80%AE", _NOT_UTF8),
    ("/v1/%25C0%25AE", _NOT_UTF8),
    ("/v1/%FF", _NOT_UTF8),
    ("/v1/%ED%A0%80", _NOT_UTF8),
    ("/v1%2fchat", _SLASH),
    ("/v1%2F..%2F..%2Fother", _SLASH),
    ("/v1%252fchat", _SLASH),
    ("/v1%25252Fchat", _SLASH),
    ("/v1\uff0fchat", _SLASH),
    ("/v1/%EF%BC%8Fchat", _SLASH),
    ("/v1/℀", _SLASH),
    ("/v1/x%3Fadmin", _CUT),
    ("/v1/x%253Fadmin", _CUT),
    ("/v1/x\uff1fadmin", _CUT),
    ("/v1/x%23y", "it contains an encoded '#'"),
    ("/v1/chat#top", _FRAGMENT),
    ("#", _FRAGMENT),
    ("/v1/x?q=1#top", _FRAGMENT),
    ("/v1/%", _ESCAPE),
    ("/v1/%zz", _ESCAPE),
    ("/v1/%2", _ESCAPE),
    ("/v1/%u002e", _ESCAPE),
    ("/v1/x?q=100%", _ESCAPE),
    ("/v1/\r\nX-Injected: 1", _CONTROL),
    ("/v1/\x00", _CONTROL),
    ("/v1/\x7f", _CONTROL),
    ("/v1/\x85", _CONTROL),
    ("/v1/\tx", _CONTROL),
    ("/v1/%0d%0aX-Injected:1", _CONTROL),
    ("/v1/%250d%250aX", _CONTROL),
    ("/v1/%00", _CONTROL),
    ("/v1/x\u2028y", _CONTROL),
    ("/v1/.\u200b./x", _CONTROL),
    ("/v1/\u202egro.live", _CONTROL),
    ("/v1/x?q=\r\nX", "its query contains a control character"),
    ("/v1/x?q=%0D%0AX", "its query contains a control character"),
    ("/v1/x?q=%250a", "its query contains a control character"),
    ("/v1/x?q=%C0%8A", "the percent escapes of its query are not UTF-8"),
    ("/v1/x?q=%" + "25" * 900, "the percent escapes of its query are encoded too many times"),
    ("/v1/%" + "25" * 900, "its percent escapes are encoded too many times"),
    ("/v1/\ud800", "it contains half of a surrogate pair"),
    ("/" + "a" * 2000, "it is longer than 2000 characters"),
]


@pytest.mark.parametrize(("path", "problem"), HOSTILE_PATHS, ids=[ascii(path)[:40] for path, _ in HOSTILE_PATHS])
def test_path_that_could_name_anything_else_is_refused_with_the_reason(path: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        split_path(path)
    assert refused.value.message.endswith(f"cannot be called: {problem}.")


def test_refusal_shows_the_path_bounded_and_printable() -> None:
    with pytest.raises(InvalidArgumentsError) as refused:
        split_path("/v1/\x1b[2J" + "a" * 1000)
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 250
    assert "'/v1/\\x1b[2Jaaa" in refused.value.message


GOOD_NAMES = ["a", "gpt-4o-mini", "a.b_c-D9", "...", "x" * 128]
BAD_NAMES = ["", ".", "..", "a/b", "a b", "a%2f", "é", "a\n", "\na", "a?b", "x" * 129, "a:b"]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_name_that_fits_a_url_is_returned(name: str) -> None:
    assert check_model_name(name) == name
    assert classic_base("https://h.example", name, name) == f"https://h.example/{name}/models/{name}"


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_name_that_does_not_fit_a_url_is_refused(name: str) -> None:
    for names, kind in (("w", name), "model"), ((name, "m"), "workspace"):
        with pytest.raises(InvalidArgumentsError, match=rf"cannot be the name of a {kind}\.") as refused:
            classic_base("https://h.example", *names)
        assert "1 to 128 letters, digits, '.', '_' or '-'" in refused.value.hint


def joined(base: str, path: str, query: str) -> str:
    return endpoint_url(Endpoint(base, "own"), path, query)


def test_joined_url_is_base_path_and_query() -> None:
    assert joined("https://h.example/b/", "/v1/x", "q=1") == "https://h.example/b/v1/x?q=1"
    assert joined("https://h.example/b", "", "") == "https://h.example/b"


@pytest.mark.parametrize(
    ("base", "path", "query"),
    [
        ("https://h.example", "@evil.example", ""),
        ("https://h.example", ".evil.example/x", ""),
        ("https://h.example", ":8443/x", ""),
        ("https://h.example/b", "x", ""),
        ("https://h.example/b", "/../c", ""),
        ("https://h.example/b", "/.", ""),
        ("https://h.example/b", "/x?y", ""),
        ("https://h.example/b", "/x#y", ""),
        ("https://h.example/b", "/x\n/y", ""),
        ("https://h.example/b", "/x", "a#b"),
    ],
)
def test_url_that_would_be_read_otherwise_than_it_was_joined_is_refused(base: str, path: str, query: str) -> None:
    with pytest.raises(InvalidArgumentsError, match="does not stay below"):
        joined(base, path, query)


def test_classic_base_is_the_documented_one() -> None:
    assert classic_base("https://run.blaxel.ai/", "acme", "house") == "https://run.blaxel.ai/acme/models/house"


def test_classic_base_refuses_names_that_leave_the_workspace() -> None:
    for workspace, model in (("..", "x"), ("acme", ".."), ("a/b", "x"), ("acme", "x/../y")):
        with pytest.raises(InvalidArgumentsError):
            classic_base("https://run.blaxel.ai", workspace, model)


CLASSIC = "https://run.blaxel.ai/acme/models/house"
OWN = "https://mdl-house-acme.us-pdx-1.bl.run"
RESOLUTIONS: list[tuple[str, dict[str, Any], Endpoint]] = [
    ("auto", {}, Endpoint(CLASSIC, "classic")),
    ("auto", {"generation": "mk2"}, Endpoint(CLASSIC, "classic")),
    ("auto", {"generation": "mk2", "own_url": OWN}, Endpoint(CLASSIC, "classic")),
    ("auto", {"own_url": OWN}, Endpoint(CLASSIC, "classic")),
    ("auto", {"generation": "mk3", "own_url": OWN}, Endpoint(OWN, "mk3")),
    ("auto", {"generation": "mk3", "own_url": OWN + "/"}, Endpoint(OWN, "mk3")),
    ("auto", {"generation": "mk3", "own_url": OWN + "/v1"}, Endpoint(OWN, "mk3")),
    ("auto", {"generation": "mk3", "own_url": OWN + "/v1/"}, Endpoint(OWN, "mk3")),
    ("auto", {"generation": "mk3", "own_url": "http://127.0.0.1:8/d"}, Endpoint("http://127.0.0.1:8/d", "mk3")),
    ("metadata", {"own_url": OWN}, Endpoint(OWN, "own")),
    ("metadata", {"generation": "mk2", "own_url": OWN + "/v1"}, Endpoint(OWN + "/v1", "own")),
    ("metadata", {"generation": "mk3", "own_url": OWN}, Endpoint(OWN, "mk3")),
    ("metadata", {}, Endpoint(CLASSIC, "classic")),
    ("run", {"generation": "mk3", "own_url": OWN}, Endpoint(CLASSIC, "classic")),
    ("run", {"generation": "mk3"}, Endpoint(CLASSIC, "classic")),
    ("auto", {"forced_url": "http://box.lan:8080/m/"}, Endpoint("http://box.lan:8080/m", "forced")),
    ("run", {"forced_url": OWN, "generation": "mk3"}, Endpoint(OWN, "forced")),
]


@pytest.mark.parametrize(("url_source", "facts", "expected"), RESOLUTIONS)
def test_endpoint_follows_the_settings_and_the_record(
    url_source: str, facts: dict[str, Any], expected: Endpoint
) -> None:
    local = {"api_url": "http://127.0.0.1:1/v0"} if "127.0.0.1" in expected.base else {}
    settings = Settings.model_validate({"url_source": url_source, **local})
    assert resolve_base(settings, workspace="acme", model="house", **facts) == expected


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "169.254.169.254",
        "192.168.1.1.",
        "0.0.0.0",  # noqa: S104 - nothing is bound
        "[fe80::1]",
        "[fd00::1]",
        "localhost.",
        "x.localhost",
        "printer",
    ],
)
def test_a_remote_control_plane_sends_the_key_to_no_internal_host(host: str) -> None:
    for scheme in ("http", "https"):
        for generation in ("mk3", "mk2"):
            with pytest.raises(BlaxelError) as refused:
                resolve_base(
                    Settings(url_source="metadata"),
                    workspace="acme",
                    model="house",
                    generation=generation,
                    own_url=f"{scheme}://{host}:8443/d",
                )
            assert (refused.value.code, refused.value.billed) == ("bad_response", "no")


def test_mk3_model_without_a_url_is_an_error_that_says_where_to_give_one() -> None:
    with pytest.raises(BlaxelError, match="its record in Blaxel has no URL") as missing:
        resolve_base(Settings(), workspace="acme", model="house", generation="mk3")
    assert (missing.value.code, missing.value.origin) == ("configuration_error", "blaxel")
    assert "[[models]]" in missing.value.hint


@pytest.mark.parametrize(
    "url",
    [
        "http://mdl.bl.run",
        "ftp://mdl.bl.run",
        "mdl.bl.run",
        "https://",
        "https:///x",
        "https://user@mdl.bl.run",
        "https://user:pass@mdl.bl.run",
        "https://mdl.bl.run/?x=1",
        "https://mdl.bl.run/?",
        "https://mdl.bl.run/#x",
        "https://mdl.bl.run:port",
        "https://[::1",
        "https://mdl.bl.run\\@evil.example",
        "https://mdl.bl.run/a b",
        "https://mdl.bl.run/a/../b",
        "https://mdl.bl.run/\r\nX: y",
        "https://bl\u00fcxel.example",
    ],
    ids=ascii,
)
def test_unsafe_url_in_a_record_is_a_bad_response_of_blaxel(url: str) -> None:
    with pytest.raises(BlaxelError, match="is not safe to call") as refused:
        resolve_base(Settings(), workspace="acme", model="house", generation="mk3", own_url=url)
    assert (refused.value.code, refused.value.origin) == ("bad_response", "blaxel")
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    ("style", "path", "query", "expected"),
    [
        ("classic", "", "", OWN),
        ("classic", "/v1/x", "a=b", f"{OWN}/v1/x?a=b"),
        ("own", "/x", "", f"{OWN}/x"),
        ("forced", "/x", "", f"{OWN}/x"),
        ("mk3", "", "", f"{OWN}/v1"),
        ("mk3", "", "a=b", f"{OWN}/v1?a=b"),
        ("mk3", "/v1", "", f"{OWN}/v1"),
        ("mk3", "/v1/", "", f"{OWN}/v1/"),
        ("mk3", "/v1/chat/completions", "", f"{OWN}/v1/chat/completions"),
        ("mk3", "/chat/completions", "", f"{OWN}/v1/chat/completions"),
        ("mk3", "/v1beta/x", "", f"{OWN}/v1/v1beta/x"),
    ],
)
def test_sub_endpoint_lies_below_the_base_and_for_mk3_below_v1(
    style: Any, path: str, query: str, expected: str
) -> None:
    assert endpoint_url(Endpoint(OWN, style), path, query) == expected
