"""Find the modules that a program imports."""

import re
from typing import Final

_STATEMENT: Final = re.compile(
    r"(?:^|[;:])[ \t]*(?:from[ \t]+([\w.]+)[ \t]+import\b|import[ \t]+([\w., \t]+))", re.MULTILINE
)
_WORD: Final = re.compile(r"[A-Za-z_]\w*")


def imported_names(code: str) -> list[str]:
    """Return the names in the text's import statements, each once. The list can contain names that are no modules.

    The text need not be valid Python. Python's own parser would need the syntax of this Python, which can be older.
    """
    words = (word for from_, names in _STATEMENT.findall(code) for word in _WORD.findall(from_ or names))
    return list(dict.fromkeys(words))
