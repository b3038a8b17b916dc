"""Validate the branding of an organization: the colors, the shape and the logos of the popup."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from math import floor
from typing import Any, Final, Literal, Self, TypeAlias, get_args

from one_runtime.errors import FieldError, InvalidInput
from one_runtime.tenancy.colors import contrast, nearest
from one_runtime.tenancy.organization_logo import clean_logo

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
