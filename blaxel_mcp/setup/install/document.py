"""A client's settings as text, in which our entry is added, changed or removed, in any syntax."""

from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.entries import check_ownership, inputs_of, merge_entry
from blaxel_mcp.setup.install.errors import MalformedError, NotATableError, UnusualTomlError, malformed
from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.launch import Launch
from blaxel_mcp.setup.install.toml_edit import TomlText


class ConfigDocument:
    """The text of a client's file.

    Only the table of servers is parsed in detail where the syntax allows that.

    Args:
        text: The whole file; a blank one counts as an empty document.
        client: The client.
        file: The file's path, for messages.

    Raises:
        ConfigurationError: The text cannot be parsed; the message has line and column, and quotes nothing.
    """

    def __init__(self, text: str, client: Client, file: object) -> None:
        self._client = client
        self._file = file
        try:
            self._text: JsonText | TomlText = (
                TomlText(text)
                if client.syntax == "toml"
                else JsonText(text, comments=client.syntax == "jsonc", within=client.key)
            )
        except MalformedError as error:
            raise malformed(error, file) from None
        except NotATableError:
            raise self._no_table("") from None

    def servers(self) -> dict[str, Any]:
        """Return the entries of all servers by name.

        Raises:
            ConfigurationError: The table of servers is something else.
        """
        servers = self._text.get(self._client.key)
        if servers is not None and not isinstance(servers, dict):
            raise self._no_table(self._client.key)
        return servers or {}

    def with_entry(self, launch: Launch, name: str) -> str:
        """Return the text with our entry added or brought up to date.

        Raises:
            ConfigurationError: The name belongs to another server's entry, or the text is in a form that is not edited.
        """
        current = self.servers().get(name)
        check_ownership(current, self._client, name, self._file)
        entry = merge_entry(current or {}, self._client, launch, name)
        try:
            text = self._text.put(entry, self._client.key, name)
            if isinstance(text, JsonText):
                for prompt in inputs_of(entry, self._client, name):
                    if prompt["id"] not in _input_ids(text):
                        text = text.append(prompt, "inputs")
        except NotATableError as error:
            raise self._no_table(error.path) from None
        except UnusualTomlError as error:
            raise self._unusual() from error
        return text.text

    def without_entry(self, name: str) -> str:
        """Return the text without our entry and without the inputs that only our entry used.

        Raises:
            ConfigurationError: The name belongs to another server's entry, or the text is in a form that is not edited.
        """
        entry = self.servers().get(name)
        check_ownership(entry, self._client, name, self._file)
        try:
            text = self._text.drop(self._client.key, name)
        except UnusualTomlError as error:
            raise self._unusual() from error
        for prompt in inputs_of(entry, self._client, name):
            if isinstance(text, JsonText) and f"${{input:{prompt['id']}}}" not in text.text:
                for index, input_id in reversed(list(enumerate(_input_ids(text)))):
                    if input_id == prompt["id"]:
                        text = text.drop_element(index, "inputs")
        return text.text

    def _no_table(self, path: str) -> ConfigurationError:
        what = f"{path} in {self._file}" if path else str(self._file)
        return ConfigurationError(
            f"{what} should be a table of keys and values, but is something else.",
            hint="Nothing was changed. Fix the file by hand, or choose another one with --file FILE.",
        )

    def _unusual(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._file} writes this entry or its neighbors as inline tables or dotted keys, which this command does "
            "not edit.",
            hint="Nothing was changed. Edit the file by hand; "
            f"`blaxel-mcp install {self._client.name} --print` shows the entry.",
        )


def _input_ids(text: JsonText) -> list[Any]:
    """Return the id of each element of the document's `inputs`; None for an element without one."""
    inputs = text.get("inputs")
    elements = inputs if isinstance(inputs, list) else []
    return [element.get("id") if isinstance(element, dict) else None for element in elements]
