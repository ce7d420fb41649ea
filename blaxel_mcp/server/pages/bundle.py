"""A page as one HTML document that loads nothing: its style and its JavaScript modules are put inline."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from importlib.resources import files

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)

Read = Callable[[str], str]
"""Returns the text of a file of a page by its name."""


def inlined(html: str, style: str, script: str) -> str:
    """Return a page with its style and script in place of the comments that mark them."""
    html = html.replace("<!-- style -->", f"<style>{style}</style>")
    return html.replace("<!-- script -->", f'<script type="module">{script}</script>')


def policy_text(rules: Mapping[str, str], style: str, script: str) -> str:
    """Return a Content-Security-Policy that allows this style and script by their hashes, and no string as markup.

    Args:
        rules: The other directives.
        style: The style.
        script: The script.
    """
    common = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        **rules,
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in common.items())


def bundle(read: Read, entry: str) -> str:
    """Return a module and all that it imports as the text of one module, each after those that it imports.

    The files import each other by lines of the form `import { name } from "./file.js";`, and export only what they
    declare. They share one scope here, so a name may be declared in one of them only.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in texts:
            texts[name] = ""
            text = read(name)
            for imported in _IMPORT.findall(text):
                add(imported)
            # Inserted again: after what it imports.
            del texts[name]
            texts[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry)
    return "\n".join(texts.values())


def read_asset(name: str) -> str:
    """Return the text of a file of the package."""
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
