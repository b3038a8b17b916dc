"""Validate the logo of an organization."""

import base64
import binascii
import re
from typing import Final

from one_runtime.catalog.logos import UnsafeLogo, clean_svg
from one_runtime.errors import InvalidInput

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
