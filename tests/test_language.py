"""The language rules of CONTRIBUTING.md: docstrings, retired words, long sentences, lengths of pages."""

import ast
import inspect
import re
import subprocess
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from scripts.prose import sentences, words
from tests.documentation import ROOT, page, pages
from tests.in_one_test import in_one_test
from tests.source_files import nodes

pytestmark = pytest.mark.docs

QUESTION_WORDS: Final = ("What", "Whether", "Who", "Whose", "Whom", "How", "Where", "When", "Which", "Why")
MOST_WORDS_OF_A_SENTENCE: Final = 45
MOST_LINES_OF_THE_README: Final = 120
MOST_LINES_OF_A_DECISION: Final = 45
COLUMNS_OF_A_SCREEN: Final = 100
RETIRED: Final = ROOT / "tests" / "retired_words.txt"
TEXT_SUFFIXES: Final = {".py", ".js", ".ts", ".css", ".html", ".md", ".txt", ".json"}


def long_sentences(text: str) -> list[str]:
    return [sentence for sentence in sentences(text) if len(words(sentence)) > MOST_WORDS_OF_A_SENTENCE]


@cache
def tracked(*folders: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *folders],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    paths = (ROOT / name for name in listed.split("\0") if name)
    return sorted(path for path in paths if path.is_file())


def docstrings(path: Path) -> Iterator[str]:
    """Yield the docstrings of modules, classes, functions and attributes: every statement that is only a string."""
    for node in nodes(path):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield inspect.cleandoc(node.value.value)


def retired_patterns() -> list[re.Pattern[str]]:
    lines = RETIRED.read_text(encoding="utf-8").splitlines()
    return [re.compile(line) for line in lines if line and not line.startswith("#")]


def names_of_tests(path: Path) -> Iterator[str]:
    """Yield the names of a test file, its functions and its classes. Yield each name as it is, and as words."""
    named = (node for node in nodes(path) if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef))
    for name in (path.stem, *(node.name for node in named)):
        yield name
        yield f" {name.replace('_', ' ').strip()} "


def searched_text(path: Path) -> str:
    """Return the text to search: of a test file only its names, and of other files the text.

    For generated and binary files, return an empty string.
    """
    if path.is_relative_to(ROOT / "tests"):
        return "\n".join(names_of_tests(path)) if path.suffix == ".py" else ""
    generated = path.is_relative_to(ROOT / "docs" / "integrations")
    return path.read_text(encoding="utf-8") if path.suffix in TEXT_SUFFIXES and not generated else ""


def test_no_retired_name_or_phrase_returns() -> None:
    patterns = retired_patterns()
    places = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in tracked("src", "clients", "docs", "tests", *(path.name for path in ROOT.glob("*.md")))
        for text in [searched_text(path)]
        for pattern in patterns
        for match in pattern.finditer(text)
    ]
    assert places == []


def test_docstrings_begin_with_a_verb_or_a_noun() -> None:
    questions = [
        f"{path.relative_to(ROOT)}: {docstring.splitlines()[0]}"
        for path in tracked("src", "clients", "tests")
        if path.suffix == ".py"
        for docstring in docstrings(path)
        if docstring.split()[0].rstrip(",:") in QUESTION_WORDS
    ]
    assert questions == []


def test_no_sentence_of_the_documentation_has_more_than_45_words() -> None:
    long = {document.name: long_sentences(document.prose) for document in pages()}
    assert {name: sentences for name, sentences in long.items() if sentences} == {}


def test_the_readme_has_at_most_120_lines() -> None:
    assert len(page("README.md").text.splitlines()) <= MOST_LINES_OF_THE_README


@in_one_test(sorted((ROOT / "docs" / "decisions").glob("*.md")), name=lambda path: path.name)
def test_a_decision_fits_one_screen(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    screen_lines = sum(max(1, len(textwrap.wrap(line, COLUMNS_OF_A_SCREEN))) for line in lines)
    assert screen_lines <= MOST_LINES_OF_A_DECISION
