"""Measure the contrast of two colors, and find the nearest color with enough contrast.

A color is a text such as `#2450c4`. WCAG 2.2 defines the contrast and the relative luminance (section "Terms").
"""

from itertools import pairwise
from typing import Final

BLACK: Final = "#000000"
WHITE: Final = "#ffffff"
_STEPS: Final = 255


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colors: 1 for equal colors, and 21 for black and white."""
    darker, lighter = sorted((_luminance(first), _luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_on(background: str) -> str:
    """Return the text color with more contrast on a background: black or white.

    The contrast is at least 4.58 on every background, the square root of 21.
    """
    return max(WHITE, BLACK, key=lambda text: contrast(text, background))


def mix(color: str, other: str, share: float) -> str:
    """Return a mixture of two colors in sRGB. `share`: the share of the other color, from 0 to 1."""
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(f"{round(channel + (goal - channel) * share):02x}" for channel, goal in pairs)


def nearest(color: str, background: str, minimum: float) -> str:
    """Return the color, or the first mixture with black or white that has the minimum contrast to the background.

    On a light background, the mixtures contain black. On a dark background, the mixtures contain white.
    """
    goal = readable_on(background)
    mixtures = (mix(color, goal, step / _STEPS) for step in range(_STEPS + 1))
    return next((mixture for mixture in mixtures if contrast(mixture, background) >= minimum), goal)


def _channels(color: str) -> tuple[int, ...]:
    """Return red, green and blue, from 0 to 255."""
    return tuple(int(color[start:end], 16) for start, end in pairwise((1, 3, 5, 7)))


def _luminance(color: str) -> float:
    red, green, blue = (_linear(channel / 255) for channel in _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
