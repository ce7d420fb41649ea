"""What codes and fields mean, in the words of docs/. Tests hold the names to those of the code."""

from collections.abc import Mapping

from blaxel_mcp.core.exceptions import ErrorCode
from blaxel_mcp.core.process import ExitCode

MEANINGS: Mapping[ErrorCode, str] = {
    "invalid_arguments": "the request cannot be sent as it stands, or was refused for what is in it",
    "unknown_model": "the workspace has no model of that name",
    "authentication_failed": "Blaxel, or a key of its own at the provider's, says no to the credentials",
    "permission_denied": "`[access]`, a role or a policy does not allow the call",
    "not_found": "there is nothing at that path, or no answer of that call any more",
    "model_unavailable": "the model is not deployed, or is still loading",
    "rate_limited": "too much in too short a time, for Blaxel or for the provider",
    "quota_exceeded": "the plan or the account is used up",
    "request_too_large": "Blaxel or the provider does not take so large a body",
    "response_too_large": "the answer is over `limits.max_response_bytes`",
    "provider_error": "the model's provider answered with an error",
    "upstream_error": "Blaxel, or something in front of it, answered with an error",
    "bad_response": "a success that is no answer: broken JSON, a web page, a cut body",
    "timeout": "the call took longer than its deadline",
    "network_error": "no connection, or one that broke",
    "cancelled": "the call was stopped by `cancel_call`",
    "budget_exceeded": "a cap of `[budget]` has no room for the call",
    "busy": "as many calls wait for their turn as `limits.max_queue` allows",
    "configuration_error": "settings or credentials are missing or wrong",
}

RECEIPT_FIELDS: Mapping[str, str] = {
    "call_id": "the call's name for `read_result`, `cancel_call` and `blaxel://calls/{call_id}`",
    "model": "the model API that was called",
    "workspace": "and its workspace",
    "method": "of the HTTP request",
    "url": "of the HTTP request",
    "status": "of the HTTP answer",
    "request_id": "under which Blaxel's support finds the call",
    "attempts": "how often the request went out",
    "elapsed_ms": "the whole call, in milliseconds",
    "first_byte_ms": "until the answer began, in milliseconds",
    "usage": "`input_tokens`, `output_tokens` and `total_tokens`, as the provider reports them; with `estimated: true`, as "
    "this server estimates them",
    "cost_usd": "by the model's `price`",
    "budget": "`day`, `resets_at`, and for `all` calls and this `model` what is used of each cap",
    "repairs": "a sentence for each change that was made to the arguments, such as `data` that came as a JSON string",
    "notes": "a sentence for each other thing to know, such as an attempt that was sent again",
    "truncated": "whether the result shows less than the answer",
}

ERROR_FIELDS: Mapping[str, str] = {
    "code": "one of the codes below",
    "message": "what happened, in a sentence",
    "retryable": "whether the very same call may succeed later",
    "retry_after_seconds": "how long to wait before that, where upstream said so",
    "billed": "`no`, `maybe` or `yes`: whether the provider has charged for the call, as far as can be known here",
    "origin": "whose side it is on: `caller`, `local` (this server), `blaxel`, `provider` or `network`",
    "status": "of the HTTP answer, where there was one",
    "request_id": "under which Blaxel's support finds the call",
    "hint": "what to do next, in a sentence",
}

EXIT_CODES: Mapping[int, str] = {
    ExitCode.OK: "done",
    ExitCode.FAILED: "the request or a check failed",
    ExitCode.USAGE: "the command line or the settings are wrong",
    ExitCode.INTERRUPTED: "interrupted",
}
