"""Scripted language models: loopback stand-ins for the APIs that agents call for the next step.

A script says which tools the model calls, one in each round; then it says that it is done. What it is
asked is kept, and the last request of a run holds all that a model would have seen: the definitions of
the tools, and what each call came to. Anthropic's Messages, OpenAI's Responses and Gemini's
generateContent are spoken, as far as the agents in these tests use them.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.clients.loopback import served

DONE = "That was all."

Arguments = dict[str, Any] | Callable[[str], dict[str, Any]]
"""Of a call: as they are, or made of what the call before it came to, as JSON text."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that the model makes.

    Attributes:
        why: What it is to show.
        tool: The tool's name in our server.
        arguments: Of the call.
    """

    why: str
    tool: str
    arguments: Arguments

    def given(self, results: Sequence[Any]) -> dict[str, Any]:
        """The arguments, now that the calls before this one have come to something."""
        if callable(self.arguments):
            return self.arguments(json.dumps(results[-1], ensure_ascii=False))
        return self.arguments


@dataclass(slots=True)
class FakeModel:
    """A scripted model.

    Attributes:
        script: What it calls.
        named: The name that the agent has for a tool of ours.
        url: Where it is served.
        asked: The bodies of the requests that offered it tools, in their order.
        made: The arguments of each call that it has made, by the call's number.
    """

    script: Sequence[Call]
    named: Callable[[str], str] = str
    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    made: dict[int, dict[str, Any]] = field(default_factory=dict)

    def answer(self, path: str, body: dict[str, Any]) -> "Reply | None":
        """Return the reply of one of the APIs; None for any other path."""
        if path.endswith("/messages"):
            return messages(self, body)
        if path.endswith("/responses"):
            return responses(self, body)
        if path.endswith(":generateContent"):
            return generate_content(self, body)
        return None

    def next_call(self, body: dict[str, Any], results: Sequence[Any]) -> tuple[str, dict[str, Any]] | None:
        """Return the name and arguments of the next call; None after the last one."""
        if not body.get("tools"):
            return None
        self.asked.append(body)
        if len(results) >= len(self.script):
            return None
        call = self.script[len(results)]
        arguments = self.made[len(results)] = call.given(results)
        return self.named(call.tool), arguments


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply: JSON, or the events of a stream."""

    body: dict[str, Any] | None = None
    events: Sequence[dict[str, Any]] = ()

    @property
    def content_type(self) -> str:
        """The media type of the reply."""
        return "text/event-stream" if self.body is None else "application/json"

    def encoded(self) -> bytes:
        """The bytes of the reply."""
        if self.body is not None:
            return json.dumps(self.body).encode()
        return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in self.events).encode()


def messages(model: FakeModel, body: dict[str, Any]) -> Reply:
    """Anthropic's Messages, streamed."""
    results = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    call = model.next_call(body, results)
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    usage = {"input_tokens": 1, "output_tokens": 1}
    start: dict[str, Any]
    if call is None:
        start, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": DONE}
    else:
        start = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": call[0], "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call[1])}
    stop = {"stop_reason": "tool_use" if call else "end_turn", "stop_sequence": None}
    message = {**head, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    return Reply(
        events=[
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": start},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": usage},
            {"type": "message_stop"},
        ]
    )


def responses(model: FakeModel, body: dict[str, Any]) -> Reply:
    """OpenAI's Responses, streamed if that is asked for; the tools of a server may be in a namespace of its own."""
    results = [item["output"] for item in body["input"] if item.get("type") == "function_call_output"]
    call = model.next_call(body, results)
    if call is None:
        text = {"type": "output_text", "text": DONE, "annotations": []}
        item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    else:
        namespace, _, name = call[0].rpartition(":")
        ids = {"id": f"fc_{len(results)}", "call_id": f"call_{len(results)}"}
        item = {"type": "function_call", **ids, "name": name, "arguments": json.dumps(call[1]), "status": "completed"}
        item |= {"namespace": namespace} if namespace else {}
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2, **details}
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": body["model"], "status": "completed"}
    response |= {"output": [item], "usage": usage, "tools": [], "tool_choice": "auto", "parallel_tool_calls": False}
    if not body.get("stream"):
        return Reply(body=response)
    created = response | {"status": "in_progress", "output": [], "usage": None}
    return Reply(
        events=[
            {"type": "response.created", "response": created},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": response},
        ]
    )


def generate_content(model: FakeModel, body: dict[str, Any]) -> Reply:
    """Gemini's generateContent."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    call = model.next_call(body, results)
    part = {"text": DONE} if call is None else {"functionCall": {"name": call[0], "args": call[1]}}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
    return Reply(body={"candidates": [candidate], "usageMetadata": usage, "modelVersion": "fake"})


@contextmanager
def serving(model: FakeModel) -> Iterator[FakeModel]:
    """Serve a model on a free port of loopback while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(model.answer(self.path.partition("?")[0], body))

        def do_GET(self) -> None:
            self._send(None)

        def do_HEAD(self) -> None:
            self._send(None)

        def log_message(self, *_: Any) -> None:
            pass

        def _send(self, reply: Reply | None) -> None:
            data = b"{}" if reply is None else reply.encoded()
            self.send_response(404 if reply is None else 200)
            self.send_header("Content-Type", "application/json" if reply is None else reply.content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else data)

    with served(Handler) as model.url:
        yield model
