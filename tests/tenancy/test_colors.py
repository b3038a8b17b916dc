"""Contrast of colors, over a grid of colors."""

from collections.abc import Iterator
from itertools import pairwise, product

import pytest

from one_runtime.tenancy.branding import (
    BLACK,
    CONTROL_CONTRAST,
    DARK_BACKGROUND,
    LIGHT_BACKGROUND,
    WHITE,
    contrast,
    mix,
    nearest,
    readable_on,
)

BACKGROUNDS = (LIGHT_BACKGROUND, DARK_BACKGROUND, "#ffffff", "#000000")
MINIMUM = 4.5


def grid() -> Iterator[str]:
    for channels in product(range(0, 256, 51), repeat=3):
        yield "#" + "".join(f"{channel:02x}" for channel in channels)


@pytest.mark.parametrize(
    "first,second,expected",
    [("#000000", "#ffffff", 21), ("#777777", "#ffffff", 4.48), ("#767676", "#ffffff", 4.54), ("#ff0000", "#ffffff", 4)],
)
def test_contrast_equals_the_published_values(first: str, second: str, expected: float) -> None:
    assert contrast(first, second) == contrast(second, first) == pytest.approx(expected, abs=0.005)


def test_black_or_white_text_is_readable_on_every_color() -> None:
    assert min(contrast(readable_on(color), color) for color in grid()) >= MINIMUM


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("minimum", [CONTROL_CONTRAST, MINIMUM])
def test_nearest_color_has_enough_contrast_and_equals_a_color_that_has_enough(background: str, minimum: float) -> None:
    for color in grid():
        suggestion = nearest(color, background, minimum)
        assert contrast(suggestion, background) >= minimum, color
        assert (suggestion == color) == (contrast(color, background) >= minimum), color
        assert nearest(suggestion, background, minimum) == suggestion


def test_nearest_color_is_the_first_mixture_with_enough_contrast() -> None:
    mixtures = [mix("#ffd400", BLACK, step / 255) for step in range(256)]
    passing = [contrast(mixture, WHITE) >= CONTROL_CONTRAST for mixture in mixtures]
    assert all(before <= after for before, after in pairwise(passing))
    assert nearest("#ffd400", WHITE, CONTROL_CONTRAST) == mixtures[passing.index(True)]
