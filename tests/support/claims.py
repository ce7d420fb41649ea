"""The claims of a page, sentence by sentence, and the names of the tests that prove them."""

import re
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]

_NOT_PROSE = re.compile(r"^```.*?^```$|<!--.*?-->", re.DOTALL | re.MULTILINE)
_SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z`\[])")
_FUNCTION = re.compile(r"^(?:async )?def (\w+)", re.MULTILINE)
_LABEL = re.compile(r"\*\*[^*]+\*\* ")
_POINTERS = ("More:", "[")
_NO_CLAIMS = ("#", "![")


def claims_in(text: str) -> list[str]:
    """Return the sentences of a text in Markdown and the rows of its tables.

    Headings, code, pictures, sentences that end in a colon, and pointers (which begin with a link or with "More:") are
    no claims.
    """
    paragraphs = re.split(r"\n\s*\n", _NOT_PROSE.sub("", text))
    claims = [claim for paragraph in paragraphs for claim in _claims(paragraph.strip())]
    return [claim for claim in claims if claim and not claim.startswith(_POINTERS) and not claim.endswith(":")]


def _claims(paragraph: str) -> list[str]:
    if paragraph.startswith(_NO_CLAIMS):
        return []
    if paragraph.startswith("|"):
        return paragraph.splitlines()[2:]
    items = [" ".join(item.split()) for item in re.split(r"^- ", paragraph, flags=re.MULTILINE)]
    return [sentence for item in items for sentence in _SENTENCE.split(_LABEL.sub("", item, count=1))]


@cache
def functions(module: str) -> set[str]:
    """Return the names of a test module's functions without importing it; the module as in `server/test_server`."""
    return set(_FUNCTION.findall((TESTS / f"{module}.py").read_text(encoding="utf-8")))


def has_test(name: str) -> bool:
    """Return whether there is a test of this name, such as `server/test_server::test_json_comes_back_whole`."""
    module, _, function = name.partition("::")
    return function.startswith("test_") and (TESTS / f"{module}.py").exists() and function in functions(module)
