"""A page as one HTML document that loads nothing: its style and its JavaScript modules are put inline.

Its policy allows exactly this script and this style, by their hashes. No string becomes markup (Trusted Types), so a
model's text cannot run as code.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and the Content-Security-Policy that it is served with."""

    html: str
    policy: str


def build_page(document: str, entry: str, rules: Mapping[str, str]) -> Page:
    """Return a page, made of the package's files.

    Args:
        document: The HTML file; comments mark the places of the style and the script.
        entry: The file of the script's first module.
        rules: The directives of the policy in addition to the common ones.
    """
    style, script = _read_asset("style.css"), bundle(entry)
    html = _read_asset(document).replace("<!-- style -->", f"<style>{style}</style>")
    html = html.replace("<!-- script -->", f'<script type="module">{script}</script>')
    directives = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        **rules,
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return Page(html, "; ".join(f"{name} {value}" for name, value in directives.items()))


def bundle(entry: str) -> str:
    """Return a module and all that it imports as the text of one module, each after those that it imports.

    The files import each other by lines of the form `import { name } from "./file.js";`, and export only what they
    declare. They share one scope here, so a name may be declared in one of them only.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name not in texts:
            texts[name] = ""
            text = _read_asset(name)
            for imported in _IMPORT.findall(text):
                add(imported)
            # Inserted again: after what it imports.
            del texts[name]
            texts[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(entry)
    return "\n".join(texts.values())


def _read_asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
