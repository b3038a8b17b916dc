"""Mask e-mail addresses in pages of members who may not see the addresses of end users.

Each value that a template writes passes `mask_output`. So no page can forget a value. Addresses in the names of
accounts, in the paths of calls and in the words of providers are masked too.
"""

import re
from typing import Final

from markupsafe import Markup

# A letter of the part before the @. In paths of calls, the @ can be encoded (%40). The pattern begins only at the first
# letter, so its time grows linearly with the text.
_LETTER: Final = r"""(?:[^\s@%<>()"',:;/?&=]|%(?!40))"""
_ADDRESS: Final = re.compile(rf"""(?<![^\s@%<>()"',:;/?&=])({_LETTER}){_LETTER}*+(@|%40)([\w-]+(?:\.[\w-]+)*)""")


class Whole(str):
    """A text that a page shows whole, such as the address of a colleague, or words that the member has entered."""

    __slots__ = ()


def mask(text: str) -> str:
    """Return the text with masked e-mail addresses, such as `a…@example.com`."""
    if "@" not in text and "%40" not in text:
        return text
    return _ADDRESS.sub(r"\1…\2\3", text)


def mask_output(value: object) -> object:
    """Return a value of a template with masked e-mail addresses.

    `Markup` is the output of a macro, whose values have passed this function before.
    """
    if isinstance(value, Whole | Markup | int | float):
        return value
    return mask(str(value))
