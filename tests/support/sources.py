"""The modules of `blaxel_mcp`, parsed once."""

import ast
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "blaxel_mcp"

GAP = "\0"
"""Replaces each expression of an f-string in its text."""


@cache
def trees() -> Mapping[Path, ast.Module]:
    """Return the syntax tree of each file."""
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))}


@cache
def walked(tree: ast.Module) -> Sequence[ast.AST]:
    """Return the nodes of a module in one list: many rules look at them, and to find them takes the longest."""
    return tuple(ast.walk(tree))


def module_of(file: Path) -> str:
    """Return a module's name below `blaxel_mcp`, such as `client.auth.flow`."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def text_of(node: ast.expr) -> str | None:
    """Return the text of a string or an f-string; None for any other expression."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else GAP for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of each string in a module, without docstrings; an f-string is one text."""
    left_out = {id(node.value) for node in walked(tree) if isinstance(node, ast.Expr)}
    left_out |= {id(part) for node in walked(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in walked(tree):
        if isinstance(node, ast.expr) and id(node) not in left_out:
            text = text_of(node)
            if text is not None:
                yield node.lineno, text
