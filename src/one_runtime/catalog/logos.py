"""Sanitize the SVG logos of integrations. Draw a monogram (two letters) for an integration without a logo."""

import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import Final
from xml.etree import ElementTree as ET

MAX_BYTES: Final = 8_000
_MAX_DEPTH: Final = 32
_MAX_DRAWN: Final = 2_000
"""Maximum number of elements that a browser draws. Nested `use` elements can draw billions of elements in 1 kB."""
_SVG: Final = "http://www.w3.org/2000/svg"
_XLINK: Final = "{http://www.w3.org/1999/xlink}href"

_ELEMENT_NAMES: Final = (
    "svg g path rect circle ellipse line polyline polygon defs linearGradient radialGradient stop clipPath mask use "
    "symbol title text"
)
_ATTRIBUTE_NAMES: Final = (
    "id viewBox width height preserveAspectRatio d x y x1 x2 y1 y2 cx cy r rx ry fx fy points transform fill stroke "
    "fill-rule clip-rule clip-path mask opacity fill-opacity stroke-opacity stroke-width stroke-linecap "
    "stroke-linejoin stroke-miterlimit stroke-dasharray stroke-dashoffset stop-color stop-opacity offset color "
    "gradientUnits gradientTransform spreadMethod clipPathUnits maskUnits maskContentUnits mask-type href "
    "font-family font-size font-weight text-anchor letter-spacing role aria-label"
)
_ELEMENTS: Final = frozenset(_ELEMENT_NAMES.split())
_ATTRIBUTES: Final = frozenset(_ATTRIBUTE_NAMES.split())
_METADATA_ATTRIBUTES: Final = ("version", "class", "data-", "baseProfile", "enable-background", "{")
# A logo may refer only to ids in its own file. So a browser that shows the logo downloads no other file.
_REFERENCE = re.compile(r"url\(\s*#([A-Za-z0-9_-]+)\s*\)")
_DRAWING_REFERENCES: Final = ("clip-path", "mask")


class UnsafeLogo(ValueError):
    """The SVG is not valid, or contains a forbidden part."""


def clean_svg(text: str, max_bytes: int = MAX_BYTES) -> str:
    """Return the SVG with only the elements and attributes that a drawing needs.

    Raises:
        UnsafeLogo: the SVG is not valid XML, is larger than `max_bytes`, or contains a part that is not allowed. For
            example, scripts, style sheets, external references and document types are not allowed. Deep nesting and
            too many drawn elements are not allowed either.
    """
    # A document type (`<!DOCTYPE`) can declare entities. An entity can expand endlessly or read a file. So this
    # function refuses a text with a document type before it calls the parser.
    if len(text.encode()) > max_bytes or "<!" in _without_comments(text):
        raise UnsafeLogo(f"must be at most {max_bytes} bytes, without a document type")
    try:
        root = ET.fromstring(text)  # noqa: S314 - the text has no document type
    except ET.ParseError as error:
        raise UnsafeLogo(f"not valid XML: {error}") from error
    if root.get("viewBox") is None and _is_size(root.get("width")) and _is_size(root.get("height")):
        root.set("viewBox", f"0 0 {root.get('width')} {root.get('height')}")
    if root.tag != f"{{{_SVG}}}svg" or not root.get("viewBox"):
        raise UnsafeLogo("the root must be an svg element with a viewBox")
    _require_small_drawing(root)
    return f'<svg xmlns="{_SVG}"{_attributes(root)}>{"".join(map(_element, root))}</svg>'


def _without_comments(text: str) -> str:
    kept, start = [], 0
    while (opening := text.find("<!--", start)) >= 0 and (end := text.find("-->", opening + 4)) >= 0:
        kept.append(text[start:opening])
        start = end + 3
    return "".join([*kept, text[start:]])


def _require_small_drawing(root: ET.Element) -> None:
    """Check the number of elements that a browser draws, and the depth of their nesting.

    A browser draws the target of each reference, so each reference adds the elements of its target.

    Raises: UnsafeLogo.
    """
    by_id: dict[str, ET.Element] = {}
    for node in root.iter():
        by_id.setdefault(node.get("id", ""), node)
    drawn, pending = 0, [(root, 1)]
    while pending:
        node, depth = pending.pop()
        drawn += 1
        if depth > _MAX_DEPTH:
            raise UnsafeLogo(f"elements and references must be nested at most {_MAX_DEPTH} levels deep")
        if drawn > _MAX_DRAWN:
            raise UnsafeLogo(f"must draw at most {_MAX_DRAWN} elements, counted after the expansion of references")
        targets = (by_id[target] for target in _drawn_targets(node) if target in by_id)
        pending += [(inner, depth + 1) for inner in (*node, *targets)]


def _drawn_targets(node: ET.Element) -> Iterator[str]:
    """Yield the id of each element that a browser draws for a reference in `node`. A gradient draws no element."""
    for key, value in _drawing_attributes(node):
        if key in ("href", _XLINK) and node.tag == f"{{{_SVG}}}use":
            yield value.removeprefix("#")
        elif key in _DRAWING_REFERENCES:
            yield from _REFERENCE.findall(value)


def _is_size(text: str | None) -> bool:
    return text is not None and re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]+)?", text) is not None


def _element(node: ET.Element) -> str:
    name = node.tag.removeprefix(f"{{{_SVG}}}")
    if name not in _ELEMENTS:
        raise UnsafeLogo(f"the element {name} is not allowed")
    text = escape(node.text.strip()) if node.text and name in ("title", "text") else ""
    inner = text + "".join(map(_element, node))
    return f"<{name}{_attributes(node)}>{inner}</{name}>" if inner else f"<{name}{_attributes(node)}/>"


def _attributes(node: ET.Element) -> str:
    attributes = []
    for key, value in _drawing_attributes(node):
        name = "href" if key == _XLINK else key
        if name not in _ATTRIBUTES:
            raise UnsafeLogo(f"the attribute {name} is not allowed")
        if name == "href" and not re.fullmatch(r"#[A-Za-z0-9_-]+", value):
            raise UnsafeLogo(f"the reference to {value[:60]} is not allowed")
        if re.search(r"url|:|&|\\", _REFERENCE.sub("", value), re.IGNORECASE):
            raise UnsafeLogo(f"the value of {name} is not allowed")
        attributes.append(f' {name}="{escape(value)}"')
    return "".join(attributes)


def _drawing_attributes(node: ET.Element) -> Iterator[tuple[str, str]]:
    """Yield the attributes that affect the drawing. Include the declarations in `style`, and omit metadata."""
    for key, value in node.attrib.items():
        if key == "style":
            for declaration in filter(str.strip, value.split(";")):
                name, _, setting = declaration.partition(":")
                yield name.strip(), setting.strip()
        elif key == _XLINK or not key.startswith(_METADATA_ATTRIBUTES):
            yield key, value


def logo_hash(svg: bytes) -> str:
    """Return the hash for the URL of the logo. A changed logo gets another URL."""
    # The hash is short, because a list of integrations contains a hash for each logo.
    return hashlib.sha256(svg).hexdigest()[:12]


def monogram(slug: str, name: str) -> str:
    """Return an SVG with two letters of the name on a square. The slug decides the colour of the square."""
    hue = int.from_bytes(hashlib.sha256(slug.encode()).digest()[:2], "big") % 360
    letters = escape(_letters(name))
    # White text needs a contrast of 4.5:1 (WCAG 1.4.3). Hues from yellow to cyan look light, so they need dark squares.
    light = 30 if 30 <= hue <= 200 else 40
    return (
        f'<svg xmlns="{_SVG}" viewBox="0 0 256 256" width="256" height="256">'
        f'<rect width="256" height="256" rx="56" fill="{_hex(hue, 0.52, light / 100)}"/>'
        f'<text x="128" y="164" fill="#fff" font-family="ui-sans-serif, system-ui, sans-serif" font-size="104" '
        f'font-weight="600" letter-spacing="-2" text-anchor="middle">{letters}</text></svg>'
    )


def _letters(name: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)) or ["?"]
    first, second = str(words[0]), str(words[1]) if len(words) > 1 else str(words[0])[1:]
    return f"{first[:1]}{second[:1]}".upper()


def _hex(hue: int, saturation: float, light: float) -> str:
    amplitude = saturation * min(light, 1 - light)

    def channel(offset: int) -> int:
        k = (offset + hue / 30) % 12
        return round(255 * (light - amplitude * max(-1.0, min(k - 3, 9 - k, 1.0))))

    return "#" + "".join(f"{channel(offset):02x}" for offset in (0, 8, 4))
