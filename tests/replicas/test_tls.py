"""A Redis that speaks TLS, with a certificate of the test's own."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import SecretStr

from blaxel_mcp.budget.shared.engine import Engine, SharedStateError
from tests.replicas.engines import needs_redis, running_redis

pytestmark = needs_redis


@pytest.fixture
def certificate(searched_folder: Path) -> Path:
    """Return a file with a certificate for 127.0.0.1 that nobody else has signed, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    path = searched_folder / "certificate.pem"
    path.write_bytes(certificate.public_bytes(pem) + key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return path


def test_a_certificate_has_to_be_trusted_and_may_be_named_in_the_url(tmp_path: Path, certificate: Path) -> None:
    with running_redis(tmp_path, certificate) as server:
        engine = Engine(SecretStr(server.url))
        with pytest.raises(SharedStateError, match="certificate that this machine does not trust"):
            engine.run("return 'ok'", [])
        engine.close()
        trusting = Engine(SecretStr(f"{server.url}?ssl_ca_certs={certificate}"))
        assert trusting.run("return 'ok'", []) == b"ok"
        trusting.close()
        for file in ("missing.pem", __file__):
            wrong = Engine(SecretStr(f"{server.url}?ssl_ca_certs={file}"))
            with pytest.raises(SharedStateError, match="ssl_ca_certs that is missing or has no certificate"):
                wrong.run("return 'ok'", [])
            wrong.close()
