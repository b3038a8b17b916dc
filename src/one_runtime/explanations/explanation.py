"""Define the explanation of a code."""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias


class Explanation(NamedTuple):
    """The texts `message` (the cause) and `action` (the next step, and the person who does it). Code has backquotes."""

    message: str
    action: str


Explanations: TypeAlias = Mapping[str, Explanation]
"""Explanations by code."""
