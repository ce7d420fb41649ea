"""Which proxy carries a request, by the rules of curl, and that no value of the environment stops a call."""

from collections.abc import Mapping
from importlib.util import find_spec

import anyio
import pytest

from blaxel_mcp.client import proxies
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.client.direct_transport import DirectTransport
from blaxel_mcp.client.proxies import proxies_in
from blaxel_mcp.client.request import APIRequest
from blaxel_mcp.core.exceptions import BlaxelError, ConfigurationError
from blaxel_mcp.emulator import Emulator
from tests.support.connecting import answer_of, connect, leading_to
from tests.support.raw_upstream import raw_upstream

PROXY = {"http": "p:1", "https": "p:1"}


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("a.example", "https://a.example", True),
        ("a.example", "https://b.a.example", True),
        ("a.example", "https://ba.example", False),
        (".a.example", "https://a.example", True),
        (".a.example", "https://b.a.example", True),
        ("*.a.example", "https://b.a.example", True),
        ("*.a.example", "https://c.b.a.example", True),
        ("*.a.example", "https://ba.example", False),
        ("A.Example", "https://a.EXAMPLE", True),
        ("a.example.", "https://a.example", True),
        ("a.example", "https://a.example./", True),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example", False),
        ("a.example:8443", "https://a.example:8443", True),
        ("a.example:80", "http://a.example", True),
        (".a.example:8443", "https://b.a.example:8443", True),
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("all://a.example", "http://a.example", True),
        ("10.0.0.0/8", "https://10.1.2.3", True),
        ("10.0.0.0/8", "https://11.1.2.3", False),
        ("10.1.2.3/8", "https://10.9.9.9", True),
        ("10.0.0.0/8", "https://ten.example", False),
        ("192.168.1.1", "https://192.168.1.1:8443", True),
        ("192.168.1.1:443", "https://192.168.1.1:8443", False),
        ("192.168.*", "https://192.168.1.1", True),
        ("fd00::/8", "https://[fd00::1]", True),
        ("fd00::/8", "https://[fe80::1]", False),
        ("fd00::1", "https://[fd00::1]:8443", True),
        ("[fd00::1]", "https://[fd00::1]", True),
        ("[fd00::]/8", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00::1]", True),
        ("[fd00::1]:443", "https://[fd00::1]:8443", False),
        ("*", "https://a.example", True),
        ("b.example,*", "https://a.example", True),
        ("b.example a.example", "https://a.example", True),
        (" b.example ,\ta.example ", "https://a.example", True),
        (",,a.example,", "https://a.example", True),
        ("bücher.example", "https://xn--bcher-kva.example", True),
        ("", "https://127.0.0.2", True),
        ("", "https://localhost", True),
        ("", "https://a.example", False),
        (".", "https://a.example", False),
        ("localhost,127.0.0.0/8,::1/128,a.example", "https://a.example", True),
    ],
)
def test_hosts_that_need_no_proxy_are_those_that_curl_takes(no_proxy: str, url: str, is_direct: bool) -> None:
    assert (proxies_in({**PROXY, "no": no_proxy}).kind_for(url) is None) is is_direct


@pytest.mark.parametrize("entry", ["::1/129", "a.example:99999", "exa%mple", "http://", "10.0.0.0/33", "a/b/c"])
def test_an_entry_that_is_not_understood_is_named_and_the_others_count(entry: str) -> None:
    found = proxies_in({**PROXY, "no": f"{entry},a.example"})

    assert found.ignored == (entry,)
    assert found.kind_for("https://a.example") is None
    assert found.kind_for("https://b.example") == "https"


@pytest.mark.parametrize(
    ("settings", "url", "kind"),
    [
        ({"all": "p:1"}, "https://a.example", "all"),
        ({"all": "p:1", "http": "q:1"}, "https://a.example", "all"),
        ({"all": "p:1", "https": "q:1"}, "https://a.example", "https"),
        ({"all": "gopher://p:1", "https": "q:1"}, "https://a.example", "https"),
        ({"all": "gopher://p:1"}, "https://a.example", None),
        ({"all": "http://p:99999"}, "https://a.example", None),
        ({"all": "http://"}, "https://a.example", None),
        ({"https": "gopher://p"}, "https://a.example", "https"),
        ({"https": "gopher://p", "no": "a.example"}, "https://a.example", None),
        ({"http": "p:1"}, "https://a.example", None),
        ({"http": "p:1", "https": ""}, "https://a.example", None),
    ],
)
def test_all_proxy_counts_where_no_other_does_and_where_it_can_be_used(
    settings: Mapping[str, str], url: str, kind: str | None
) -> None:
    assert proxies_in(settings).kind_for(url) == kind


@pytest.mark.skipif(find_spec("socksio") is not None, reason="SOCKS proxies can be used here")
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_a_socks_proxy_without_its_package_says_what_to_install(scheme: str) -> None:
    (said,) = proxies_in({"all": f"{scheme}://me:secret@p:1"}).problems()
    assert said.startswith("ALL_PROXY is not used: a SOCKS proxy needs the package socksio; install it with")
    assert "blaxel-mcp[socks]" in said


@pytest.mark.anyio
@pytest.mark.parametrize(
    "variables",
    [
        {"NO_PROXY": "localhost,127.0.0.0/8,::1/128"},
        {"no_proxy": "::1/129,%,http://[", "HTTPS_PROXY": "http://127.0.0.1:9"},
        {"all_proxy": "socks5://127.0.0.1:7890", "https_proxy": "http://127.0.0.1:9"},
        {"ALL_PROXY": "socks5h://127.0.0.1:7890"},
        {"ALL_PROXY": "gopher://[", "NO_PROXY": "[::1]"},
        {"ALL_PROXY": "http://me:bl_secret_password@p:port"},
        {"HTTPS_PROXY": "gopher://x", "HTTP_PROXY": "::"},
    ],
)
async def test_no_value_stops_a_call_that_needs_no_proxy(
    variables: Mapping[str, str],
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    proxies._warn_once.cache_clear()
    for _ in range(2):
        async with connect(leading_to(emulator)) as client:
            answer_of(await client.call_tool("house-chat", {"prompt": "Hi"}))

    warnings = [record.getMessage() for record in caplog.records if record.name == proxies.__name__]
    assert len(warnings) == len(set(warnings))
    assert "password" not in caplog.text


async def _failure(url: str) -> BlaxelError:
    from tests.client.test_client import _configuration  # noqa: PLC0415

    async with APIClient(_configuration(run_url=url)) as client:
        with anyio.fail_after(30), pytest.raises(BlaxelError) as failed:
            await client.send(APIRequest(method="POST", url=f"{url}/x", workspace="acme"), timeout_seconds=20)
    return failed.value


@pytest.mark.anyio
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://me:secret@127.0.0.1:9", "The proxy 127.0.0.1:9 could not be reached: it refused the connection"),
        ("proxy.invalid:8080", "The proxy proxy.invalid:8080 could not be reached: its name could not be resolved"),
    ],
)
async def test_a_proxy_that_is_down_is_named_and_not_the_host(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    error = await _failure("https://run.acme.invalid")

    assert error.message.startswith(said)
    assert (error.code, error.billed) == ("network_error", "no")
    assert variable in error.hint
    assert "secret" not in str(error)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "said", "hint", "retryable"),
    [
        (b"407 Proxy Authentication Required", "answered 407 to", "http://USER:PASSWORD@HOST:PORT", False),
        (b"403 Forbidden", "answered 403 to", "HTTPS_PROXY", False),
        (b"502 Bad Gateway", "answered 502 to", "HTTPS_PROXY", True),
    ],
)
async def test_a_proxy_that_refuses_is_named_without_its_password(
    answer: bytes, said: str, hint: str, retryable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n" % answer
    async with raw_upstream({"": lambda: [head]}) as proxy:
        address = proxy.removeprefix("http://")
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:secret@{address}")
        error = await _failure("https://run.acme.invalid")

    assert error.message.startswith(f"The proxy {address} {said} the connection to run.acme.invalid")
    assert hint in error.hint
    assert "secret" not in str(error)
    assert error.retryable is retryable


@pytest.mark.anyio
async def test_a_proxy_of_the_scheme_that_cannot_be_used_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://x")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    error = await _failure("https://run.acme.invalid")

    assert isinstance(error, ConfigurationError)
    assert error.message.startswith("The proxy that HTTPS_PROXY names cannot be used")


def test_a_transport_without_proxies_is_the_librarys_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxies, "getproxies", lambda: {"no": "a.example"})

    assert type(proxies.network_transport()) is DirectTransport


def test_a_proxy_whose_international_name_is_none_stops_no_call() -> None:
    for proxy in ("http://xn--0.pt:3128", "http://[::1]\u2460]:3128"):
        list(proxies_in({"https": proxy, "all": proxy, "no": proxy}).problems())


def test_a_password_of_a_proxy_is_not_in_its_repr() -> None:
    settings = {"https": "http://user:canary-word@proxy.example:3128"}

    assert "canary" not in repr(proxies.proxies_in(settings))
