"""Validate the branding of an organization: the colors, the shape and the logos of the popup.

A color is a text such as `#2450c4`. WCAG 2.2 defines the contrast and the relative luminance (section "Terms").
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from math import floor
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from one_runtime.catalog.logos import UnsafeLogo, clean_svg
from one_runtime.errors import FieldError, InvalidInput

MAX_LOGO_BYTES: Final = 64 * 1024
_LOGO: Final = re.compile(r"data:image/(?:png|jpeg|webp|svg\+xml);base64,([A-Za-z0-9+/]+={0,2})")
_TYPES: Final = {b"\x89PNG\r\n": "png", b"\xff\xd8\xff": "jpeg", b"RIFF": "webp"}


def image_data_uri(content: bytes) -> str:
    """Return an image as a data URI, for `clean_logo`. The first bytes decide the type. The default type is SVG."""
    kind = next((name for start, name in _TYPES.items() if content.startswith(start)), "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def clean_logo(field: str, value: str | None) -> str | None:
    """Validate a logo, and return the logo as a data URI. Return None for a blank value. Raises: InvalidInput.

    The logo must be a data URI, because hosted pages load nothing from other hosts (promise P11 of docs/security.md).
    """
    if value is None or not value.strip():
        return None
    match = _LOGO.fullmatch(value.strip())
    if match is None:
        raise InvalidInput.of(
            field,
            "must contain the image, because hosted pages load nothing from other hosts. Send a base64 data URI of a "
            "PNG, JPEG, WebP or SVG, such as data:image/png;base64,…",
        )
    try:
        image = base64.b64decode(match[1], validate=True)
    except binascii.Error as error:
        raise InvalidInput.of(field, "must be valid base64") from error
    if len(image) > MAX_LOGO_BYTES:
        raise InvalidInput.of(field, f"must be at most {MAX_LOGO_BYTES // 1024} kB")
    if value.strip().startswith("data:image/svg"):
        _check_svg(field, image)
    return value.strip()


def _check_svg(field: str, image: bytes) -> None:
    """Refuse an SVG image whose references expand to more elements than a browser can draw. Raises: InvalidInput."""
    try:
        clean_svg(image.decode(), MAX_LOGO_BYTES)
    except UnicodeDecodeError as error:
        raise InvalidInput.of(field, "must be an SVG in UTF-8") from error
    except UnsafeLogo as error:
        raise InvalidInput.of(field, f"must be a plain SVG drawing: {error}") from error


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


Radius: TypeAlias = Literal["none", "small", "medium", "large"]
Scheme: TypeAlias = Literal["auto", "light", "dark"]

LIGHT_BACKGROUND: Final = "#f7f7f4"
"""The darkest background of a control in the popup's light scheme (`--sunken` in popup.css)."""

DARK_BACKGROUND: Final = "#202124"
"""The lightest background of a control in the popup's dark scheme (`--sunken` in popup.css)."""

CONTROL_CONTRAST: Final = 3.0
"""Minimum contrast of a control to its background (WCAG 2.2, success criterion 1.4.11)."""

_COLOR: Final = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True, slots=True)
class Branding:
    """The appearance of the popup. A color is a text such as `#2450c4`.

    `accent_color`, `accent_color_dark`: the color of buttons, links and focus rings in the light and in the dark
    scheme. None: the default. `scheme`: `auto` follows the end user's browser. `logo_dark_url`: the logo in the dark
    scheme. None: the same logo as in the light scheme.
    """

    accent_color: str | None = None
    accent_color_dark: str | None = None
    radius: Radius = "medium"
    scheme: Scheme = "auto"
    logo_dark_url: str | None = None
    hide_powered_by: bool = False

    @classmethod
    def parse(cls, document: Mapping[str, Any] | None) -> Self:
        """Return the branding of a stored document. None means the defaults."""
        return cls(**document) if document else cls()

    @property
    def fields(self) -> dict[str, Any]:
        """Return the branding as a document, with the names of the API."""
        return asdict(self)

    @property
    def shown_accent_dark(self) -> str | None:
        """Return the accent color of the dark scheme. By default, derive the color from `accent_color`."""
        if self.accent_color_dark is not None or self.accent_color is None:
            return self.accent_color_dark
        return nearest(self.accent_color, DARK_BACKGROUND, CONTROL_CONTRAST)


DEFAULT_BRANDING: Final = Branding()


def clean_branding(branding: Branding, logo_url: str | None) -> Branding:
    """Validate the branding of an organization with a logo, and return the branding.

    Raises: InvalidInput, with an error for each invalid field.
    """
    light, dark = (color and color.lower() for color in (branding.accent_color, branding.accent_color_dark))
    logo = clean_logo("branding.logo_dark_url", branding.logo_dark_url)
    needs_logo = "needs a logo_url for the light scheme. Set logo_url too, or omit branding.logo_dark_url"
    problems = {
        "radius": None if branding.radius in get_args(Radius) else f"must be one of {', '.join(get_args(Radius))}",
        "scheme": None if branding.scheme in get_args(Scheme) else f"must be one of {', '.join(get_args(Scheme))}",
        "accent_color": _color_problem(light, LIGHT_BACKGROUND),
        "accent_color_dark": _color_problem(dark, DARK_BACKGROUND),
        "logo_dark_url": needs_logo if logo is not None and logo_url is None else None,
    }
    errors = [FieldError(f"branding.{name}", problem) for name, problem in problems.items() if problem is not None]
    if errors:
        raise InvalidInput.of_all(errors)
    return replace(branding, accent_color=light, accent_color_dark=dark, logo_dark_url=logo)


def _color_problem(color: str | None, background: str) -> str | None:
    """Return the reason why the popup cannot use a color on a background, or None if the popup can use the color."""
    if color is None:
        return None
    if not _COLOR.fullmatch(color):
        return "must be a color as # and six hexadecimal digits, such as #2450c4"
    measured = contrast(color, background)
    if measured >= CONTROL_CONTRAST:
        return None
    return (
        f"{color} has a contrast of {floor(measured * 100) / 100:.2f} to the popup's background {background}, and "
        f"needs at least {CONTROL_CONTRAST:g}. The nearest color with enough contrast is "
        f"{nearest(color, background, CONTROL_CONTRAST)}"
    )
