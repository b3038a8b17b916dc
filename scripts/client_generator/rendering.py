"""Parts of the generators that both languages need: templates, texts, and the table of methods in a README."""

import re
import textwrap
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import jinja2

_METHODS: Final = re.compile(r"(<!-- methods -->\n\n).*?(\n\n<!-- end of methods -->)", re.DOTALL)


class Templates:
    """The templates of the generators."""

    def __init__(self, **filters: Callable[..., str]) -> None:
        self._environment = jinja2.Environment(  # noqa: S701 - the templates write source code, not HTML
            loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self._environment.filters |= filters

    def render(self, template: str, **values: Any) -> str:
        """Return the text of a template."""
        return self._environment.get_template(template).render(values)


def with_table(readme: Path, rows: Iterable[str]) -> str:
    """Return the text of a README with a new table of methods."""
    table = "\n".join(rows)
    return _METHODS.sub(lambda match: match[1] + table + match[2], readme.read_text(encoding="utf-8"))


def wrapped(block: str, width: int) -> str:
    """Wrap the lines of a paragraph, or of each item of a list."""
    lines = []
    for item in re.split(r"\n(?=(?:- |\d+\. ))", block):
        marker = re.match(r"- |\d+\. ", item)
        indent = " " * len(marker[0]) if marker else ""
        lines.append(textwrap.fill(" ".join(item.split()), width, subsequent_indent=indent))
    return "\n".join(lines)
