"""Print how the pages of the documentation read. `make docs` prints the figures; no test enforces them.

The only limit is the length of one sentence (tests/test_language.py). The pages of `READ_FIRST` together have aims: a
spread of at least 6.5 words, at most 22 % of sentences with a common opening, and "you" 17 times in 1,000 words.
"""

import re
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
READ_FIRST: Final = (
    "README.md",
    "docs/getting-started.md",
    "docs/popup.md",
    "docs/proxy.md",
    "docs/agents.md",
    "docs/webhooks.md",
    "docs/dashboard.md",
    "docs/security.md",
    "docs/deploying.md",
    "docs/operating.md",
    "docs/api.md",
)
"""The pages that a reader opens first. Of the API's page, only the text outside of the routes."""

OPENINGS: Final = frozenset({"The", "A", "An", "This", "Each", "If"})

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROUTE: Final = re.compile(r"^### `?[A-Z]+ /.*?(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MARKUP: Final = re.compile(r"<[^>]+>|!\[[^\]]*\]\([^)]*\)")
_LINK: Final = re.compile(r"\[((?:[^\[\]]|\[[^\]]*\])*)\]\([^)]*\)")
_CODE: Final = re.compile(r"`[^`]+`")
_ITEM: Final = re.compile(r"\s*(?:[-*]|\d+\.) ")
_END_OF_SENTENCE: Final = re.compile(r"(?<=[.!?])[\"”’')*]*\s+(?=[\"“‘(*]*[A-Z0-9])")
_WORD: Final = re.compile(r"\w[\w’'./+:-]*")
_YOU: Final = re.compile(r"\byou(?:r|rs|rself)?\b", re.IGNORECASE)
_PRODUCT: Final = re.compile(r"\bOne Runtime\b")


@dataclass(frozen=True, slots=True)
class Figures:
    """Measures of a text. `openings` is a share; `you` and `product` are numbers in 1,000 words."""

    words: int
    mean: float
    spread: float
    openings: float
    you: float
    product: float

    def row(self, name: str) -> str:
        return (
            f"{name:<34}{self.words:>7}{self.mean:>7.1f}{self.spread:>8.1f}{self.openings:>9.0%}"
            f"{self.you:>7.1f}{self.product:>13.1f}"
        )


def blocks(text: str) -> Iterator[str]:
    """Yield each paragraph and list item of a page's prose as one line. Omit headings and tables."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        ends = not line.strip() or line.startswith(("#", "|", "<"))
        if (ends or _ITEM.match(line)) and block:
            yield " ".join(block)
            block = []
        if not ends:
            block.append(_ITEM.sub("", line, count=1).strip())


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page's prose. A code span counts as one word. A link counts as the link's text."""
    for block in blocks(text):
        plain = _CODE.sub("Code", _LINK.sub(r"\1", _MARKUP.sub("", block)))
        yield from _END_OF_SENTENCE.split(plain)


def words(sentence: str) -> list[str]:
    """Return the words of a sentence. A path, a number and a name with a hyphen are one word."""
    return _WORD.findall(sentence)


def figures(texts: Iterable[str]) -> Figures:
    """Return the figures of some texts together. Without a sentence, all figures are 0."""
    read = [sentence for text in texts for sentence in sentences(text) if words(sentence)]
    lengths = [len(words(sentence)) for sentence in read]
    total = sum(lengths)
    if not total:
        return Figures(0, 0, 0, 0, 0, 0)
    return Figures(
        words=total,
        mean=statistics.fmean(lengths),
        spread=statistics.pstdev(lengths),
        openings=sum(words(sentence)[0] in OPENINGS for sentence in read) / len(read),
        you=1000 * sum(len(_YOU.findall(sentence)) for sentence in read) / total,
        product=1000 * sum(len(_PRODUCT.findall(sentence)) for sentence in read) / total,
    )


def prose(name: str) -> str:
    """Return the text of a page without code, and of the API's page without its routes."""
    text = _FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    return _ROUTE.sub("", text) if name == "docs/api.md" else text


def report() -> list[str]:
    """Return the lines of the report: the pages that a reader opens first, these together, and all other pages."""
    others = sorted({path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")} - {*READ_FIRST})
    return [
        f"{'page':<34}{'words':>7}{'mean':>7}{'spread':>8}{'openings':>9}{'you':>7}{'One Runtime':>13}",
        *(figures([prose(name)]).row(name) for name in READ_FIRST),
        figures(map(prose, READ_FIRST)).row("together"),
        "",
        *(figures([prose(name)]).row(name) for name in others),
    ]


if __name__ == "__main__":
    sys.stdout.write("\n".join([*report(), ""]))
