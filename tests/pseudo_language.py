"""`one-runtime …` with a made-up language beside English: `python -m tests.pseudo_language …`.

A text of this language is the English one with other letters, in brackets. So a text that is not translated has none.
"""

import re
from typing import Final

from one_runtime import cli
from one_runtime.connect.texts import ENGLISH, LANGUAGES, Texts

TAG: Final = "dv"
"""The tag of a real language from right to left, because axe refuses tags for private use. We do not have it."""
_LETTERS: Final = str.maketrans("aceinosuyACEINOSU", "åçéîñöšûýÅÇÉÎÑÖŠÛ")
_PLACEHOLDER: Final = re.compile(r"(\{\w+\})")
_TRANSLATED: Final = re.compile(r"⟦[^⟦⟧]*⟧")


def translated(text: str) -> str:
    """Return a text in the made-up language. The placeholders stay."""
    parts = _PLACEHOLDER.split(text)
    return f"⟦{''.join(part if part.startswith('{') else part.translate(_LETTERS) for part in parts)}⟧"


def without_translated(text: str) -> str:
    """Return what a page shows besides the texts of the made-up language."""
    while _TRANSLATED.search(text):
        text = _TRANSLATED.sub("", text)
    return text


def add() -> None:
    """Add the language to this process. Its direction is from right to left."""
    texts = {key: translated(text) for key, text in ENGLISH.starting_with("").items()}
    LANGUAGES[TAG] = Texts.of(TAG, {**texts, "direction": "rtl"}, {})


if __name__ == "__main__":
    add()
    cli.main()
