"""The manifest for Kubernetes: valid by the published schemas, consistent, and with settings that are accepted."""

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from blaxel_mcp import __version__
from blaxel_mcp.emulator import Emulator
from blaxel_mcp.server.http.address import require_safe, resolve, resolve_metrics
from blaxel_mcp.server.http.server import drain_seconds_of
from blaxel_mcp.settings.loading import load_settings
from tests.support.canaries import CLIENT_CREDENTIALS, HTTP_TOKEN
from tests.support.connecting import leading_to
from tests.support.http_serving import serving

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "packaging" / "kubernetes" / "blaxel-mcp.yaml"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))

SECRETS = {
    "client-credentials": CLIENT_CREDENTIALS,
    "bearer-tokens": f'["{HTTP_TOKEN}"]',
    "redis-url": "rediss://:password@redis.example.com:6379/0",
    "shared-key": secrets.token_hex(32),
}
"""A value for each key of the Secret."""


def the(kind: str) -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if each["kind"] == kind]
    return found


POD: dict[str, Any] = the("Deployment")["spec"]["template"]
(CONTAINER,) = POD["spec"]["containers"]
VARIABLES = {each["name"]: each for each in CONTAINER["env"]}
PORTS = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}


def secret_keys() -> Iterator[str]:
    for each in VARIABLES.values():
        if reference := each.get("valueFrom"):
            yield reference["secretKeyRef"]["key"]


@pytest.mark.parametrize("version", ["1.30", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda each: each["kind"])
def test_each_object_is_valid_by_the_published_schema(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_rejects_a_key_that_is_misspelled() -> None:
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**the("Service"), "specs": {}}, "1.30", strict=True)


def test_everything_selects_the_pods() -> None:
    labels = POD["metadata"]["labels"]
    selectors = [
        the("Deployment")["spec"]["selector"]["matchLabels"],
        the("Service")["spec"]["selector"],
        the("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        POD["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]

    assert [selector for selector in selectors if not selector.items() <= labels.items()] == []
    target = the("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", the("Deployment")["metadata"]["name"])
    assert "replicas" not in the("Deployment")["spec"]


def test_every_port_that_is_named_is_one_of_the_container() -> None:
    probes = [CONTAINER[f"{name}Probe"]["httpGet"] for name in ("startup", "liveness", "readiness")]
    policy = [port["port"] for rule in the("NetworkPolicy")["spec"]["ingress"] for port in rule["ports"]]
    services = [port["targetPort"] for port in the("Service")["spec"]["ports"]]

    assert {*services, *policy, *(probe["port"] for probe in probes)} <= PORTS.keys()
    assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert POD["metadata"]["annotations"]["prometheus.io/port"] == str(PORTS["metrics"])
    assert f"PORT={PORTS['mcp']}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_pod_has_time_to_finish_its_calls() -> None:
    drain = float(VARIABLES["BLAXEL_MCP_HTTP__DRAIN_SECONDS"]["value"])
    pause = CONTAINER["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert POD["spec"]["terminationGracePeriodSeconds"] >= pause + drain + 10


def test_secrets_are_only_referred_to() -> None:
    assert all(each["kind"] != "Secret" for each in OBJECTS)
    assert set(secret_keys()) == set(SECRETS)
    page = (ROOT / "docs" / "hosting.md").read_text(encoding="utf-8")
    assert set(re.findall(r"--from-literal=([\w-]+)=", page)) == set(SECRETS)


def test_the_image_is_of_this_version() -> None:
    assert CONTAINER["image"].endswith(f":{__version__}")


def test_the_container_has_no_more_rights_than_it_needs() -> None:
    assert POD["spec"]["securityContext"]["runAsNonRoot"] is True
    assert POD["spec"]["automountServiceAccountToken"] is False
    own = CONTAINER["securityContext"]
    assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
    assert own["capabilities"] == {"drop": ["ALL"]}


def environment(config: Path) -> dict[str, str]:
    """Return the variables of the container, with a value for each secret."""
    values = {
        name: each["value"] if "value" in each else SECRETS[each["valueFrom"]["secretKeyRef"]["key"]]
        for name, each in VARIABLES.items()
    }
    return {**values, "HOST": "0.0.0.0", "PORT": str(PORTS["mcp"]), "BLAXEL_MCP_CONFIG": str(config)}  # noqa: S104 - as in the image


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(the("ConfigMap")["data"]["config.toml"], encoding="utf-8")
    return path


def test_its_settings_are_accepted_and_safe(config: Path) -> None:
    loaded = load_settings(environ=environment(config))

    assert loaded.warnings == ()
    assert loaded.settings.shared.url is not None
    assert drain_seconds_of(loaded.settings) == float(VARIABLES["BLAXEL_MCP_HTTP__DRAIN_SECONDS"]["value"])
    require_safe(loaded.settings.http, resolve(loaded.settings.http))
    metrics = resolve_metrics(loaded.settings.http)
    assert metrics is not None
    assert (metrics.port, metrics.is_wildcard) == (PORTS["metrics"], True)


@pytest.mark.anyio
async def test_probes_are_answered_under_the_address_of_the_pod(emulator: Emulator) -> None:
    http = {"auth": "token", "bearer_tokens": (HTTP_TOKEN,), "allowed_hosts": ("models.example.com",)}
    async with serving(leading_to(emulator, http=http)) as served, served.http({"Host": "10.1.2.3:8080"}) as client:
        statuses = [(await client.get(path)).status_code for path in ("/healthz", "/readyz")]

    assert statuses == [200, 200]
