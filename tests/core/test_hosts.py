"""Hosts that are loopback, and addresses that may be those of public hosts."""

import pytest

from blaxel_mcp.core.hosts import is_loopback, is_public_address


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1", "127.9.9.9", "::1", "[::1]"])
def test_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "run.blaxel.ai", "10.0.0.1", "10.255.0.1", "localhost.evil.example", "128.0.0.1"])
def test_other_hosts_are_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("203.0.114.7", True),
        ("2606:4700::1", True),
        ("64:ff9b::cb00:7207", True),
        ("198.18.0.9", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
    ],
)
def test_an_address_of_a_private_network_is_not_public(address: str, is_public: bool) -> None:
    assert is_public_address(address) is is_public
