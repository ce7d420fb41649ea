"""The meaning of error codes, fields and exit codes for the pages of docs/. Tests compare the names with the code."""

from collections.abc import Mapping

from blaxel_mcp.core.exceptions import ErrorCode
from blaxel_mcp.core.process import ExitCode

MEANINGS: Mapping[ErrorCode, str] = {
    "invalid_arguments": "the request is invalid: this server did not send it, or upstream rejected its content",
    "unknown_model": "the workspace has no model with that name",
    "authentication_failed": "Blaxel rejected the credentials, or the provider its own key (see `origin`)",
    "permission_denied": "`[access]`, a role or a policy forbids the call",
    "not_found": "the path does not exist, or the answer of that call is no longer kept",
    "model_unavailable": "the model is not deployed, or is still loading",
    "rate_limited": "a rate limit of Blaxel or of the provider",
    "quota_exceeded": "the quota of the plan or the account is used up",
    "request_too_large": "Blaxel or the provider rejected the body for its size",
    "response_too_large": "the answer is larger than `limits.max_response_bytes`",
    "provider_error": "the model's provider answered with an error",
    "upstream_error": "Blaxel, or a proxy in front of it, answered with an error",
    "bad_response": "the status is a success, and the body is not an answer: broken JSON, a web page, a truncated body",
    "timeout": "the call took longer than its deadline",
    "network_error": "the connection could not be opened, or broke",
    "cancelled": "`cancel_call` stopped the call",
    "budget_exceeded": "a cap in `[budget]` has no room for the call",
    "busy": "the queue has as many calls as `limits.max_queue` allows",
    "configuration_error": "settings or credentials are missing or invalid",
}

RECEIPT_FIELDS: Mapping[str, str] = {
    "call_id": "id of the call, for `read_result`, `cancel_call` and `blaxel://calls/{call_id}`",
    "model": "model API that was called",
    "workspace": "its workspace",
    "method": "method of the HTTP request",
    "url": "URL of the HTTP request",
    "status": "status of the HTTP response",
    "request_id": "id of the request at Blaxel, for its support",
    "attempts": "number of HTTP requests",
    "elapsed_ms": "duration of the whole call, in milliseconds",
    "first_byte_ms": "time until the first byte of the answer, in milliseconds",
    "usage": "`input_tokens` (everything that was read), `output_tokens` (everything that was written), "
    "`total_tokens`, and parts of them: `cached_input_tokens`, `cache_write_tokens`, `reasoning_tokens`; "
    "`estimated: true` if this server estimated them, because the provider reported none or far too few",
    "cost_usd": "cost in USD by the price of the model; null if it is not known",
    "price_source": "`configured`, or the price table and its version",
    "budget": "`day`, `resets_at`, and for `all` calls and this `model` the used part of each cap",
    "agreed_by": "who agreed to a call above `ask_over_usd`: `person`, `session`, `settings`; null if nobody was asked",
    "repairs": "one sentence for each repair of the arguments, such as `data` given as a JSON string",
    "notes": "one sentence for each other fact worth knowing, such as a retried attempt",
    "truncated": "whether the result shows less than the answer",
    "replayed": "whether it is the result of an earlier call with the same key; then `cost_usd` is 0",
}

ERROR_FIELDS: Mapping[str, str] = {
    "code": "one of the codes below",
    "message": "what happened, in one sentence",
    "retryable": "whether the same call may succeed later",
    "retry_after_seconds": "time to wait before a retry, if upstream gave one",
    "billed": "`no`, `maybe` or `yes`: whether the provider has charged for the call",
    "origin": "where the fault lies: `caller`, `local` (this server), `blaxel`, `provider` or `network`",
    "status": "status of the HTTP response, if there was one",
    "request_id": "id of the request at Blaxel, for its support",
    "hint": "what to do next, in one or two sentences",
}

EXIT_CODES: Mapping[int, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the request or a check failed",
    ExitCode.USAGE: "the command line or the settings are invalid",
    ExitCode.INTERRUPTED: "interrupted",
}
