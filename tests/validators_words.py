"""Words of validators and parsers that must not reach a caller: of pydantic, of PyYAML, and of Python's json module."""

import json
import re
from typing import Final

from pydantic_core._pydantic_core import list_all_errors


def _beginning(template: str) -> str:
    """Return the words of a message before its first parameter."""
    return template.partition("{")[0].strip()


_BEGINNINGS: Final = {_beginning(error["message_template_python"]) for error in list_all_errors()}
_MESSAGES: Final = [
    *(words for words in _BEGINNINGS if len(words.split()) > 2),
    "Input should", "String should", "Value error", "Field required", "Extra inputs", "Extra data", "Expecting ",
    "Unterminated string", "while parsing", "expected <", "found unexpected", "could not find", "did not find",
    "appear to be", "invalid literal", "validation error", "unhashable", "NoneType",
]  # fmt: skip
VALIDATORS_WORDS: Final = re.compile("|".join(map(re.escape, _MESSAGES)), re.IGNORECASE)


def error_in(text: str) -> json.JSONDecodeError:
    """Return the error of a text that is not JSON."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error
    raise AssertionError(f"{text} is JSON")
