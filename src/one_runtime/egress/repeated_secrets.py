"""Mask the secrets that a provider repeats in a response (promises P11 and P13 of docs/security.md)."""

import re
import sys
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from html.entities import html5
from typing import Final, NamedTuple

from one_runtime.egress.provider_text import MASK, SHORTEST_SECRET, base64_forms

_MOST_LAYERS: Final = 3
"""Number of times that `mask` decodes a body: JSON can contain HTML that contains a URL."""


def mask(body: bytes, secrets: Iterable[str]) -> bytes:
    """Mask every complete secret in the body of a response. Do not change the rest.

    A provider can escape any character of a secret, in JSON, HTML or a URL, and an agent decodes the body. So `mask`
    compares decoded texts. Secrets in base64 are also masked. Upper and lower case of ASCII do not matter.

    The time grows with the size of the body and the number of escapes. 2 MB of escapes need about half a second.
    """
    forms = {form.lower() for secret in secrets if len(secret) >= SHORTEST_SECRET for form in _forms(secret)}
    forms |= {_DecodedText(form).text.rstrip(b"\\") for form in forms}  # a secret can contain what looks like an escape
    forms |= {form.replace(b" ", b"+") for form in forms}  # the space of an HTML form
    text = _DecodedText(body.lower())
    spans = {span for form in forms if len(form) >= SHORTEST_SECRET for span in text.spans(form)}
    return _without(body, sorted(spans)) if spans else body


def _forms(secret: str) -> Iterator[bytes]:
    data = secret.encode("utf-8", "surrogatepass")
    yield data
    yield from (form.encode() for form in base64_forms(data))


def _without(body: bytes, spans: list[tuple[int, int]]) -> bytes:
    """Return the body with the mask at each of the spans. The spans can overlap."""
    kept, end = list[bytes](), 0
    for start, next_end in spans:
        if start >= end:
            kept += [body[end:start], MASK.encode()]
        end = max(end, next_end)
    return b"".join([*kept, body[end:]])


class _Escape(NamedTuple):
    """A way to escape characters.

    - `sign`: the first byte of every escape. The pattern begins with it, so that the search is fast.
    - `decode`: returns the text of an escape, in lower case.
    """

    sign: bytes
    pattern: re.Pattern[bytes]
    decode: Callable[[re.Match[bytes]], bytes]


def _decode_backslash(match: re.Match[bytes]) -> bytes:
    pair, unit, byte, character = match.groups()
    if character is not None:
        return _CONTROL_CHARACTERS.get(character, character)
    if pair is not None:
        unit = pair[:4] + pair[-4:]
    return _encoded(bytes.fromhex((unit or b"00" + byte).decode()).decode("utf-16-be", "surrogatepass"))


def _decode_entity(match: re.Match[bytes]) -> bytes:
    decimal, hexadecimal, name, end = match.groups()
    if name is not None:
        return _HTML_CHARACTERS.get(name) or b"&" + name + end
    code = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return _encoded(chr(code)) if code <= sys.maxunicode else match[0]


def _decode_percent(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()).lower()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()


_CONTROL_CHARACTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}
_HTML_CHARACTERS: Final = {
    name.removesuffix(";").lower().encode(): _encoded(text)
    for name, text in sorted(html5.items())  # the last of `AMP` and `amp` is in lower case
}
_ESCAPES: Final = (
    _Escape(  # JSON, also in JSON, and JavaScript: `\\u003d` and `\\\\u003d`, a surrogate pair, `\\x3d`, `\\/`
        b"\\",
        re.compile(
            rb"\\\\*(?:u(d[89ab][0-9a-f]{2}\\+u(?:d[c-f][0-9a-f]{2}))|u([0-9a-f]{4})|x([0-9a-f]{2})|(.))", re.DOTALL
        ),
        _decode_backslash,
    ),
    # URLs, also in URLs, and before HTML because of `&#61%3B`: `%3d`, `%253d`
    _Escape(b"%", re.compile(rb"%(?:25)*([0-9a-f]{2})"), _decode_percent),
    # HTML, also in HTML: `&equals;`, `&#61;`, `&amp;#x3d;`
    _Escape(
        b"&", re.compile(rb"&(?:amp;)*(?:#([0-9]{1,7})|#x([0-9a-f]{1,6})|([a-z][a-z0-9]{1,31}))(;?)"), _decode_entity
    ),
)


class _DecodedText:
    """A text without its escapes, and what the text was between the steps of the decoding.

    `original`: in lower case. `text`: after the last step.
    """

    def __init__(self, original: bytes) -> None:
        self.text = original
        self._readings = [original]
        self._steps: list[tuple[list[int], list[int]]] = []
        """Escapes of each step: where they begin in the new text, and how far the old text is ahead after them."""
        for _ in range(_MOST_LAYERS):
            steps = len(self._steps)
            for escape in _ESCAPES:
                self._decode(escape)
            if len(self._steps) == steps:
                break

    def spans(self, form: bytes) -> Iterator[tuple[int, int]]:
        """Yield the places in the original that are the form in one of the texts.

        The last text alone is not enough: in `100%41b`, the `41` can be an escape or the beginning of a secret.
        """
        for steps, reading in enumerate(self._readings):
            start = reading.find(form)
            while start >= 0:
                end = start + len(form)
                yield self._position(start, steps), self._position(end, steps)
                start = reading.find(form, end)

    def _position(self, position: int, steps: int) -> int:
        """Return the position in the original. `position`: in the text after this number of steps."""
        for starts, shifts in reversed(self._steps[:steps]):
            escapes_before = bisect_left(starts, position)
            if escapes_before:
                position += shifts[escapes_before - 1]
        return position

    def _decode(self, escape: _Escape) -> None:
        """Decode one kind of escapes."""
        old = self.text
        if escape.sign not in old:
            return
        pieces, starts, shifts = list[bytes](), list[int](), list[int]()
        old_end = new_end = 0
        for match in escape.pattern.finditer(old):
            character, start = escape.decode(match), match.start()
            if character == match[0]:
                continue
            starts.append(new_end + start - old_end)
            pieces += (old[old_end:start], character)
            new_end = starts[-1] + len(character)
            old_end = match.end()
            shifts.append(old_end - new_end)
        if starts:
            self.text = b"".join([*pieces, old[old_end:]])
            self._steps.append((starts, shifts))
            self._readings.append(self.text)
