"""The final text of an error, as agents and people read it: the one place where it is made."""

from collections.abc import Iterator
from http import HTTPStatus

from blaxel_mcp.apis import APIS
from blaxel_mcp.catalog.records import DEPLOYED, ModelRecord
from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.core.suggestions import closest, closest_names
from blaxel_mcp.inference.context import CallContext

PARTIAL_FOLLOWS = "The partial answer follows."
PARTIAL_ABOVE = "The answer above is incomplete."


def describe(error: BlaxelError, context: CallContext, *, partial: str = "") -> BlaxelError:
    """Return a new error with the information of the context; the given error stays as it is.

    The hint gains the names that were probably meant, the number of attempts and what the control plane's record says
    about the failure; `billed` covers all attempts together. `partial` says where the partial answer is, if there is
    one and it is shown.
    """
    described = BlaxelError(error.message, code=error.code)
    vars(described).update(vars(error))
    described.hint = " ".join(filter(None, _hints(error, context, partial)))
    if context.earlier_attempt_billed and error.billed == "no":
        described.billed = "maybe"
    return described


def _hints(error: BlaxelError, context: CallContext, partial: str) -> Iterator[str]:
    if error.code == "unknown_model" and context.model:
        names = [name for name in closest_names(context.model, context.model_names) if name != context.model]
        quoted = [repr(name) for name in names]
        either = " or ".join(filter(None, (", ".join(quoted[:-1]), *quoted[-1:])))
        yield f"Did you mean {either}?" if names else ""
    if context.retries:
        yield f"The request was tried {context.retries + 1} times."
    if error.partial or (context.stream and context.stream.has_begun):
        yield partial
    yield error.hint
    if error.status == HTTPStatus.NOT_FOUND and error.code in ("not_found", "provider_error") and context.prepared:
        path = context.prepared.route.path
        guess = closest(path, [api.path for api in APIS if api.path])
        yield f"Did you mean the path {guess!r}?" if guess and guess != path else ""
    if context.earlier_attempt_billed and error.billed == "no":
        yield "An earlier attempt may have been billed: retry only if paying twice is acceptable."
    if context.record and error.origin == "blaxel":
        yield _record_hint(error, context.record)


def _record_hint(error: BlaxelError, record: ModelRecord) -> str:
    """Return a hint from the model's record, which may be a few minutes old."""
    if error.code == "rate_limited" and record.policies:
        return f"These policies apply to the model and may cause the limit: {', '.join(map(literal, record.policies))}."
    if error.code != "model_unavailable":
        return ""
    if not record.enabled:
        return "The model is disabled in Blaxel: enable it there before you retry."
    if record.status and record.status != DEPLOYED:
        status = record.shown_status
        return f"Its last known status is {status}; it answers once that is {DEPLOYED}, which list_models shows."
    return "It was deployed when last checked, so this should pass in a minute or so."


def cancelled(context: CallContext) -> BlaxelError:
    """Make the error of a call that was stopped before its answer was complete."""
    sent = context.trace.sent
    return BlaxelError(
        "The call was cancelled before its answer was complete.",
        code="cancelled",
        origin="caller",
        hint=f"Call the model again if you still need the answer{'; you will be billed again' if sent else ''}.",
        billed="maybe" if sent else "no",
    )


def unexpected(context: CallContext) -> BlaxelError:
    """Make the error of a call in which this server failed."""
    return BlaxelError(
        "Internal error in this server.",
        code="upstream_error",
        hint=f"Please report it with call_id {context.call_id}; the server's log has the details.",
        billed="maybe" if context.trace.sent else "no",
    )
