"""Build the stylesheet with an organization's branding.

The URL of the stylesheet contains the colors and the shape, so the server needs no row to build the stylesheet, and
browsers can cache the stylesheet without an expiry (docs/decisions/0047-branding.md).
"""

import re
from dataclasses import dataclass
from typing import Final, cast

from one_runtime.tenancy.branding import (
    BLACK,
    CONTROL_CONTRAST,
    DARK_BACKGROUND,
    DEFAULT_BRANDING,
    LIGHT_BACKGROUND,
    WHITE,
    Branding,
    Radius,
    Scheme,
    contrast,
    mix,
    nearest,
    readable_on,
)

TEXT_CONTRAST: Final = 4.5
"""Minimum contrast of text to its background (WCAG 2.2, success criterion 1.4.3)."""

RADII: Final = {"none": 0, "small": 4, "medium": 10, "large": 16}
"""Radius of a control in pixels. The stylesheets derive the other radii."""

_HOVER: Final = 0.14
_KEY: Final = re.compile(
    r"(default|[0-9a-f]{6})-(default|[0-9a-f]{6})-(none|small|medium|large)-(auto|light|dark)-(named|unnamed)"
)
_DARK_QUERY: Final = re.compile(r"\(prefers-color-scheme: ?dark\)")
_BOTH_SCHEMES: Final = re.compile(r"(color-scheme: ?)light dark")
_DARK_MEDIA: Final = {"auto": "(prefers-color-scheme: dark)", "light": "not all", "dark": "all"}


@dataclass(frozen=True, slots=True)
class Theme:
    """The branding of one page. The templates read these properties."""

    branding: Branding = DEFAULT_BRANDING

    @property
    def key(self) -> str:
        """Return the colors, the shape and the name of One Runtime as a part of a URL."""
        branding = self.branding
        colors = (branding.accent_color, branding.shown_accent_dark)
        light, dark = (color.removeprefix("#") if color else "default" for color in colors)
        name = "unnamed" if branding.hide_powered_by else "named"
        return f"{light}-{dark}-{branding.radius}-{branding.scheme}-{name}"

    @classmethod
    def parse(cls, key: str) -> "Theme | None":
        """Return the theme with this key. Return None for an invalid key."""
        match = _KEY.fullmatch(key)
        if match is None:
            return None
        light, dark = (None if color == "default" else f"#{color}" for color in match.groups()[:2])
        radius, scheme = cast("Radius", match[3]), cast("Scheme", match[4])
        return cls(Branding(light, dark, radius, scheme, hide_powered_by=match[5] == "unnamed"))

    @property
    def shows_powered_by(self) -> bool:
        """Return True if the pages name One Runtime."""
        return not self.branding.hide_powered_by

    @property
    def has_stylesheet(self) -> bool:
        """Return True if the stylesheet of the theme is not empty."""
        return bool(self.stylesheet)

    @property
    def radius(self) -> int:
        """Return the radius of a control in pixels."""
        return RADII[self.branding.radius]

    @property
    def color_scheme(self) -> str:
        """Return the value of the CSS property `color-scheme`."""
        return "light dark" if self.branding.scheme == "auto" else self.branding.scheme

    @property
    def dark_media(self) -> str:
        """Return the media query for the dark scheme."""
        return _DARK_MEDIA[self.branding.scheme]

    def file(self, name: str) -> str:
        """Return the name of a stylesheet for the scheme of the theme."""
        return name if self.branding.scheme == "auto" else scheme_file(name, self.branding.scheme)

    @property
    def stylesheet(self) -> str:
        """Return the stylesheet, or an empty text if the theme equals the defaults.

        If the end user's system asks for more contrast, the default colors apply, which have the highest contrast.
        """
        scheme = self.branding.scheme
        light = None if scheme == "dark" else self.branding.accent_color
        dark = None if scheme == "light" else self.branding.shown_accent_dark
        shape = f":root{{--radius:{self.radius}px}}" if self.branding.radius != "medium" else ""
        colors = _colors(light, LIGHT_BACKGROUND) if light else ""
        if dark:
            colors += f"@media {self.dark_media}{{{_colors(dark, DARK_BACKGROUND)}}}"
        return shape + (f"@media not all and (prefers-contrast: more){{{colors}}}" if colors else "")


def scheme_file(name: str, scheme: Scheme) -> str:
    """Return the name of the variant of a stylesheet for one scheme, such as `popup-dark.css`."""
    return name.replace(".css", f"-{scheme}.css")


def fix_scheme(stylesheet: str, scheme: Scheme) -> str:
    """Return a stylesheet that shows one scheme on every system."""
    fixed = _BOTH_SCHEMES.sub(rf"\g<1>{scheme}", stylesheet)
    return _DARK_QUERY.sub(_DARK_MEDIA[scheme], fixed)


def _colors(accent: str, background: str) -> str:
    """Return the custom properties of popup.css that depend on the accent color."""
    properties = {
        "action": accent,
        "action-ink": readable_on(accent),
        "action-hover": _hover(accent, background),
        "link": nearest(accent, background, TEXT_CONTRAST),
        "ring": accent,
    }
    return ":root{" + ";".join(f"--{name}:{value}" for name, value in properties.items()) + "}"


def _hover(accent: str, background: str) -> str:
    """Return the color of a button under the pointer. The button keeps its text color and enough contrast."""
    text = readable_on(accent)
    for other in (WHITE if text == BLACK else BLACK, text):
        color = mix(accent, other, _HOVER)
        if contrast(color, background) >= CONTROL_CONTRAST and contrast(color, text) >= TEXT_CONTRAST:
            return color
    return accent
