"""What the rest of the package knows of an API, whichever it is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

JSONObject = dict[str, Any]
Schema = Mapping[str, Any]

FREE_FORM: Schema = {"type": "object", "additionalProperties": {}}
"""Any object. `{}` and not `true`: a boolean there crashes one client's schema converter, and
leaving it out makes another's strict mode accept nothing at all."""


class ModelAPI(ABC):
    """One API that an inference endpoint can speak.

    An API is a file in this folder: it says what an agent may fill in, turns that into the
    request body, and names where the body goes. It touches no network and no protocol.
    """

    name: ClassVar[str]
    """What `api` in a `[[models]]` entry says."""

    path: ClassVar[str]
    """The sub-endpoint below the model's base endpoint; empty for the base endpoint itself."""

    summary: ClassVar[str]
    """What a call does, for the description of a tool that has none of its own."""

    accept: ClassVar[str] = "application/json"
    """The media types that an answer may have, as an Accept header."""

    takes_model: ClassVar[bool] = True
    """Whether the body has a `model` field for the provider to choose by."""

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
