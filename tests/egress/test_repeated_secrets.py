"""Masking of the secrets that a provider repeats in a response: every way to escape them, and nothing else."""

import base64
import html
import json
import re
from collections.abc import Callable
from time import process_time
from typing import Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.egress.provider_text import contains_secret
from one_runtime.egress.repeated_secrets import mask

KEY: Final = 'sk_live_0123456789+/&"<abcdefghijklmnop'
CREDENTIAL: Final = "KxQ9/aZ~b+Yt7.w1Rc-e_Uo4=g=="
PASSWORD: Final = 'Grüße 😀 & "back\\slash" 100%'
MIB: Final = 1024 * 1024

Escape = Callable[[str], str]


def utf16(text: str, form: str = "\\u{:02x}{:02x}") -> str:
    """Return each code unit of the text in this form."""
    units = text.encode("utf-16-be")
    return "".join(form.format(units[at], units[at + 1]) for at in range(0, len(units), 2))


def inside_json(text: str) -> str:
    return json.dumps(text)[1:-1]


ESCAPES: Final[dict[str, Escape]] = {
    "unescaped": str,
    "JSON": inside_json,
    "JSON in UTF-8": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "JSON in JSON": lambda text: inside_json(inside_json(text)),
    "JSON in JSON in JSON": lambda text: inside_json(inside_json(inside_json(text))),
    "Gson": lambda text: inside_json(text).replace("=", "\\u003d").replace("&", "\\u0026"),
    "PHP": lambda text: inside_json(text).replace("/", "\\/"),
    "solidus as u002f": lambda text: inside_json(text).replace("/", "\\u002f").replace("+", "\\u002B"),
    "every character in JSON": utf16,
    "every character in JSON, upper case": lambda text: utf16(text, "\\u{:02X}{:02X}"),
    "every character in JSON in JSON": lambda text: inside_json(utf16(text)),
    "first character in JSON": lambda text: utf16(text[0]) + inside_json(text[1:]),
    "last character in JSON": lambda text: inside_json(text[:-1]) + utf16(text[-1]),
    "URL": lambda text: quote(text, safe=""),
    "URL, lower case": lambda text: quote(text, safe="").lower(),
    "URL, every byte": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "URL in URL": lambda text: quote(quote(text, safe=""), safe=""),
    "URL in URL in URL": lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    "form": quote_plus,
    "JSON in a URL": lambda text: quote(utf16(text), safe=""),
    "HTML": lambda text: html.escape(inside_json(text)),
    "HTML numbers": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "HTML numbers without an end": lambda text: "".join(f"&#{ord(each):05}" for each in text),
    "HTML hexadecimal": lambda text: "".join(f"&#x{ord(each):X};" for each in text),
    "HTML names": lambda text: inside_json(text.replace("&", "&AMP;").replace("=", "&equals;").replace("/", "&sol;")),
    "HTML in HTML": lambda text: inside_json(html.escape(html.escape(text))).replace("=", "&amp;#61;"),
    "HTML in JSON of Go": lambda text: "".join(f"\\u0026#{ord(each)};" for each in text),
    "URL in HTML in JSON": lambda text: inside_json(quote(text, safe="").replace("%", "&#37;")),
    "base64": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "base64 in PHP": lambda text: base64.b64encode(text.encode()).decode().rstrip("=").replace("/", "\\/"),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode().rstrip("="), safe=""),
    "lower case": lambda text: inside_json(text.lower()),
    "upper case and Gson": lambda text: inside_json(ascii_upper(text)).replace("=", "\\u003D"),
}


def ascii_upper(text: str) -> str:
    return "".join(each.upper() if each.isascii() else each for each in text)


@pytest.mark.promise("P11", "P13")
@pytest.mark.parametrize("secret", [CREDENTIAL, KEY, PASSWORD], ids=["token", "key", "password"])
@pytest.mark.parametrize("escape", ESCAPES.values(), ids=ESCAPES)
def test_secret_is_masked_however_a_provider_escapes_it(escape: Escape, secret: str) -> None:
    escaped = escape(secret)
    for body in ('{"key": "¤", "note": "kept \\u003d %3d"}', '{"¤": 1, "\\n": ["a¤b"]}', '["¤¤"]', "key: ¤ \\é &lt; %"):
        masked = mask(body.replace("¤", escaped).encode(), [secret]).decode()
        assert masked == body.replace("¤", "…")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps([KEY]).replace("/", "\\/"),  # PHP
        json.dumps([KEY]).replace("<", "\\u003c").replace("&", "\\u0026"),  # Go
        json.dumps([KEY]).translate({ord(each): f"\\u{ord(each):04X}" for each in "<>&'+"}).replace('\\"', "\\u0022"),
    ],
    ids=["PHP", "Go", ".NET"],
)
def test_secret_is_masked_in_the_json_of_other_languages(body: str) -> None:
    assert json.loads(body) == [KEY]
    assert json.loads(mask(body.encode(), [KEY])) == ["…"]
    assert contains_secret(body, [KEY])


def test_masked_body_keeps_everything_except_the_secret() -> None:
    body = json.dumps({"id": 1, "key": KEY, "basic": base64.b64encode(f"user:{KEY}".encode()).decode(), "note": "é"})
    masked = json.loads(mask(body.encode(), [KEY]))
    assert (masked["id"], masked["key"], masked["note"]) == (1, "…", "é")
    assert not contains_secret(str(masked), [KEY])
    assert mask(body.encode(), []) == body.encode()
    assert mask(b"\xff\x00" + KEY.encode(), [KEY]) == b"\xff\x00" + "…".encode()


@pytest.mark.parametrize("before", ["%", "%4", "\\", "\\u00", "&#", "&", "\\\\"])
def test_characters_before_the_secret_do_not_hide_it(before: str) -> None:
    secret = "41be0042-amp-61"
    assert secret not in mask(f"{before}{secret}".encode(), [secret]).decode()


def test_secrets_that_overlap_are_masked_together() -> None:
    assert mask(b"see abcdefgh12345678 there", ["abcdefgh1234", "efgh12345678"]).decode() == "see … there"
    assert mask(b"see abcdefgh12345678 there", ["abcdefgh12345678", "efgh1234"]).decode() == "see … there"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": "\\u003d\\/%3D&amp;\\\\", "b": "\xff\x00", "c": "KxQ9/aZ~b"}',
        b"\\ud83d \\ud83d\\u0041 \\u12 \\xzz % %zz &;&#;&#x;&#99999999;&#x110000;&nothing;&amp;nothing; \\",
        b"",
    ],
)
def test_body_without_the_secret_stays_byte_for_byte(body: bytes) -> None:
    assert mask(body, [CREDENTIAL, "\\\\\\\\", "%%%%%%%%", "ab", ""]) == body


@st.composite
def escaped_texts(draw: st.DrawFn) -> tuple[str, str]:
    """A text, and a JSON string that contains it in up to three layers of escapes, different for each character."""
    texts = st.text(st.sampled_from('aZ09=/+&%"<é😀\n '), min_size=8, max_size=20)
    text = draw(texts.filter(lambda text: not re.search(r"%[09aA]", text)))  # without escapes of its own
    layers = draw(st.lists(st.sampled_from(["html", "url"]), max_size=2))
    escaped = text
    for layer in layers:
        escaped = "".join(_escape(each, layer, draw(st.booleans())) for each in escaped)
    return text, "".join(
        utf16(each) if draw(st.booleans()) else json.dumps(each, ensure_ascii=draw(st.booleans()))[1:-1]
        for each in escaped
    )


def _escape(character: str, layer: str, always: bool) -> str:
    if layer == "html":
        return f"&#{ord(character)};" if (always and character != ";") or character in "&<" else character
    return quote(character, safe="" if always else "/+&=") if always or character in '%"\\\n ' else character


@pytest.mark.promise("P11", "P13")
@settings(deadline=None, max_examples=300)
@given(escaped_texts(), st.sampled_from(["", "x", "é", "\\n", "\\\\", "\\u0041"]))
def test_no_decoding_of_a_masked_answer_contains_the_secret(texts: tuple[str, str], around: str) -> None:
    secret, escaped = texts
    body = f'{{"k": "{around}{escaped}{around}", "{escaped}": [1.50, null]}}'
    masked = json.loads(mask(body.encode(), [secret]))  # still JSON
    assert list(masked.values())[-1] == [1.5, None]
    readings = {json.dumps(masked, ensure_ascii=False), *masked, *map(str, masked.values())}
    for _ in range(3):
        readings |= {decode(each) for each in readings for decode in (unquote, unquote_plus, html.unescape)}
    assert not any(secret in reading for reading in readings)


WORST: Final = {
    "JSON": b"\\u003d",
    "backslashes": b"\\",
    "solidus": b"\\/",
    "surrogates": b"\\ud83d\\",
    "URL": b"%41",
    "URL in URL": b"%25",
    "HTML": b"&#61;",
    "HTML in HTML": b"&amp;",
    "ampersands": b"&",
    "JSON, HTML and URL": b"\\u0026#37;41",
    "the secret": b"\\u004bxQ9/aZ~b+Yt7.w1Rc-e_Uo4=g==",
    "almost the secret": b"KxQ9/aZ~b+Yt7.w1Rc-e_Uo4=g=",
}


@pytest.mark.promise("P12")
@pytest.mark.parametrize("piece", WORST.values(), ids=WORST)
def test_time_grows_only_with_the_size_of_the_body(piece: bytes) -> None:
    def seconds(size: int) -> float:
        body = piece * (size // len(piece))
        began = process_time()
        mask(body, [CREDENTIAL, KEY])
        return process_time() - began

    seconds(MIB)  # compiles, and warms up
    whole, eighth = (min(seconds(size) for _ in range(3)) for size in (2 * MIB, MIB // 4))
    assert whole < 24 * eighth + 0.2
