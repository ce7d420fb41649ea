"""What the rest of the package knows of an API, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from blaxel_mcp.core import json_text
from blaxel_mcp.core.json_text import JSONObject

Schema = Mapping[str, Any]

FREE_FORM: Schema = {"type": "object", "additionalProperties": {}}
"""Any object. `{}` and not `true`: a boolean there crashes one client's schema converter, and
leaving it out makes another's strict mode accept nothing at all."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request body as it goes over the wire."""

    content: bytes
    content_type: str


class ModelAPI(ABC):
    """One API that an inference endpoint can speak.

    An API is a file in this folder: it says what an agent may fill in, turns that into the
    request body, names where the body goes, and finds the text in the answer. It touches no
    network, no file and no protocol.
    """

    name: ClassVar[str]
    """What `api` in a `[[models]]` entry says."""

    path: ClassVar[str]
    """The sub-endpoint below the model's base endpoint; empty for the base endpoint itself."""

    summary: ClassVar[str]
    """What a call does, for the description of a tool that has none of its own."""

    accept: ClassVar[str] = "application/json"
    """The media types that an answer may have, as an Accept header."""

    headers: ClassVar[Mapping[str, str]] = {}
    """Request headers that the API asks for, besides those of every request."""

    takes_model: ClassVar[bool] = True
    """Whether the body has a `model` field for the provider to choose by."""

    file_arguments: ClassVar[tuple[str, ...]] = ()
    """Arguments that name files: `body` finds `InputFile`s in their place (a list where a list was given)."""

    multipart: ClassVar[bool] = False
    """Whether the files are fields of the body itself, sent as multipart: run_model's `data` names them too."""

    streams: ClassVar[bool] = False
    """Whether an answer can be asked for as a stream of events."""

    def streamed(self, path: str, body: JSONObject) -> tuple[str, JSONObject]:
        """The path and the body that ask for the same answer as a stream."""
        return path, {**body, "stream": True}

    def endpoint_path(self, provider_model: str | None) -> str | None:  # noqa: ARG002 - for the APIs that name it
        """The sub-endpoint for a model whose id at the provider is `provider_model`; None if that has to be known."""
        return self.path

    def answers_at(self, path: str) -> bool:
        """Whether this is the API that answers at a sub-endpoint."""
        return path == self.path

    @abstractmethod
    def input_schema(self) -> JSONObject:
        """The schema of a tool's arguments, in the subset that every client takes."""

    def accepted_schema(self) -> JSONObject:
        """The schema that arguments are checked against; wider than the advertised one where need be."""
        return self.input_schema()

    def body(self, arguments: JSONObject) -> JSONObject:
        """Turn a tool's arguments into the request body; fields without a name here pass through.

        Raises:
            InvalidArgumentsError: two arguments contradict each other.
        """
        return arguments

    def check(self, body: JSONObject) -> None:
        """Refuse a body that the endpoint cannot serve.

        Raises:
            InvalidArgumentsError: something that the API needs is missing.
        """

    def encode(self, body: Any) -> Encoded:
        """Write the body as it goes over the wire.

        Raises:
            ValueError: it holds something that JSON cannot write.
        """
        return Encoded(json_text.dump(body).encode(), "application/json")

    def text(self, answer: Any) -> str | None:  # noqa: ARG002 - for the APIs whose answers have one
        """The text in an answer, None where it has none; `answer` may be anything that JSON can be."""
        return None
