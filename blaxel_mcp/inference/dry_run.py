"""A dry run: the request that a call would send, its estimated cost, and the same call with other programs."""

import re
import shlex
from collections.abc import Mapping

from blaxel_mcp.apis.base import FileData
from blaxel_mcp.budget.figures import NANO
from blaxel_mcp.client.request import APIRequest, request_headers
from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_text import JSONObject
from blaxel_mcp.core.redaction import scrub
from blaxel_mcp.inference.context import CallContext
from blaxel_mcp.inference.invocation import Invocation
from blaxel_mcp.inference.prepare import PreparedRequest
from blaxel_mcp.inference.runtime import Runtime

_SECRET_NAME = re.compile("auth|cookie|credential|key|passw|secret|signature|token", re.IGNORECASE)
_TYPE = "Content-Type"
_SHOWN_BYTES = 32 * 1024
"""A larger body, which has media in it, is described; the command lines then name a file."""


async def dry_run(runtime: Runtime, invocation: Invocation, context: CallContext) -> JSONObject:
    """Return the request and the estimated cost of a call. The model is not called, and nothing is reserved.

    Returns:
        The request with masked credentials, the estimate in tokens and USD (null without a known price), the caps that
        apply with their usage so far, why the budget would refuse the call, if it would, and copyable command lines.

    Raises:
        BlaxelError: The call cannot be made.
    """
    prepared = await runtime.inference.expect(invocation, context, is_priced=True)
    refusal = await runtime.spending.preview(context)
    request, body, expected = prepared.request, prepared.body, context.expected
    if request.content is not None and not _is_short_json(request.content, body):
        body = f"[{request.headers[_TYPE].partition(';')[0]}, {len(request.content):,} bytes]"
    return {
        "dry_run": True,
        "request": {
            "method": request.method,
            "url": scrub(request.url),
            "headers": masked_headers(request, runtime.config.settings.api_version),
            "body": body,
        },
        "estimate": {
            "input_tokens": expected.input_tokens,
            "output_tokens": expected.output_tokens,
            "total_tokens": expected.tokens,
            "cost_usd": expected.nano_usd / NANO if expected.is_priced else None,
            "price_source": expected.price.source if expected.price else None,
        },
        "budget": context.budget,
        "refused": refusal,
        **_commands(prepared, invocation),
        "repairs": list(context.repairs),
        "notes": list(context.notes),
    }


def masked_headers(request: APIRequest, api_version: str) -> dict[str, str]:
    """Return the headers of a request by their names in title case, with eight asterisks for each credential."""
    headers = {name.title(): value for name, value in request_headers(request, api_version=api_version).items()}
    masked = {name: "********" if _SECRET_NAME.search(name) else scrub(value) for name, value in headers.items()}
    return {"X-Blaxel-Authorization": "Bearer ********", **masked}


def curl_command(url: str, workspace: str, headers: Mapping[str, str], content: str) -> str:
    """Return a call as a `curl` line; the shell inserts the key.

    The content is options for the method and the body, quoted; empty for none.
    """
    own = {"X-Blaxel-Workspace": workspace, **headers}
    words = (f"-H {shlex.quote(f'{name}: {value}')}" for name, value in own.items())
    # In double quotes, so that the shell inserts the key.
    key = '-H "X-Blaxel-Authorization: Bearer $BL_API_KEY"'
    return " ".join(("curl", shlex.quote(url), key, *words, *filter(None, [content])))


def bl_command(model: str, workspace: str, path: str, content: str) -> str:
    """Return a call as a line for Blaxel's own command line, with the options of the content as in `curl_command`."""
    words = ("bl run model", shlex.quote(model), "--workspace", shlex.quote(workspace))
    return " ".join((*words, *(("--path", shlex.quote(path)) if path else ()), *filter(None, [content])))


def form_options(fields: JSONObject) -> str:
    """Return the fields of a form as options of `curl`; a file is named as in the current folder."""
    texts = (
        f"{name}=@{value.name}"
        if isinstance(value, FileData)
        else f"{name}={value if isinstance(value, str) else json_text.dump(value)}"
        for name, value in fields.items()
    )
    return " ".join(f"-F {shlex.quote(text)}" for text in texts)


def _commands(prepared: PreparedRequest, invocation: Invocation) -> JSONObject:
    """Return the call as lines for `curl` and for `bl`, which cannot send a form."""
    request, route, content = prepared.request, prepared.route, prepared.request.content
    own = {name.title() for name in request.headers} - {"Accept"}
    headers = {name: value for name, value in masked_headers(request, "-").items() if name in own}
    method = "" if request.method == "POST" and content is not None else request.method
    curl_method, bl_method = (f"{option} {method}" if method else "" for option in ("-X", "--method"))
    data = content.decode() if content is not None and _is_short_json(content, prepared.body) else ""
    upload = prepared.body.get("file") if isinstance(prepared.body, dict) else None
    if isinstance(upload, FileData) and route.api and route.api.multipart:
        headers.pop("Content-Type", None)
        return {"curl": curl_command(request.url, route.workspace, headers, form_options(prepared.body)), "bl": None}
    if content is None:
        curl_data = bl_data = ""
    elif isinstance(upload, FileData):
        curl_data = f"--data-binary {shlex.quote(f'@{upload.name}')}"
        bl_data = f"--upload-file {shlex.quote(upload.name)}"
    else:
        curl_data = f"-d {shlex.quote(data) if data else '@body.json'}"
        bl_data = f"--data {shlex.quote(data)}" if data else "--file body.json"
    # As it is sent: with the query, and with the path of the stream.
    path = request.url.removeprefix(route.endpoint.base)
    extra = (f"--header {shlex.quote(f'{name}: {value}')}" for name, value in headers.items() if name != _TYPE)
    options = " ".join(filter(None, (bl_method, bl_data, *extra)))
    return {
        "curl": curl_command(request.url, route.workspace, headers, f"{curl_method} {curl_data}".strip()),
        "bl": bl_command(invocation.model, route.workspace, path, options),
    }


def _is_short_json(content: bytes, body: object) -> bool:
    return len(content) <= _SHOWN_BYTES and not (isinstance(body, dict) and isinstance(body.get("file"), FileData))
