"""Files among the arguments of an API, as values: nothing here reads or fetches one."""

from dataclasses import dataclass, field


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
