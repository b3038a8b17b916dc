"""Python files of this repository, and their syntax trees. Each process parses a file once."""

import ast
from functools import cache
from pathlib import Path

from tests.documentation import ROOT


@cache
def python_files(*folders: str) -> list[Path]:
    """Return the Python files of folders of this repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Return the nodes of a file's syntax tree."""
    return list(ast.walk(parsed(path)))
