"""URLs of calls: for any name and path, at the model's own endpoint or below it."""

import posixpath
import unicodedata
from urllib.parse import unquote, urlsplit

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from blaxel_mcp.client.endpoints import Endpoint, classic_base, endpoint_url, resolve_base, split_path
from blaxel_mcp.core.exceptions import BlaxelError, InvalidArgumentsError
from blaxel_mcp.settings.schema import Settings
from tests.properties.examples import any_text, tried

HOST = "run.example.com"
PIECES = (
    *("..", ".", "...", "/", "//", "\\", "?", "#", "@", ":", ";", "&", "=", "*", " ", "\t", "\r\n", "\0", "\u200b"),
    *("%2e", "%2E", "%252e", "%2f", "%252F", "%5c", "%23", "%3f", "%00", "%0d%0a", "%c0%ae", "%25", "%", "%e2%80%a4"),
    *(
        "\u2024",
        "\uff0e",
        "\uff0f",
        "\uff3c",
        "\uff05",
        "\u2025",
        "é",
        "v1",
        "chat",
        "models",
        "demo",
        "http://",
        "x.y",
    ),
)
hostile_text = st.lists(st.sampled_from(PIECES) | any_text, max_size=8).map("".join)
plain_names = st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True).filter(lambda name: name not in (".", ".."))
endings = st.sampled_from(["", "/v1", "/v1/chat/completions"])


def url_of(workspace: str, model: str, path: str) -> str:
    base = classic_base(f"https://{HOST}", workspace, model)
    return endpoint_url(Endpoint(base, "classic"), *split_path(path))


def readings(path: str) -> list[str]:
    """Return the path as servers may read it: decoded never, once, twice and so on, and normalized."""
    found = [path]
    while (decoded := unicodedata.normalize("NFKC", unquote(found[-1]))) != found[-1]:
        found.append(decoded)
    return found


def stays_below(path: str, base: str) -> bool:
    """Return whether a server that resolves dots, backslashes and parameters stays at the base or below."""
    plain = "/".join(segment.partition(";")[0] for segment in path.replace("\\", "/").split("/"))
    resolved = posixpath.normpath(plain)
    return resolved == base or resolved.startswith(f"{base}/")


@tried(150)
@given(path=endings.flatmap(lambda end: hostile_text.map(lambda text: text + end)))
@example("/v1/%2e%2e/%2e%2e/other")
@example("/v1/\uff0e\uff0e/\uff0e\uff0e/other")
@example("/v1/..;x=1/..;/other")
def test_no_path_leaves_the_models_endpoint_however_often_it_is_decoded(path: str) -> None:
    try:
        url = url_of("demo", "house-chat", path)
    except InvalidArgumentsError:
        return

    sent = httpx.URL(url)
    raw_path, _, _ = sent.raw_path.decode("ascii").partition("?")
    assert (sent.scheme, sent.host, sent.port, sent.userinfo, sent.fragment) == ("https", HOST, None, b"", "")
    assert f"https://{HOST}{sent.raw_path.decode()}" == url, "what was checked is what is sent"
    assert all(stays_below(reading, "/demo/models/house-chat") for reading in readings(raw_path))


@tried(400)
@given(path=hostile_text)
def test_encoding_a_path_is_idempotent(path: str) -> None:
    try:
        once, query = split_path(path)
    except InvalidArgumentsError:
        return

    assert split_path(once + (f"?{query}" if query else "")) == (once, query)


@tried(300)
@given(workspace=hostile_text | plain_names, model=hostile_text | plain_names)
def test_no_name_of_a_model_or_workspace_changes_the_shape_of_the_url(workspace: str, model: str) -> None:
    try:
        url = url_of(workspace, model, "/v1/x")
    except InvalidArgumentsError:
        return

    sent = httpx.URL(url)
    assert (sent.host, sent.raw_path.decode()) == (HOST, f"/{workspace}/models/{model}/v1/x")


@tried(300)
@given(
    own_url=hostile_text.map(lambda text: f"https://{text}")
    | st.builds("https://{}.bl.run/{}".format, plain_names, hostile_text)
)
@example("https://v1")
@example("https://good.bl.run\\@evil.example.com/")
@example("https://good.bl.run:443:80/x")
@example("https://good.bl.run%2f@evil.example.com/x")
def test_a_records_url_leads_to_the_host_that_was_checked_or_nowhere(own_url: str) -> None:
    try:
        endpoint = resolve_base(Settings(), workspace="demo", model="m", generation="mk3", own_url=own_url)
        sent = httpx.URL(endpoint_url(endpoint, "/v1/x"))
    except (BlaxelError, httpx.InvalidURL):
        return

    checked = urlsplit(own_url)
    assert sent.raw_host.decode() == (checked.hostname or "").lower()
    assert (sent.userinfo, sent.scheme) == (b"", "https")
    assert sent.raw_path.endswith(b"/v1/x")
