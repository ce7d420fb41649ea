"""`http.auth = "oauth"`: tokens of a real issuer, good ones and every kind of bad one."""

from collections.abc import AsyncIterator, Callable
from functools import cache, partial
from typing import Any

import anyio
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.auth.jwks import COOLDOWN_SECONDS, FRESH_SECONDS, STALE_SECONDS, IssuerKeys
from blaxel_mcp.settings.http import HttpSettings
from blaxel_mcp.settings.loading import Configuration
from tests.support.canaries import KEY
from tests.support.connecting import ERAS, Era, answer_of, leading_to
from tests.support.http_serving import Served, answer_to_42, message, serving
from tests.support.jwt_issuer import AUDIENCE, Issuer, issuing

pytestmark = pytest.mark.anyio

RESOURCE = "https://models.example.com/mcp"
METADATA = "https://models.example.com/.well-known/oauth-protected-resource/mcp"


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    async with issuing() as running:
        yield running


def trusting(emulator: Emulator, trusted: Issuer, **changes: Any) -> Configuration:
    http = {"auth": "oauth", "issuer": trusted.url, "audience": AUDIENCE, "resource_url": RESOURCE, **changes}
    return leading_to(emulator, http=http)


async def listed(served: Served, *tokens: str) -> httpx.Response:
    """The answer to one request with these tokens in its headers."""
    body, headers = message("tools/list", "2026-07-28")
    async with served.http(headers) as http:
        return await http.post("/mcp", content=body, headers=[("authorization", f"Bearer {token}") for token in tokens])


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_of_the_issuer_lets_its_bearer_in_and_is_not_sent_to_blaxel(
    emulator: Emulator, issuer: Issuer, era: Era
) -> None:
    token = issuer.token()
    authorization = {"authorization": f"Bearer {token}"}
    async with serving(trusting(emulator, issuer)) as served, served.client(era, authorization) as client:
        result = await answer_to_42(client)

    assert "42" in answer_of(result)["choices"][0]["message"]["content"]
    assert {value for request in emulator.requests for value in request.header_values("x-blaxel-authorization")} == {
        f"Bearer {KEY}"
    }
    assert not any(token in value for request in emulator.requests for _, value in request.headers)


def typed(kind: Any, issuer: Issuer) -> str:
    return issuer.token(header={"typ": kind})


def with_claim(claim: str, value: Any, issuer: Issuer) -> str:
    """A token that is good but for a claim, which may be null."""
    claims = {**issuer.claims(), claim: value}
    return jwt.encode(claims, issuer.keys["one"], "ES256", headers={"kid": "one"})


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        *(({"typ": kind}, {}) for kind in ("at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt")),
        *(({"typ": kind}, {}) for kind in ("JWT", "jwt", "application/jwt")),
        ({"typ": "at+jwt"}, {"nonce": "x"}),
        ({}, {"typ": "Bearer", "nonce": "x"}),
        ({}, {"token_use": "access"}),
    ],
)
async def test_access_tokens_are_taken_under_every_type_that_issuers_give_them(
    emulator: Emulator, issuer: Issuer, header: dict[str, str], claims: dict[str, str]
) -> None:
    async with serving(trusting(emulator, issuer)) as served:
        assert (await listed(served, issuer.token(header=header, **claims))).status_code == 200


REFUSED: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "expired": (lambda issuer: issuer.token(exp=1_700_000_000), "The token has expired."),
    "not valid yet": (lambda issuer: issuer.token(nbf=4_000_000_000), "The token is not valid yet."),
    "made in the future": (lambda issuer: issuer.token(iat=4_000_000_000), "The token is not valid yet."),
    "another audience": (
        lambda issuer: issuer.token(aud="https://other.example.com"),
        "The token is for another audience.",
    ),
    "another issuer": (
        lambda issuer: issuer.token(iss="https://evil.example.com"),
        "The token is from another issuer.",
    ),
    "no expiry": (lambda issuer: issuer.token(exp=None), "The token has no `exp` claim."),
    "no audience": (lambda issuer: issuer.token(aud=None), "The token has no `aud` claim."),
    "no issuer": (lambda issuer: issuer.token(iss=None), "The token has no `iss` claim."),
    "no subject": (lambda issuer: issuer.token(sub=None), "The token has no `sub` claim."),
    "an empty subject": (lambda issuer: issuer.token(sub=""), "The token has an empty `sub` claim."),
    "no algorithm": (
        lambda issuer: issuer.forged({"alg": "none", "kid": "one"}),
        "The token is not signed with an asymmetric algorithm that this server accepts.",
    ),
    "the public key as a secret": (
        lambda issuer: issuer.forged({"alg": "HS256", "kid": "one"}, issuer.public_pem()),
        "The token is not signed with an asymmetric algorithm that this server accepts.",
    ),
    "another algorithm than the key's": (
        lambda issuer: issuer.forged({"alg": "RS256", "kid": "one"}, b"x"),
        "The token is not signed with a known key of the issuer.",
    ),
    "a key id that is none": (
        lambda issuer: issuer.forged({"alg": "ES256", "kid": ["one"]}, b"x"),
        "The token is not a JWT.",
    ),
    "a wrong signature": (lambda issuer: issuer.token()[:-8] + "AAAAAAAA", "The token's signature is invalid."),
    "an unknown key": (
        lambda issuer: issuer.token(header={"kid": "nine"}),
        "The token is not signed with a known key of the issuer.",
    ),
    "a condition that nobody knows": (
        lambda issuer: issuer.forged({"alg": "ES256", "kid": "one", "crit": ["x"], "x": 1}, b"x"),
        "The token is not a JWT.",
    ),
    **{
        f"the type {kind!r}": (partial(typed, kind), "The token is not an access token.")
        for kind in ("id+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "jwt+at", "at", "JWT ", "ID", 7, ["at+jwt"])
    },
    **{
        f"an ID token by its {claim}": (partial(with_claim, claim, value), "The token is not an access token.")
        for claim, value in (
            ("nonce", "n-0S6"),
            ("nonce", None),
            ("at_hash", "77QmUPtjPfzWtF2AnpK9RQ"),
            ("c_hash", "x"),
            ("s_hash", "x"),
            ("token_use", "id"),
            ("typ", "ID"),
            ("typ", "Refresh"),
            ("typ", "Logout"),
            ("typ", 7),
            ("events", {"http://schemas.openid.net/event/backchannel-logout": {}}),
        )
    },
    "no JWT": (lambda _: "nothing-of-the-kind", "The token is not a JWT."),
    "a header that nests without end": (
        lambda _: "W1tb" * 9000 + ".e30.AAAA",
        "The token is not a JWT.",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_that_does_not_count_is_refused_with_the_reason_and_the_way_to_another(
    emulator: Emulator, issuer: Issuer, case: str
) -> None:
    make, reason = REFUSED[case]
    async with serving(trusting(emulator, issuer)) as served:
        answer = await listed(served, make(issuer))

    assert answer.status_code == 401
    assert answer.json() == {"error": "invalid_token", "error_description": reason}
    assert answer.headers["www-authenticate"] == (
        f'Bearer realm="blaxel-mcp", error="invalid_token", error_description="{reason}", '
        f'resource_metadata="{METADATA}"'
    )


@cache
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [
        (rsa_key, "RS256"),
        (rsa_key, "PS384"),
        (lambda: ec.generate_private_key(ec.SECP384R1()), "ES384"),
        (ed25519.Ed25519PrivateKey.generate, "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_keys_of_every_kind_that_has_a_public_half_are_taken(
    emulator: Emulator, issuer: Issuer, key: Callable[[], Any], algorithm: str
) -> None:
    issuer.add_key("two", key())
    async with serving(trusting(emulator, issuer)) as served:
        assert (await listed(served, issuer.token("two", algorithm))).status_code == 200
        assert (await listed(served, issuer.token("one"))).status_code == 200


async def test_a_key_that_is_for_something_else_signs_no_token(emulator: Emulator, issuer: Issuer) -> None:
    issuer.key_changes = {"use": "enc"}
    async with serving(trusting(emulator, issuer)) as served:
        assert (await listed(served, issuer.token())).status_code == 401


async def test_a_token_without_a_key_id_is_taken_where_one_key_alone_can_be_meant(
    emulator: Emulator, issuer: Issuer
) -> None:
    clock = Clock()
    async with serving(trusting(emulator, issuer), now=clock) as served:
        assert (await listed(served, issuer.token(header={"kid": None}))).status_code == 200
        issuer.add_key("two")
        clock.seconds += FRESH_SECONDS + 1
        assert (await listed(served, issuer.token(header={"kid": None}))).status_code == 401


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"scope": "models:call models:list other"}, 200),
        ({"scope": None, "scp": ["models:call", "models:list"]}, 200),
        ({"scope": None, "scp": "models:call models:list"}, 200),
        ({"scope": "models:call"}, 403),
        ({"scope": None}, 403),
        ({"scope": {"models:call": True}, "scp": [1, None]}, 403),
    ],
)
async def test_a_token_needs_all_the_scopes_that_the_settings_name(
    emulator: Emulator, issuer: Issuer, claims: dict[str, Any], status: int
) -> None:
    async with serving(trusting(emulator, issuer, scopes=["models:call", "models:list"])) as served:
        answer = await listed(served, issuer.token(**claims))

    assert answer.status_code == status
    if status == 403:
        assert answer.json()["error"] == "insufficient_scope"
        assert 'error="insufficient_scope"' in answer.headers["www-authenticate"]
        assert 'scope="models:call models:list"' in answer.headers["www-authenticate"]
        assert f'resource_metadata="{METADATA}"' in answer.headers["www-authenticate"]


async def test_without_a_token_a_client_is_told_where_to_read_how_to_get_one(
    emulator: Emulator, issuer: Issuer
) -> None:
    async with serving(trusting(emulator, issuer, scopes=["models:call"])) as served, served.http() as http:
        refused = await listed(served)
        documents = [
            (await http.get(path)).json()
            for path in ("/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp")
        ]

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == f'Bearer realm="blaxel-mcp", resource_metadata="{METADATA}"'
    expected = {
        "resource": RESOURCE,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["models:call"],
        "bearer_methods_supported": ["header"],
    }
    assert documents == [expected, expected]


async def test_a_slash_at_the_end_of_the_issuers_name_is_told_as_it_is_and_keeps_nobody_out(
    emulator: Emulator, issuer: Issuer
) -> None:
    named = f"{issuer.url}/"
    async with serving(trusting(emulator, issuer, issuer=named)) as served, served.http() as http:
        admitted = [await listed(served, issuer.token(iss=iss)) for iss in (named, issuer.url)]
        document = (await http.get("/.well-known/oauth-protected-resource")).json()

    assert [answer.status_code for answer in admitted] == [200, 200]
    assert document["authorization_servers"] == [named]


async def test_without_a_public_url_the_metadata_names_the_address_that_it_listens_on(
    emulator: Emulator, issuer: Issuer
) -> None:
    async with serving(trusting(emulator, issuer, resource_url=None)) as served, served.http() as http:
        document = (await http.get("/.well-known/oauth-protected-resource/mcp")).json()

        assert document["resource"] == f"{served.url}/mcp"


async def test_a_second_authorization_header_is_refused(emulator: Emulator, issuer: Issuer) -> None:
    async with serving(trusting(emulator, issuer)) as served:
        answer = await listed(served, issuer.token(), issuer.token())

    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_request")


async def test_a_rotated_key_is_fetched_when_a_token_names_it_but_not_again_and_again(
    emulator: Emulator, issuer: Issuer
) -> None:
    clock = Clock()
    async with serving(trusting(emulator, issuer), now=clock) as served:
        assert (await listed(served, issuer.token())).status_code == 200
        issuer.add_key("two")
        issuer.published.remove("one")
        early = await listed(served, issuer.token("two"))
        clock.seconds += COOLDOWN_SECONDS
        for number in range(5):
            await listed(served, issuer.token(header={"kid": f"made-up-{number}"}))
        late = await listed(served, issuer.token("two"))
        withdrawn = await listed(served, issuer.token("one"))

    assert (early.status_code, late.status_code, withdrawn.status_code) == (401, 200, 401)
    assert issuer.asked.count("/keys") == 2


async def test_many_first_callers_at_once_have_the_keys_fetched_once(emulator: Emulator, issuer: Issuer) -> None:
    answers: list[int] = []

    async def ask(served: Served) -> None:
        answers.append((await listed(served, issuer.token())).status_code)

    async with serving(trusting(emulator, issuer)) as served, anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask, served)

    assert answers == [200] * 10
    assert issuer.asked.count("/keys") == 1


async def test_while_the_issuer_cannot_be_reached_its_keys_serve_on_for_a_day(
    emulator: Emulator, issuer: Issuer
) -> None:
    clock = Clock()
    async with serving(trusting(emulator, issuer), now=clock) as served:
        issuer.fails = True
        never_had = await listed(served, issuer.token())
        issuer.fails = False
        clock.seconds += COOLDOWN_SECONDS
        had = await listed(served, issuer.token())
        issuer.fails = True
        clock.seconds += STALE_SECONDS - 1
        still = await listed(served, issuer.token())
        clock.seconds += 2
        no_more = await listed(served, issuer.token())

    assert [never_had.status_code, had.status_code, still.status_code, no_more.status_code] == [503, 200, 200, 503]
    assert never_had.json()["error"] == "temporarily_unavailable"
    assert never_had.headers["retry-after"] == "10"


async def test_a_slow_issuer_delays_one_caller_and_not_those_whose_key_is_known(issuer: Issuer) -> None:
    clock, has_waited = Clock(), anyio.Event()
    keys = IssuerKeys(HttpSettings(issuer=issuer.url), now=clock)
    await keys.find("one")
    clock.seconds += FRESH_SECONDS + 1
    issuer.released.clear()
    asked = len(issuer.asked)

    async def wait() -> None:
        await keys.find("one")
        has_waited.set()

    async with anyio.create_task_group() as group:
        group.start_soon(wait)
        while len(issuer.asked) == asked:  # noqa: ASYNC110 - no event says so
            await anyio.sleep(0.01)
        found = await keys.find("one")
        assert not has_waited.is_set()
        issuer.released.set()

    assert [key["kid"] for key in found] == ["one"]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"issuer": "https://evil.example.com"}, id="of another issuer"),
        pytest.param({"jwks_uri": "http://192.0.2.1/keys"}, id="keys over plain http"),
        pytest.param({"jwks_uri": "file:///etc/passwd"}, id="keys in a file"),
        pytest.param({"jwks_uri": 7}, id="no URL"),
        pytest.param({"padding": "x" * 300_000}, id="too long"),
    ],
)
async def test_metadata_that_cannot_be_right_leads_to_no_keys(
    emulator: Emulator, issuer: Issuer, changes: dict[str, Any]
) -> None:
    issuer.changes = changes
    async with serving(trusting(emulator, issuer)) as served:
        answer = await listed(served, issuer.token())

    assert answer.status_code == 503
    assert "/keys" not in issuer.asked


async def test_the_metadata_of_openid_does_as_well_and_an_issuer_may_have_a_path_and_a_slash(
    emulator: Emulator, issuer: Issuer
) -> None:
    origin, issuer.url = issuer.url, f"{issuer.url}/tenant"
    issuer.metadata_at = ("/tenant/.well-known/openid-configuration",)
    issuer.changes = {"issuer": f"{issuer.url}/", "jwks_uri": f"{origin}/keys"}
    async with serving(trusting(emulator, issuer)) as served:
        answer = await listed(served, issuer.token(iss=f"{issuer.url}/"))

    assert answer.status_code == 200
    assert issuer.asked == [
        "/.well-known/oauth-authorization-server/tenant",
        "/tenant/.well-known/openid-configuration",
        "/keys",
    ]


async def test_where_the_settings_name_the_keys_no_metadata_is_asked_for(emulator: Emulator, issuer: Issuer) -> None:
    async with serving(trusting(emulator, issuer, jwks_url=f"{issuer.url}/keys")) as served:
        answer = await listed(served, issuer.token())

    assert answer.status_code == 200
    assert issuer.asked == ["/keys"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"issuer": None}, "http.issuer is not set"),
        ({"audience": None}, "http.audience is not set"),
        ({"issuer": "http://login.example.com"}, "http.issuer is a plain http URL"),
        ({"jwks_url": "http://login.example.com/keys"}, "http.jwks_url is a plain http URL"),
        ({"scopes": ['models"call']}, "which is not an OAuth scope"),
    ],
)
async def test_settings_that_say_too_little_or_trust_too_much_are_refused(
    emulator: Emulator, issuer: Issuer, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        async with serving(trusting(emulator, issuer, **changes)):
            pass
