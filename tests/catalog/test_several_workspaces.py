"""The models of several workspaces as tools: their names, their credentials, and one workspace that fails."""

import os
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from blaxel_mcp.catalog.control_plane import ControlPlane
from blaxel_mcp.catalog.discovery import Discovery, lists_models
from blaxel_mcp.cli.settings import demo_overrides
from blaxel_mcp.client.client import APIClient
from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.settings.loading import Configuration, load_settings
from blaxel_mcp.settings.login_file import LoginEntry, LoginFile
from blaxel_mcp.settings.schema import BUILTIN_TOOLS, Settings
from tests.support.canaries import CALLER_KEY as OTHER_KEY
from tests.support.canaries import KEY
from tests.support.connecting import answer_of, connect, error_of, receipt_of
from tests.support.leaks import Client

pytestmark = pytest.mark.anyio

WORKSPACES = ["acme", "acme-eu"]


class Platform(httpx.AsyncBaseTransport):
    """A control plane and a gateway with several workspaces, of which each accepts one key."""

    def __init__(self) -> None:
        self.models = {"acme": ["gpt", "only-here"], "acme-eu": ["gpt", "mistral"]}
        self.keys = {"acme": KEY, "acme-eu": OTHER_KEY}
        self.calls: list[tuple[str, str]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        workspace = request.headers["X-Blaxel-Workspace"]
        if request.headers["X-Blaxel-Authorization"] != f"Bearer {self.keys[workspace]}":
            return httpx.Response(401, json={"error": "unauthorized", "code": 401})
        if request.url.host == "run.example":
            self.calls.append((workspace, request.url.path))
            return httpx.Response(200, json={"choices": [{"message": {"content": f"from {workspace}"}}]})
        if request.url.path == "/v0/models":
            runtime = {"type": "openai", "model": "gpt-4o-mini"}
            rows = [{"metadata": {"name": name}, "spec": {"runtime": runtime}} for name in self.models[workspace]]
            return httpx.Response(200, json=rows)
        return httpx.Response(404, json={"error": "not found", "code": 404})


def several(**settings: Any) -> Configuration:
    values: dict[str, Any] = {
        "workspace": "acme",
        "api_key": KEY,
        "run_url": "https://run.example",
        "api_url": "https://api.example/v0",
        "discovery": {"workspaces": WORKSPACES},
        "workspaces": {"acme-eu": {"api_key": OTHER_KEY}},
        **settings,
    }
    return Configuration(Settings.model_validate(values))


async def tools(client: Client) -> list[str]:
    names = [tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools]
    return [name for name in names if name not in BUILTIN_TOOLS]


async def test_the_models_of_all_workspaces_are_tools_each_called_with_its_own_workspaces_key() -> None:
    platform = Platform()
    async with connect(several(), transport=platform) as client:
        assert await tools(client) == ["gpt", "only-here", "gpt_acme-eu", "mistral_acme-eu"]
        for name, workspace in (("gpt", "acme"), ("gpt_acme-eu", "acme-eu"), ("mistral_acme-eu", "acme-eu")):
            result = await client.call_tool(name, {"prompt": "Hi"})
            assert receipt_of(result)["workspace"] == workspace
            assert answer_of(result)["choices"][0]["message"]["content"] == f"from {workspace}"

        page = answer_of(await client.call_tool("list_models", {}))

    assert [(row["name"], row["workspace"], row["tool"]) for row in page["models"]] == [
        ("gpt", "acme", "gpt"),
        ("only-here", "acme", "only-here"),
        ("gpt", "acme-eu", "gpt_acme-eu"),
        ("mistral", "acme-eu", "mistral_acme-eu"),
    ]
    assert page["notes"] == []
    assert platform.calls[0] == ("acme", "/acme/models/gpt/v1/chat/completions")


async def test_run_model_asks_for_the_workspace_of_a_name_that_several_have() -> None:
    platform = Platform()
    async with connect(several(), transport=platform) as client:
        await tools(client)
        asked = error_of(await client.call_tool("run_model", {"model": "gpt", "data": {"messages": []}}))
        assert platform.calls == []
        data = {"messages": [{"role": "user", "content": "Hi"}]}
        for model in ("acme-eu/gpt", "acme/gpt", "mistral", "acme-eu/unlisted", "acme-eu/GPT"):
            await client.call_tool("run_model", {"model": model, "data": data})
        unknown = error_of(await client.call_tool("run_model", {"model": "other/gpt", "data": data}))

    assert asked["code"] == "invalid_arguments"
    assert "acme, acme-eu" in asked["message"]
    assert "acme/gpt, acme-eu/gpt" in asked["hint"]
    assert unknown["code"] == "invalid_arguments"
    assert [workspace for workspace, _ in platform.calls] == ["acme-eu", "acme", "acme-eu", "acme-eu", "acme-eu"]


async def test_a_name_in_another_case_does_not_lead_around_the_locked_fields_of_a_workspaces_model() -> None:
    platform = Platform()
    models = [{"name": "gpt", "workspace": "acme-eu", "tool": "eu", "locked": {"temperature": 0}}]
    async with connect(several(models=models), transport=platform) as client:
        assert await tools(client) == ["eu", "gpt", "only-here", "mistral_acme-eu"]
        arguments = {"model": "acme-eu/GPT", "data": {"messages": [{"role": "user", "content": "Hi"}]}, "dry_run": True}
        sent = answer_of(await client.call_tool("run_model", arguments))

    assert sent["request"]["body"]["temperature"] == 0


@pytest.mark.parametrize("failing", WORKSPACES)
async def test_a_workspace_that_fails_leaves_the_others_with_the_same_names_and_is_named(failing: str) -> None:
    platform = Platform()
    platform.keys[failing] = "another"
    async with connect(several(), transport=platform) as client:
        names = await tools(client)
        page = answer_of(await client.call_tool("list_models", {}))

    own = {"acme": ["gpt", "only-here"], "acme-eu": ["gpt_acme-eu", "mistral_acme-eu"]}
    assert names == next(own[workspace] for workspace in WORKSPACES if workspace != failing)
    assert any(f"workspace {failing} could not be listed" in note for note in page["notes"])


async def test_a_workspace_that_hangs_does_not_hold_up_the_others() -> None:
    class Hanging(Platform):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.headers["X-Blaxel-Workspace"] == "acme-eu":
                await anyio.sleep_forever()
            return await super().handle_async_request(request)

    async with connect(several(), transport=Hanging()) as client:
        with anyio.fail_after(20):
            assert await tools(client) == ["gpt", "only-here"]


async def test_a_clock_that_is_set_back_makes_no_list_last_longer() -> None:
    platform, now = Platform(), [1_800_000_000.0]
    platform.keys["acme-eu"] = "another"
    config = several()
    async with APIClient(config, transport=platform) as client:
        discovery = Discovery(config.settings, ControlPlane(client, config.settings), now=lambda: now[0])
        await discovery.refresh()
        platform.models["acme"] += ["new"]
        await discovery.refresh()
        fresh = discovery.catalog.names
        now[0] -= 86_400
        await discovery.refresh()

    assert (fresh, discovery.catalog.names) == (["gpt", "only-here"], ["gpt", "new", "only-here"])


async def test_include_and_exclude_take_a_workspace_too() -> None:
    discovery = {"workspaces": WORKSPACES, "include": ["acme/*", "mistral"], "exclude": ["acme/only*"]}
    async with connect(several(discovery=discovery), transport=Platform()) as client:
        assert await tools(client) == ["gpt", "mistral_acme-eu"]


async def test_one_tool_per_api_names_each_model_once() -> None:
    platform = Platform()
    async with connect(several(tools={"layout": "per-api"}), transport=platform) as client:
        (tool,) = [t for t in (await client.list_tools()).tools if t.name not in BUILTIN_TOOLS]
        assert tool.input_schema["properties"]["model"]["enum"] == ["acme/gpt", "only-here", "acme-eu/gpt", "mistral"]
        await client.call_tool(tool.name, {"model": "acme-eu/gpt", "prompt": "Hi"})

    assert [workspace for workspace, _ in platform.calls] == ["acme-eu"]


async def test_the_guide_to_a_model_of_two_workspaces_has_an_address_of_its_own() -> None:
    async with connect(several(), transport=Platform()) as client:
        await tools(client)
        uris = [str(resource.uri) for resource in (await client.list_resources()).resources]
        assert "blaxel://models/acme-eu%2Fgpt" in uris
        (contents,) = (await client.read_resource("blaxel://models/acme-eu%2Fgpt")).contents

    assert "acme-eu" in str(contents)
    assert "gpt_acme-eu" in str(contents)


async def test_a_budget_counts_the_calls_of_all_workspaces() -> None:
    async with connect(several(budget={"calls_per_day": 1}), transport=Platform()) as client:
        await tools(client)
        await client.call_tool("gpt", {"prompt": "Hi"})
        refused = error_of(await client.call_tool("gpt_acme-eu", {"prompt": "Hi"}))

    assert refused["code"] == "budget_exceeded"


# Credentials


def source(config: Configuration, workspace: str) -> str | None:
    from blaxel_mcp.client.auth.credentials import resolve_credentials  # noqa: PLC0415

    resolved = resolve_credentials(config, workspace)
    return resolved.source if resolved else None


def loaded(home: Path, text: str) -> Configuration:
    path = home / "settings.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load_settings(config_file=path, environ={})


def test_a_workspaces_own_table_goes_before_the_credentials_at_the_top(home: Path) -> None:
    config = loaded(home, f'workspace = "acme"\napi_key = "{KEY}"\n[workspaces.acme-eu]\napi_key = "{OTHER_KEY}"\n')

    assert source(config, "acme") == f"api_key in {home}/settings.toml"
    assert source(config, "acme-eu") == f"workspaces.acme-eu.api_key in {home}/settings.toml"
    assert source(config, "third") == source(config, "acme")
    assert OTHER_KEY not in repr(config)


@pytest.mark.parametrize("value", ['""', '"${EU_KEY}"', '"  "', '"$EU_KEY"'])
def test_a_blank_or_unexpanded_value_in_a_table_never_leads_to_another_workspaces_key(home: Path, value: str) -> None:
    config = loaded(home, f'workspace = "acme"\napi_key = "{KEY}"\n[workspaces.acme-eu]\napi_key = {value}\n')

    assert source(config, "acme-eu") is None
    assert bool(config.unexpanded) == ("EU_KEY" in value)


def test_a_table_without_credentials_takes_the_login_of_its_workspace() -> None:
    entry = LoginEntry("acme-eu", api_key=Settings(api_key=OTHER_KEY).api_key)
    login = LoginFile(Path("login.yaml"), "acme", {"acme-eu": entry})
    settings = Settings.model_validate({"api_key": KEY, "workspaces": {"acme-eu": {}}})

    assert source(Configuration(settings, login=login), "acme-eu") == "bl login file (login.yaml), workspace acme-eu"


async def test_a_workspace_without_credentials_is_named_with_what_to_set() -> None:
    async with connect(several(workspaces={"acme-eu": {}}), transport=Platform()) as client:
        assert await tools(client) == ["gpt", "only-here"]
        (note,) = answer_of(await client.call_tool("list_models", {}))["notes"]

    assert "workspace acme-eu" in note
    assert "[workspaces.acme-eu]" in note


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "[workspaces.acme]\napi_ky = 'x'",
            "workspaces.acme.api_ky in FILE:2 is not a setting; did you mean api_key?",
        ),
        ("[workspaces]\nacme = 'the-key'", "workspaces.acme in FILE:2 must be a table"),
        ("[workspaces]\nacme = ''", "workspaces.acme in FILE:2 must be a table"),
        ("[workspaces.acme]\napi_key_command = []", "workspaces.acme.api_key_command in FILE:2 must not be empty"),
        ("[discovery]\nworkspaces = ['']", "discovery.workspaces[0] in FILE:2 is blank; set a value, or remove it"),
    ],
)
def test_a_mistake_in_a_workspaces_table_is_named_without_its_value(home: Path, text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        loaded(home, text)

    assert str(caught.value).split("\n")[1] == problem.replace("FILE", f"{home}/settings.toml")


def test_the_first_listed_workspace_is_the_one_that_is_meant_without_a_name(home: Path) -> None:
    config = loaded(home, '[discovery]\nworkspaces = ["acme-eu", "acme", "acme-eu"]\n')

    assert config.settings.workspace == "acme-eu"
    assert config.settings.listed_workspaces == ("acme-eu", "acme")


def test_listed_workspaces_are_listed_beside_configured_models_too(home: Path) -> None:
    config = loaded(home, '[discovery]\nworkspaces = ["acme"]\n[[models]]\nname = "mine"\n')

    assert lists_models(config.settings)


@pytest.mark.skipif(os.name != "posix", reason="other systems keep permissions elsewhere")
def test_a_file_with_the_key_of_a_workspace_that_others_can_read_is_warned_about(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(f'[workspaces.acme]\napi_key = "{KEY}"\n')
    path.chmod(0o644)

    (warning,) = load_settings(config_file=path, environ={}).warnings

    assert "contains credentials that other users can access" in warning


def test_a_demo_uses_none_of_the_users_workspaces(home: Path) -> None:
    path = home / "settings.toml"
    path.write_text(f'[discovery]\nworkspaces = ["acme"]\n[workspaces.demo]\napi_key = "{OTHER_KEY}"\n')
    path.chmod(0o600)
    demo = demo_overrides(run_url="http://127.0.0.1:1", api_url="http://127.0.0.1:1/v0")
    config = load_settings(overrides=demo, config_file=path, environ={})

    assert config.settings.known_workspaces == {"demo"}
    assert source(config, "demo") == "api_key on the command line"
