"""The allowlists of `[access]`, applied to the request that is sent, and the models that it names."""

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from blaxel_mcp.core.exceptions import BlaxelError
from blaxel_mcp.core.field_names import DATA, fold
from blaxel_mcp.core.redaction import literal
from blaxel_mcp.inference.locks import decoded_fully, query_parameters
from blaxel_mcp.settings.schema import AccessSettings, Settings

_MODEL_FIELDS = frozenset({"fallbackmodels", "fallbacks", "model", "modelid", "modelname", "models"})
"""Folded names of fields that choose the model at any depth, for providers and for gateways in front of them."""

_TOP_MODEL_FIELDS = _MODEL_FIELDS | {
    *("agentid", "assistantid", "deployment", "deploymentid", "engine", "engineid", "modelpath", "modeluri", "preset")
}
_MODEL_DATA = (DATA - {"tools"}) | {"metadata", "defs", "definitions"}
_NAME_IN_PATH = re.compile(r"/(?:models?|tunedmodels|engines|deployments|endpoints)/(?=([^?]+))", re.IGNORECASE)
_END_OF_NAME = re.compile(r"[:/]")
_NO_MODELS = frozenset({"openapi"})
"""Words that follow a marker in a path and name no model: Vertex AI's OpenAI-compatible endpoint."""


def check_access(access: AccessSettings, model: str, path: str | None = None, method: str | None = None) -> None:
    """Reject a call that the allowlists do not allow; a path or method of None is not known yet and not checked.

    Raises:
        BlaxelError: `permission_denied`.
    """
    if not _matches(model, access.models):
        raise _denied("model", model, access.models)
    if path is not None and not _matches(path or "/", access.paths):
        raise _denied("path", path or "/", access.paths)
    if method is not None and method not in access.methods:
        raise _denied("method", method, access.methods)


def other_models(own: set[str], *, body: Any, path: str | None, query: str, own_path: str | None = None) -> list[str]:
    """Return the models that a request names and that are not the endpoint's own.

    Its own names are Blaxel's, the provider's id, those that the settings give it, and those in its own path.
    Conversations and schemas in the body, which is not encoded yet, name no models. The path is None if the settings
    or the model's record chose it.
    """
    names = []
    if path or query:
        own = own | {*_names_in_address(own_path or "", "", set())}
        names = [*_names_in_address(path or "", query, own)]
    pending, fields = [body], _TOP_MODEL_FIELDS
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending += value
        elif isinstance(value, Mapping):
            for name, item in value.items():
                folded = fold(name)
                if folded in fields:
                    names += _texts_in(item) if isinstance(item, list | Mapping) else [str(item)] if item else []
                elif isinstance(item, list | Mapping) and folded not in _MODEL_DATA:
                    pending.append(item)
            fields = _MODEL_FIELDS
    return [name for name in names if name.removeprefix("models/") not in own]


def check_other_models(settings: Settings, model: str, others: list[str]) -> None:
    """Reject a request that names other models than the endpoint's own, unless `access.models` has those very names.

    Only settings without restrictions leave the choice to the caller: every model is allowed, and no model has locked
    fields or a budget of its own.

    Raises:
        BlaxelError: `permission_denied`.
    """
    access = settings.access.models
    if access == ("*",) and not any(entry.locked or entry.budget for entry in settings.models):
        return
    if denied := next((name for name in others if name.removeprefix("models/") not in access), None):
        raise BlaxelError(
            f"The request to the model {literal(model)} names the model {literal(denied)}, which the settings of this "
            "server do not allow there.",
            code="permission_denied",
            hint="Omit that name. The setting `access.models` has to list a name in full to allow it there.",
        )


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, list | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _texts_in(item)
    elif value is not None:
        yield str(value)


def _names_in_address(path: str, query: str, own: set[str]) -> Iterator[str]:
    yield from (value for name, value in query_parameters(query) if fold(name) in _TOP_MODEL_FIELDS)
    for match in _NAME_IN_PATH.finditer(decoded_fully(path)):
        if not any(match[1] == name or match[1].startswith((f"{name}:", f"{name}/")) for name in own):
            name = _END_OF_NAME.split(match[1])[0]
            if name and name not in _NO_MODELS:
                yield name


@lru_cache(maxsize=1024)
def _matches(value: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)


def _denied(kind: str, value: str, allowed: tuple[str, ...]) -> BlaxelError:
    return BlaxelError(
        f"The settings of this server do not allow the {kind} {literal(value)}.",
        code="permission_denied",
        hint=f"Allowed {kind}s match {', '.join(allowed) or 'nothing'}; the setting is `access.{kind}s`.",
    )
