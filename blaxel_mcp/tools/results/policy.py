"""How the settings want answers to become results."""

from dataclasses import replace

from blaxel_mcp.apis import ModelAPI
from blaxel_mcp.settings.schema import ModelSettings, Settings
from blaxel_mcp.tools.results.results import ResultPolicy
from blaxel_mcp.tools.store.store import CallStore


def base_policy(settings: Settings, store: CallStore) -> ResultPolicy:
    """The policy for a model of which nothing is known."""
    return ResultPolicy(
        store=store,
        max_chars=settings.limits.max_result_chars,
        max_media_bytes=settings.limits.max_media_bytes,
        output_dir=settings.files.output_dir,
        kind=settings.tools.result,
        reader=f"{settings.tools.prefix}read_result",
    )


def model_policy(policy: ResultPolicy, api: ModelAPI | None, model: ModelSettings | None) -> ResultPolicy:
    """The policy for one call: the API finds the text, and the model's own setting goes before the global one."""
    return replace(policy, api=api, kind=(model and model.result) or policy.kind)
