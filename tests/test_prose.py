"""The figures of `make docs` about the prose: sentences, their spread and openings, "you" and the product's name."""

import pytest

from scripts.prose import Figures, figures, report, sentences
from tests.documentation import ROOT


@pytest.mark.parametrize(
    "text, expected",
    [
        ("One. Two `a.b`. Three [x. Y](z)?", ["One.", "Two Code.", "Three x.", "Y?"]),
        ("# Title. One\n\n| a. b |\n\n- One\n  more.\n- Two.", ["One more.", "Two."]),
        ("Version 1.2 of RFC 9110, e.g. this. Next.", ["Version 1.2 of RFC 9110, e.g. this.", "Next."]),
    ],
)
def test_prose_is_split_into_sentences(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_figures_count_lengths_openings_and_names() -> None:
    text = "# Ignored\n\nThe popup is yours. You open it, and One Runtime checks\nthe key.\n"
    assert figures([text]) == Figures(words=13, mean=6.5, spread=2.5, openings=0.5, you=2000 / 13, product=1000 / 13)


def test_page_without_sentences_has_figures() -> None:
    assert figures(["# Title\n\n| only | a table |\n\n---\n"]) == Figures(0, 0, 0, 0, 0, 0)


def test_report_names_each_page_of_the_documentation() -> None:
    named = {line.split()[0] for line in report() if line}
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert named == {"page", "together", "README.md", *pages}
