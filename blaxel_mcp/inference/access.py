"""The allowlists of `[access]`: which models and sub-endpoints may be called."""

from fnmatch import fnmatchcase
from functools import lru_cache

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.settings.schema import AccessSettings


def check_access(access: AccessSettings, model: str, path: str | None = None) -> None:
    """Reject a call that the allowlists do not allow; a path of None is not known yet and not checked.

    Raises:
        BlaxelError: `permission_denied`.
    """
    if not _matches(model, access.models):
        raise _denied("model", model, access.models)
    if path is not None and not _matches(path or "/", access.paths):
        raise _denied("path", path or "/", access.paths)


@lru_cache(maxsize=1024)
def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _denied(kind: str, value: str, allowed: tuple[str, ...]) -> BlaxelError:
    return BlaxelError(
        f"The settings of this server do not allow the {kind} {literal(value)}.",
        code="permission_denied",
        origin="local",
        hint=f"Allowed {kind}s match {', '.join(allowed) or 'nothing'}; the setting is `access.{kind}s`.",
    )
