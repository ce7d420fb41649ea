"""`[shared]` and a ledger in Redis: complete, unguessable and well formed, or an error that names the key."""

import pytest

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import load_settings
from tests.support.canaries import MARKER

URL, KEY, LEDGER = "BLAXEL_MCP_SHARED__URL", "BLAXEL_MCP_SHARED__KEY", "BLAXEL_MCP_BUDGET__LEDGER"
GOOD_URL = f"rediss://:{MARKER}@redis.example.com:6380/1"
GOOD_KEY = f"{MARKER}-5f0c9be1d27a4438b6c1"


def test_a_url_and_a_key_are_read_and_never_shown() -> None:
    settings = load_settings(environ={URL: GOOD_URL, KEY: GOOD_KEY}).settings

    assert settings.shared.url is not None
    assert settings.shared.key is not None
    assert MARKER not in repr(settings)


@pytest.mark.parametrize("url", ["rediss://h?ssl_ca_certs=/etc/ca.pem", "rediss://:p@h:65535/1?ssl_ca_certs=ca.pem"])
def test_a_private_certificate_authority_is_named_in_the_url(url: str) -> None:
    settings = load_settings(environ={URL: url, KEY: GOOD_KEY, LEDGER: url}).settings

    assert settings.shared.url is not None
    assert settings.shared.url.get_secret_value() == settings.budget.ledger == url


def test_a_ledger_that_is_a_url_needs_no_key_and_is_not_shown() -> None:
    settings = load_settings(environ={LEDGER: GOOD_URL}).settings

    assert settings.budget.ledger == GOOD_URL
    assert MARKER not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "fault"),
    [
        pytest.param({URL: GOOD_URL}, f"{URL} needs shared.key", id="no key"),
        pytest.param({KEY: GOOD_KEY}, f"{KEY} has no effect: shared.url is not set", id="no url"),
        pytest.param({URL: GOOD_URL, KEY: MARKER}, f"{KEY} must have at least 32 characters", id="short key"),
        pytest.param({URL: GOOD_URL, KEY: "change-me" * 5}, f"{KEY} could be guessed", id="guessable key"),
        pytest.param({URL: " ", KEY: GOOD_KEY}, f"{URL} is blank", id="blank url"),
        pytest.param({URL: GOOD_URL, KEY: ""}, f"{KEY} is blank", id="blank key"),
        pytest.param({URL: "${REDIS_URL}", KEY: GOOD_KEY}, f"{URL} contains a placeholder", id="placeholder"),
        pytest.param({URL: GOOD_URL, KEY: "${KEY}" * 9}, f"{KEY} contains a placeholder", id="placeholder key"),
        pytest.param({URL: "http://h", KEY: GOOD_KEY}, f"{URL} must be a URL such as redis://", id="scheme"),
        pytest.param({URL: "redis://", KEY: GOOD_KEY}, f"{URL} must be a URL such as redis://", id="no host"),
        pytest.param({URL: "redis://h?ssl_cert_reqs=none", KEY: GOOD_KEY}, f"{URL} must be a URL", id="options"),
        pytest.param(
            {URL: "rediss://h?ssl_ca_certs=/ca.pem&ssl_cert_reqs=none", KEY: GOOD_KEY},
            f"{URL} must be",
            id="more options",
        ),
        pytest.param(
            {URL: "redis://h?ssl_ca_certs=/ca.pem", KEY: GOOD_KEY}, f"{URL} must be a URL", id="plain with CA"
        ),
        pytest.param({URL: "redis://h:65536", KEY: GOOD_KEY}, f"{URL} must be a URL", id="port"),
        pytest.param({LEDGER: "redis://h:99999/0"}, f"{LEDGER} must be a file, or a URL", id="ledger port"),
        pytest.param({LEDGER: "rediss://h:x"}, f"{LEDGER} must be a file, or a URL such as", id="ledger"),
        pytest.param({LEDGER: "redis://:${PASSWORD}@h"}, f"{LEDGER} contains a placeholder", id="ledger placeholder"),
    ],
)
def test_what_would_not_share_or_not_encrypt_is_an_error(environ: dict[str, str], fault: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ=environ)

    assert fault in str(caught.value)
    assert MARKER not in str(caught.value)
