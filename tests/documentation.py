"""The pages of the documentation for tests: text, headings with anchors, tables, links and code."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)
_LINK: Final = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|srcset|href)=\"([^\"]+)\"")


@dataclass(frozen=True, slots=True)
class Page:
    path: Path
    text: str

    @property
    def name(self) -> str:
        """Return the path from the root of the repository. A failing test shows this path."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """Return the text without code blocks."""
        return _FENCE.sub("", self.text)

    @property
    def anchors(self) -> set[str]:
        """Return the anchors that GitHub generates for the headings."""
        return {anchor(title) for _, title in _HEADING.findall(self.prose)}

    @property
    def links(self) -> list[str]:
        """Return the targets of links and images."""
        return [first or second for first, second in _LINK.findall(self.prose)]

    def code(self, language: str) -> list[str]:
        """Return the code blocks in a language."""
        return [body for fence, body in _FENCE.findall(self.text) if fence == language]

    def sections(self, level: int) -> dict[str, str]:
        """Return the text under each heading of a level, until the next heading of this level or of a higher level."""
        prose = self.prose  # each access searches the whole text
        headings = [(match.start(), match.end(), len(match[1]), match[2]) for match in _HEADING.finditer(prose)]
        sections = {}
        for index, (_, end, depth, title) in enumerate(headings):
            if depth == level:
                after = (start for start, _, other, _ in headings[index + 1 :] if other <= level)
                sections[title] = prose[end : next(after, len(prose))]
        return sections

    def table(self, heading: str, level: int = 2) -> list[list[str]]:
        """Return the rows of the first table under a heading, without the table's head."""
        lines = self.sections(level)[heading].splitlines()
        first = next(index for index, line in enumerate(lines) if line.startswith("|"))
        rows = []
        for line in lines[first + 2 :]:
            if not line.startswith("|"):
                break
            rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
        return rows


def anchor(title: str) -> str:
    """Return the anchor that GitHub generates for a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


@cache
def page(name: str) -> Page:
    """Return the page at a path from the root of the repository."""
    return Page(ROOT / name, (ROOT / name).read_text(encoding="utf-8"))


def pages() -> list[Page]:
    """Return all pages of the repository, including the generated list of integrations."""
    generated = ROOT / "docs" / "integrations"
    paths = [path for path in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")) if path.parent != generated]
    paths.append(generated / "README.md")
    return [page(path.relative_to(ROOT).as_posix()) for path in sorted(paths)]
