"""Which models and sub-endpoints may be called at all: the globs of `[access]`."""

from fnmatch import fnmatchcase

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.settings.schema import AccessSettings


def check_access(access: AccessSettings, model: str, path: str | None = None) -> None:
    """Hold a call to the globs; `path` is None while it is not known yet.

    Raises:
        BlaxelError: `permission_denied`.
    """
    if not _matches(model, access.models):
        raise _denied("model", model, access.models)
    if path is not None and not _matches(path or "/", access.paths):
        raise _denied("path", path or "/", access.paths)


def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _denied(kind: str, value: str, allowed: tuple[str, ...]) -> BlaxelError:
    return BlaxelError(
        f"The settings of this server do not allow the {kind} {value!r}.",
        code="permission_denied",
        origin="local",
        hint=f"Allowed is what matches {', '.join(allowed) or 'nothing'}: that is `access.{kind}s` in the settings.",
    )
