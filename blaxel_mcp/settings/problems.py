"""Mistakes in settings: those of one source, and keys of all sources that contradict each other.

No message quotes a value, which may be a secret.
"""

import re
import string
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from blaxel_mcp.core.suggestions import closest
from blaxel_mcp.settings.http import HttpAuth, HttpSettings
from blaxel_mcp.settings.layers import Layer, Location, known_keys, nested, place
from blaxel_mcp.settings.placeholders import is_unexpanded_text
from blaxel_mcp.settings.schema import Settings

_REQUIREMENTS = {
    "missing": "is required",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "tuple_type": 'must be a list, such as ["first", "second"]',
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
"""Requirements for those error types of pydantic whose own message does not fit a settings file."""

COMPANIONS: Mapping[str, HttpAuth] = {
    "bearer_tokens": "token",
    "issuer": "oauth",
    "audience": "oauth",
    "jwks_url": "oauth",
    "scopes": "oauth",
}
"""The only `http.auth` with which each of these keys of `[http]` has an effect."""

_MIN_DIFFERENT_CHARS = 6
"""A random token of 16 characters practically never has fewer different ones, even if it consists of digits."""

_WORDS = re.compile(
    "replace(this|me|with|by)|change(this|me)|(your|my|some|the|test|secret|bearer|access|auth|api)(token|secret|key)"
    "|placeholder|example|insert(here|your)|putyour|password|supersecret|topsecret|letmein|openssl"
)
"""Words from documentation and placeholders for a token; letters and digits in lower case."""

_REFERENCE = re.compile(
    r"[a-z][a-z0-9+.-]*://|(?:vault|env|file|ref|secrets?|arn|aws|ssm|gcp|azure|keyring|sops)[:+]", re.IGNORECASE
)

_SEQUENCES = (
    string.ascii_lowercase + string.digits,
    string.digits + "abcdef",
    "1234567890",
    "qwertyuiopasdfghjklzxcvbnm",
)


def problems_in(layer: Layer) -> list[str]:
    """Return one sentence for each mistake in a source: the place, the key and what is required of it."""
    tree = nested(layer.values)
    # The constructor of Settings would accept some unknown names as its own arguments (`_env_file`).
    unknown = [key for key in tree if key not in Settings.model_fields]
    problems = [
        *layer.problems,
        *_weak_secrets(layer),
        *_unexpanded_locks(layer),
        *(f"{layer.place((key,))} {_unknown_key((key,))}" for key in unknown),
    ]
    try:
        Settings.model_validate({key: value for key, value in tree.items() if key not in unknown})
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        # pydantic adds a part to the location of a key that is itself wrong.
        places = (tuple(part for part in detail["loc"] if part != "[key]") for detail in details)
        problems += [
            f"{layer.place(at)} {_requirement(detail, layer.values.get(at) if layer.file else None)}"
            for at, detail in zip(places, details, strict=True)
        ]
    return problems


def contradictions(http: HttpSettings, sources: Mapping[str, str], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence for each key of `[http]` that cannot take effect beside the others, from any source."""
    state = f'http.auth is "{http.auth}"' if http.auth else "http.auth is not set"
    for name, auth in COMPANIONS.items():
        if getattr(http, name) and http.auth != auth:
            key = f"http.{name}"
            yield f'{place(sources[key], key)} has no effect: {state}; set http.auth to "{auth}", or remove {key}'
    host = sources.get("http.host", "HOST")
    is_hosted = environ.get("BL_CLOUD", "").strip().lower() in ("true", "1", "yes", "on")
    if is_hosted and host != "HOST" and http.auth in (None, "platform"):
        yield (
            f"{place(host, 'http.host')} contradicts BL_CLOUD: on Blaxel, HOST says where to listen, and {state}; "
            "remove http.host, or set http.auth to the way in which this server itself authenticates callers"
        )


def sharing_problems(values: Mapping[str, object], sources: Mapping[str, str]) -> Iterator[str]:
    """Yield a sentence if one of `shared.url` and `shared.key` is set and the other one is not."""
    shared = values.get("shared")
    names = {"url", "key"} & (shared.keys() if isinstance(shared, dict) else set())
    if names == {"url"}:
        yield (
            f"{place(sources['shared.url'], 'shared.url')} needs shared.key, which encrypts what is kept there; "
            "set it to the output of `openssl rand -hex 32`, the same for each server"
        )
    if names == {"key"}:
        yield f"{place(sources['shared.key'], 'shared.key')} has no effect: shared.url is not set; remove shared.key"


def _weak_secrets(layer: Layer) -> Iterator[str]:
    """Yield a sentence for each of a source's tokens and keys that could be guessed, or that is there twice."""
    tokens = layer.values.get(("http", "bearer_tokens"))
    elements = enumerate(tokens) if isinstance(tokens, list | tuple) else ()
    secrets: list[tuple[str, Any, Location]] = [("token", each, ("http", "bearer_tokens", at)) for at, each in elements]
    secrets.append(("key", layer.values.get(("shared", "key")), ("shared", "key")))
    earlier = set()
    for noun, secret, location in secrets:
        # One of another type is reported by the schema.
        if not isinstance(secret, str):
            continue
        text, where = secret.strip(), layer.place(location)
        if _is_guessable(text):
            yield f"{where} could be guessed; use a random {noun}, such as the output of `openssl rand -hex 32`"
        elif (noun, text) in earlier:
            yield f"{where} repeats another token; give each client a token of its own"
        earlier.add((noun, text))


def _unexpanded_locks(layer: Layer) -> Iterator[str]:
    """Yield a sentence for each text in a source's `models[].locked` that is a placeholder and nothing else.

    It would be sent as it is: a system message would read `${SYSTEM}`. An empty text may be intended.
    """
    models = layer.values.get(("models",))
    for index, model in enumerate(models if isinstance(models, list | tuple) else ()):
        locked = model.get("locked") if isinstance(model, Mapping) else None
        for name, value in locked.items() if isinstance(locked, Mapping) else ():
            if any(map(is_unexpanded_text, _texts(value))):
                where = layer.place(("models", index, "locked", name))
                yield f"{where} is a placeholder that was not expanded; write the value itself"


def _texts(value: Any) -> Iterator[str]:
    # Not recursive: keys of TOML can nest a thousand levels deep.
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping | list):
            pending += item.values() if isinstance(item, Mapping) else item


def _is_guessable(token: str) -> bool:
    plain = re.sub(r"[^a-z0-9]", "", token.lower())
    return (
        len(set(token)) < _MIN_DIFFERENT_CHARS
        or _WORDS.search(plain) is not None
        # One part over and over, such as `secret-secret-secret`.
        or re.fullmatch(r"(.+?)\1+", plain) is not None
        # Where a secret is kept, in place of the secret, such as `op://Private/mcp/token`.
        or _REFERENCE.match(token) is not None
        # A name such as `MCP_BEARER_TOKEN`, in place of the value of that variable.
        or re.fullmatch(r"[A-Z0-9]+(_[A-Z0-9]+)+", token) is not None
        or any(plain in line * 9 or plain in line[::-1] * 9 for line in _SEQUENCES)
    )


def _requirement(detail: ErrorDetails, value: Any) -> str:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(detail["loc"])
    if detail["loc"] == ("models",):
        return "must be a list of tables, each under [[models]]"
    if detail["type"] == "model_type" and isinstance(value, list):
        return f"must be one table, under [{detail['loc'][0]}] in single brackets"
    if detail["type"] in _REQUIREMENTS:
        return _REQUIREMENTS[detail["type"]]
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    # pydantic's message without its subject and without the reason why parsing failed.
    message = re.sub(r"^(Input|String|Tuple) |, unable to .*", "", detail["msg"])
    return re.sub(r"^should\b", "must", message)


def _unknown_key(location: Location) -> str:
    if len(location) > 1 and location[-1] in Settings.model_fields:
        return "is not a setting there, but at the top level; write it above the first table"
    known = known_keys(location[:-1])
    suggestion = closest(str(location[-1]), known)
    advice = f"did you mean {suggestion}?" if suggestion else f"valid keys: {', '.join(known)}"
    return f"is not a setting; {advice}"
