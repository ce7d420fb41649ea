"""What is known of a model, said with the error of its call: its state, its policies, the names near it."""

from collections.abc import Iterable

from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.suggestions import closest_names


def tell_record(error: BlaxelError, record: ModelRecord | None) -> None:
    """Add to the hint what the control plane's record of the model says about this failure.

    Args:
        error: How the call failed.
        record: The record, if there is one; it may be a few minutes old.
    """
    if record is None or error.origin != "blaxel":
        return
    if error.code == "rate_limited" and record.policies:
        _add(error, f"The model is under these policies, which may be behind it: {', '.join(record.policies)}.")
    if error.code == "model_unavailable":
        _add(error, _state(record))


def tell_nearest(error: BlaxelError, model: str, names: Iterable[str]) -> None:
    """Begin the hint about a model that does not exist with the names that it may have been meant to have."""
    if error.code != "unknown_model":
        return
    meant = [name for name in closest_names(model, names) if name != model]
    if meant:
        error.hint = f"Did you mean {_either(meant)}? {error.hint}".strip()


def _state(record: ModelRecord) -> str:
    if not record.enabled:
        return "It is disabled in Blaxel: waiting does not help, it has to be enabled there."
    if record.status and record.status != DEPLOYED:
        # A word is a name of Blaxel's; anything longer is somebody's text, and no sentence of ours.
        status = record.status if record.status.isidentifier() else repr(record.status)
        return f"Its status was {status} when last asked; it answers once that is {DEPLOYED}, as list_models shows."
    return "It was deployed when last asked, so this should pass in a minute or so."


def _either(names: list[str]) -> str:
    quoted = [repr(name) for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def _add(error: BlaxelError, sentence: str) -> None:
    error.hint = f"{error.hint} {sentence}".strip()
