"""The page as one HTML document: its style and its JavaScript modules are put inline when the command starts.

The document loads nothing. Its policy allows exactly this script and this style, by their hashes, connections to the
server that it came from, and no string as markup anywhere (Trusted Types): what a model says cannot run.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

_ENTRY = "main.js"
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const)\b)", re.MULTILINE)

_STYLE_MARK, _SCRIPT_MARK = "<!-- style.css -->", "<!-- main.js -->"

Read = Callable[[str], str]
"""Returns the text of a file of the page by its name."""


@dataclass(frozen=True, slots=True)
class Page:
    """The page, and the Content-Security-Policy that it is served with."""

    html: str
    policy: str


def build_page(read: Read | None = None) -> Page:
    """Return the page.

    Args:
        read: Reads its files; by default those of the package.
    """
    read = read or _read_asset
    style, script = read("style.css"), bundle(read)
    html = read("page.html").replace(_STYLE_MARK, f"<style>{style}</style>")
    html = html.replace(_SCRIPT_MARK, f'<script type="module">{script}</script>')
    rules = {
        "default-src": "'none'",
        "script-src": _hash_source(script),
        "style-src": _hash_source(style),
        "connect-src": "'self'",
        "img-src": "blob: data:",
        "media-src": "blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return Page(html, "; ".join(f"{name} {value}" for name, value in rules.items()))


def bundle(read: Read, entry: str = _ENTRY) -> str:
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


def _read_asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def _hash_source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
