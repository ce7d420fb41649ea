"""Files that an agent hands to an API, as values: nothing here reads or fetches one."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class FileData:
    """A file's content, with the media type that the content shows.

    Attributes:
        name: The file's name, without its folder.
        media_type: Such as `image/png`.
        data: The whole content.
    """

    name: str
    media_type: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class FileURL:
    """An https URL that the provider may fetch; this server never does."""

    url: str


InputFile = FileData | FileURL
