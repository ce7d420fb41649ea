"""The text of a client's settings with our entry in it, changed or taken out, whatever the text is written in."""

from typing import Any

from blaxel_mcp.core.exceptions import ConfigurationError
from blaxel_mcp.setup.install.clients import Client
from blaxel_mcp.setup.install.entries import check_ownership, inputs_of, merge_entry
from blaxel_mcp.setup.install.errors import MalformedError, NotATableError, UnusualTomlError, malformed
from blaxel_mcp.setup.install.json_edit import JsonText
from blaxel_mcp.setup.install.launch import Launch
from blaxel_mcp.setup.install.toml_edit import TomlText


class ConfigDocument:
    """A client's settings as text.

    Args:
        text: The whole file.
        client: Whose settings they are.
        file: Where they stand, for messages.

    Raises:
        ConfigurationError: They are malformed; the message has line and column, and quotes nothing.
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
        """The entries of all servers.

        Raises:
            ConfigurationError: There is something else in their place.
        """
        found = self._text.get(self._client.key)
        if found is not None and not isinstance(found, dict):
            raise self._no_table(self._client.key)
        return found or {}

    def with_entry(self, launch: Launch, name: str) -> str:
        """The text with our entry as it should be.

        Raises:
            ConfigurationError: The entry of that name is another server's, or the place where it belongs is taken.
        """
        current = self.servers().get(name)
        check_ownership(current, self._client, name, self._file)
        entry = merge_entry(current or {}, self._client, launch, name)
        try:
            text = self._text.put(entry, self._client.key, name)
            if isinstance(text, JsonText):
                for made in inputs_of(entry, self._client, name):
                    if made["id"] not in _input_ids(text):
                        text = text.append(made, "inputs")
        except NotATableError as error:
            raise self._no_table(error.path) from None
        except UnusualTomlError as error:
            raise self._unusual() from error
        return text.text

    def without_entry(self, name: str) -> str:
        """The text without our entry, and without the inputs that it alone has used.

        Raises:
            ConfigurationError: The entry of that name is another server's.
        """
        entry = self.servers().get(name)
        check_ownership(entry, self._client, name, self._file)
        try:
            text = self._text.drop(self._client.key, name)
        except UnusualTomlError as error:
            raise self._unusual() from error
        for made in inputs_of(entry, self._client, name):
            if isinstance(text, JsonText) and f"${{input:{made['id']}}}" not in text.text:
                for index in reversed([i for i, known in enumerate(_input_ids(text)) if known == made["id"]]):
                    text = text.drop_element(index, "inputs")
        return text.text

    def _no_table(self, path: str) -> ConfigurationError:
        what = f"{path} in {self._file}" if path else str(self._file)
        return ConfigurationError(
            f"{what} should be a table of names and values, and is something else; it was left as it is.",
            hint="Mend it by hand, or name another file with --file.",
        )

    def _unusual(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._file} holds this entry, or its neighbours, as inline tables or dotted keys, which are not changed "
            "from here; it was left as it is.",
            hint="Change it by hand; --print shows the entry.",
        )


def _input_ids(text: JsonText) -> list[Any]:
    """The id of each of the document's inputs, None for one without."""
    inputs = text.get("inputs")
    return [one.get("id") if isinstance(one, dict) else None for one in (inputs if isinstance(inputs, list) else [])]
