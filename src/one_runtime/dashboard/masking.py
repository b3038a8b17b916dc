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
_BEGINNING: Final = r"""(?<![^\s@%<>()"',:;/?&=])"""
# A comment in parentheses, before or after the name (RFC 5322 section 3.2.2). The limits keep the time linear.
_COMMENT: Final = r"""\([^()@]{0,64}+\)"""
_ADDRESS: Final = re.compile(
    rf"""(?:{_BEGINNING}({_LETTER}){_LETTER}*+(?:{_COMMENT}{_LETTER}*+){{0,3}}+"""
    r"""|"([^\s"@])[^"\n]{0,63}+"|\(([^()@\s])[^()@]{0,63}+\))(@|%40)([\w-]+(?:\.[\w-]+)*)"""
)


class Whole(str):
    """A text that a page shows whole, such as the address of a colleague, or words that the member has entered."""

    __slots__ = ()


def mask(text: str) -> str:
    """Return the text with masked e-mail addresses, such as `a…@example.com`."""
    if "@" not in text and "%40" not in text:
        return text
    return _ADDRESS.sub(_masked, text)


def _masked(address: re.Match[str]) -> str:
    name, quoted, comment, at, domain = address.groups()
    return f"{name or quoted or comment}…{at}{domain}"


def mask_output(value: object) -> object:
    """Return a value of a template with masked e-mail addresses.

    `Markup` is the output of a macro, whose values have passed this function before.
    """
    if isinstance(value, Whole | Markup | int | float):
        return value
    return mask(str(value))
