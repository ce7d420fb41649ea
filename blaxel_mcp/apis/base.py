"""The interface of an API, and what its requests are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from blaxel_mcp.core import json_text
from blaxel_mcp.core.exceptions import InvalidArgumentsError
from blaxel_mcp.core.json_text import JSONObject


@dataclass(frozen=True, slots=True)
class FileData:
    """A file with its content.

    Attributes:
        name: The file's name, without its folder.
        media_type: The media type detected from the content, such as `image/png`.
        data: The content.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileURL:
    """An https URL that the provider may fetch; this server never does."""

    url: str


InputFile = FileData | FileURL
"""A file among the arguments; nothing here reads or fetches one."""

Schema = Mapping[str, Any]
Fields = Mapping[str, Schema]

FREE_FORM: Schema = {"type": "object", "additionalProperties": {}}
"""Any object. `{}` and not `true`: a boolean there crashes one client's schema converter, and
without the keyword another's strict mode accepts no field at all."""

_FILLED_IN = ("model", "max_tokens")
"""Fields that this server adds to a body."""

_SHOWN_FIELDS = 10
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded request body."""

    content: bytes
    content_type: str


class ModelAPI:
    """One API that an inference endpoint can speak. It does no I/O and knows nothing of MCP.

    Attributes:
        name: The value of `api` in a `[[models]]` entry.
        path: The sub-endpoint below the model's base endpoint; empty for the base endpoint itself.
        summary: What a call does: the default of a tool's description.
        fields: The arguments that matter to an agent, each with its JSON Schema in the subset that every client
            supports. Other fields of the API pass through.
        required: The fields that are required.
        accepted_fields: Arguments that accept more than `fields` says, and further ones, each with its JSON Schema.
        listed_fields: The arguments that agents usually fill in, which `tools/list` shows; empty for all.
        listed_hints: Descriptions in `tools/list`, of arguments whose names do not say enough.
        choices: The values of listed arguments for which the API has a fixed list; others are not rejected.
        accept: The Accept header: media types that an answer may have.
        headers: Additional request headers that the API requires.
        takes_model: Whether the body has a `model` field.
        file_arguments: Arguments that name files. `body` receives each as an `InputFile`, or as a list of them.
        file_types: How the media types of these files begin; empty for any.
        multipart: Whether the body is sent as multipart, with files as fields; run_model's `data` may then name files.
        conversation: The field of the body that must hold a conversation; empty for an API without one.
        streams: Whether an answer can be streamed.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    summary: ClassVar[str]
    fields: ClassVar[Fields]
    required: ClassVar[tuple[str, ...]] = ()
    accepted_fields: ClassVar[Fields] = {}
    listed_fields: ClassVar[tuple[str, ...]] = ()
    listed_hints: ClassVar[Mapping[str, str]] = {}
    choices: ClassVar[Mapping[str, Sequence[str]]] = {}
    accept: ClassVar[str] = "application/json"
    headers: ClassVar[Mapping[str, str]] = {}
    takes_model: ClassVar[bool] = True
    file_arguments: ClassVar[tuple[str, ...]] = ()
    file_types: ClassVar[str] = ""
    multipart: ClassVar[bool] = False
    conversation: ClassVar[str] = ""
    streams: ClassVar[bool] = False

    def streamed(self, path: str, body: JSONObject) -> tuple[str, JSONObject]:
        """Return the path and the body that request the same answer as a stream."""
        return path, {**body, "stream": True}

    def endpoint_path(self, provider_model: str | None) -> str | None:  # noqa: ARG002 - for APIs whose path names the model
        """Return the sub-endpoint for a model, given its id at the provider; None if the API requires that id."""
        return self.path

    def answers_at(self, path: str) -> bool:
        """Whether this API answers at a sub-endpoint."""
        return path == self.path

    def input_schema(self) -> JSONObject:
        """Return the JSON Schema of a tool's arguments, in the subset that every client supports."""
        required = {"required": list(self.required)} if self.required else {}
        return {"type": "object", "properties": dict(self.fields), "additionalProperties": {}, **required}

    def listed_schema(self) -> JSONObject:
        """Return the part of it that agents usually fill in, small enough to be listed for each of many models."""
        schema = self.input_schema()
        properties = {
            name: {
                **_outline(schema["properties"][name]),
                **({"enum": list(self.choices[name])} if name in self.choices else {}),
                **({"description": self.listed_hints[name]} if name in self.listed_hints else {}),
            }
            for name in self.listed_fields or self.fields
        }
        return {**schema, "properties": properties}

    def accepted_schema(self) -> JSONObject:
        """Return the schema that arguments are validated against: wider than the advertised one, but for empty texts.

        An empty text for an optional argument means that it was omitted, since some clients fill in each.
        """
        schema = self.input_schema()
        optional = {
            name: {**field, "minLength": 1}
            for name, field in self.fields.items()
            if field["type"] == "string" and name not in self.required
        }
        return {**schema, "properties": {**schema["properties"], **optional, **self.accepted_fields}}

    def body(self, arguments: JSONObject) -> JSONObject:
        """Return the request body for a tool's arguments; fields unknown to this API pass through.

        Raises:
            InvalidArgumentsError: two arguments contradict each other, or the conversation is not a list.
        """
        return arguments

    def check(self, body: JSONObject) -> None:
        """Reject a body that the endpoint cannot serve.

        Raises:
            InvalidArgumentsError: a field that the API requires is missing or of the wrong kind. If it is the
                conversation, the hint lists the fields that the body has instead.
        """
        if self.conversation and not body.get(self.conversation):
            # A question in a misspelled field, such as `promt`, passed through as if it were a field of the API.
            others = [field for field in body if field not in (self.conversation, *_FILLED_IN)]
            fields = ", ".join(f"`{field[:_SHOWN_CHARS]}`" for field in others[:_SHOWN_FIELDS])
            instead = f"; the request has {fields} instead" if fields else ""
            raise InvalidArgumentsError(
                "There is no message for the model to answer.",
                hint=f"Set `prompt` to the question, or `{self.conversation}` to the conversation{instead}.",
            )

    def encode(self, body: Any) -> Encoded:
        """Encode the body.

        Raises:
            ValueError: it holds a value that JSON cannot represent.
        """
        content = json_text.dump(body).encode() if json_text.is_small(body) else json_text.dump_in_pieces(body)
        return Encoded(content, "application/json")

    def text(self, answer: Any) -> str | None:  # noqa: ARG002 - for APIs whose answers have text
        """Return the text of an answer, which may be any JSON value; None if it has no text."""
        return None


def _outline(schema: Schema) -> JSONObject:
    """Return the type of a field and of the items in it, without descriptions and limits."""
    outline = {name: schema[name] for name in ("type", "enum") if name in schema}
    if schema["type"] == "object":
        return {**FREE_FORM}
    return {**outline, "items": _outline(schema["items"])} if "items" in schema else outline
