"""Errors that a provider reports in a successful answer or in an event, in the shapes that are known."""

from typing import Any

from blaxel_mcp.core.json_text import JSONObject

ERROR_WORDS = ("message", "detail", "errors", "msg", "error_msg", "err_msg", "errorMessage", "title")
"""Members in which an error tells what happened, in the order in which they are looked for."""

_ERROR_MEMBERS = {
    *(*ERROR_WORDS, "code", "error", "error_code", "err_code", "errorType", "__type", "object", "param", "type"),
    *("request_id", "requestId", "trace_id", "timestamp", "path", "status", "status_code", "success", "ok"),
    *("error_type", "instance", "log_id"),
}
"""Members of an object that is nothing but an error."""

_ERROR_SIGNS = frozenset({"code", "error_code", "err_code", "detail", "errors", "errorType", "__type", "object"})
"""Members that an event has beside its message if it is an error."""

_RESULTS = frozenset({"data", "result", "results", "messages"})
"""Members that have no value in an error."""

_COHERE_FAILURES = ("ERROR", "ERROR_TOXIC", "TIMEOUT")

_ENDPOINTS = ("/moderations", "/ocr", "/embed", "/rerank", "/score", "/classify", "/converse")
_METHODS = (":embedContent", ":batchEmbedContents", ":countTokens", ":predict")


def has_answer_shape(path: str) -> bool:
    """Return whether the answers at a sub-endpoint of no `ModelAPI` are known to have no member `error`."""
    return path.partition("?")[0].endswith((*_ENDPOINTS, *_METHODS))


def reported_error(value: JSONObject, *, is_known: bool = True) -> JSONObject | None:
    """Return the error in an answer or event, as an object to read its message from; None if it reports none.

    Args:
        value: The answer.
        is_known: Whether it is of a known API. Of any other, only an object that is nothing but an error counts.
    """
    error = value.get("error")
    has_error = any(error.values()) if isinstance(error, dict) else bool(error)
    if not is_known:
        is_failed = value.get("success") is False or "error" in (value.get("type"), value.get("object"))
        has_message = isinstance(error, dict) and isinstance(error.get("message"), str) and has_error
        return value if (has_message or (is_failed and _has_words(value))) and _is_nothing_else(value) else None
    if has_error:
        return value
    choices = value.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        # OpenRouter's and Mistral's, of a model that failed halfway.
        if isinstance(choice, dict) and (choice.get("error") or choice.get("finish_reason") == "error"):
            return {"error": choice.get("error") or "The choice ended with finish_reason error."}
    return None if value.keys() >= {"choices", "id"} else _other_error(value)


def reported_in_event(data: JSONObject) -> JSONObject | None:
    """Return the error in an event of no known kind; None if it reports none.

    A message alone is none: servers tell so what they are doing. If it was an error, the stream lacks its end.
    """
    kind = data.get("type")
    if isinstance(kind, str) and data.get("object") != "error" and "error" not in kind.lower():
        return None
    is_clear = isinstance(kind, str) or data.get("success") is False or not data.keys().isdisjoint(_ERROR_SIGNS)
    return reported_error(data) if is_clear else None


def _other_error(value: JSONObject) -> JSONObject | None:
    """Return the error in an answer that has no `error`; None if it is none."""
    base = value.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        # MiniMax.
        return {"error": {"message": base.get("status_msg"), "code": base["status_code"]}}
    is_failed = value.get("status") in ("failed", "error") or False in (value.get("success"), value.get("ok"))
    is_failed = is_failed or "error" in (value.get("type"), value.get("object"))
    if is_failed or (_has_words(value) and _is_nothing_else(value)):
        return value
    reason = value.get("finish_reason")
    return {"error": f"The answer ended with finish_reason {reason}."} if reason in _COHERE_FAILURES else None


def _has_words(value: JSONObject) -> bool:
    return any(isinstance(text := value.get(name), str | list) and text for name in ERROR_WORDS)


def _is_nothing_else(value: JSONObject) -> bool:
    rest: dict[str, Any] = {name: member for name, member in value.items() if name not in _ERROR_MEMBERS}
    return rest.keys() <= _RESULTS and not any(rest.values())
