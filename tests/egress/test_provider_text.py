"""The redactor of provider text: every form in which a provider repeats a secret, from every caller."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from one_runtime.catalog.grants import RefreshToken
from one_runtime.catalog.request import ConnectionValues
from one_runtime.catalog.response import read_check
from one_runtime.egress.provider_text import contains_secret, printable, redact
from one_runtime.oauth.errors import OAuthError
from one_runtime.oauth.token_response import read_token_response
from tests.catalog.example import api_key, oauth2
from tests.oauth.answers import CLIENT, NOW, response_with

KEY = 'sk_live_0123456789+/&"<abcdefghijklmnop'

# What a provider makes of a key, and what is shown of that.
ECHOES: dict[str, tuple[Callable[[str], str], str]] = {
    "as it is": (str, "…"),
    "twice": (lambda key: key + key, "……"),
    "in upper case": (str.upper, "…"),
    "with a soft hyphen": (lambda key: f"{key[:9]}\u00ad{key[9:]}", "…"),
    "with a zero-width space": (lambda key: f"{key[:9]}\u200b{key[9:]}", "…"),
    "with a word joiner": (lambda key: f"{key[:9]}\u2060{key[9:]}", "…"),
    "with byte order marks": (lambda key: f"\ufeff{key[:3]}\ufeff{key[3:]}", "…"),
    "with an Arabic letter mark": (lambda key: f"{key[:9]}\u061c{key[9:]}", "…"),
    "with a variation selector": (lambda key: f"{key[:9]}\ufe0f{key[9:]}", "…"),
    "with a tag character": (lambda key: f"{key[:9]}\U000e0041{key[9:]}", "…"),
    "with a grapheme joiner": (lambda key: f"{key[:9]}\u034f{key[9:]}", "…"),
    "with a private-use character": (lambda key: f"{key[:9]}\ue000{key[9:]}", "…"),
    "with a soft hyphen after every character": ("\u00ad".join, "…"),
    "its first 24 characters": (lambda key: f"{key[:24]}...", "…..."),
    "its first 24 characters in upper case": (lambda key: f"{key[:24].upper()}...", "…..."),
    "its first 24 characters with a soft hyphen": (lambda key: f"{key[:9]}\u00ad{key[9:24]}...", "…..."),
    "its last 20 characters": (lambda key: f"...{key[-20:]}", "...…"),
    "12 characters of it": (lambda key: f"...{key[5:17]}...", "...…..."),
    "percent-encoded": (lambda key: quote(key, safe=""), "…"),
    "percent-encoded but for slashes": (quote, "…"),
    "percent-encoded in lower case": (lambda key: quote(key, safe="").lower(), "…"),
    "form-encoded": (quote_plus, "…"),
    "in base64": (lambda key: base64.b64encode(key.encode()).decode(), "…"),
    "in base64 for URLs": (lambda key: base64.urlsafe_b64encode(key.encode()).decode(), "…"),
    "in base64 behind one byte": (lambda key: base64.b64encode(f":{key}".encode()).decode(), "On…A=="),
    "in base64 behind a user name": (lambda key: base64.b64encode(f"user:{key}".encode()).decode(), "dXNlcjp…A="),
    "in base64 before a colon": (lambda key: base64.b64encode(f"{key}:".encode()).decode(), "…Og=="),
    "in JSON": (json.dumps, '"…"'),
    "in HTML": (html.escape, "…"),
    "in HTML with quotation marks": (lambda key: html.escape(key, quote=False), "…"),
    "in its header": (lambda key: f"Authorization: Bearer {key}", "Authorization: Bearer …"),
}


def reason_of_check(echo: str) -> str | None:
    """Return the reason that the check of an API key reports."""
    body = json.dumps({"error": {"message": f"Bad key {echo} given"}}).encode()
    return read_check(api_key(), 401, (), body, ConnectionValues({}, {"api_key": KEY})).reason


def reason_of_token_endpoint(echo: str) -> str | None:
    """Return the reason of a token endpoint's error. The error code and URI are redacted in the same way."""
    texts = dict.fromkeys(("error", "error_description", "error_uri"), f"Bad key {echo} given")
    with pytest.raises(OAuthError) as caught:
        read_token_response(oauth2(), CLIENT, RefreshToken(KEY, "the-old-access-token"), response_with(texts, 400), NOW)
    error_texts = caught.value.response
    assert error_texts.error == error_texts.description == error_texts.uri
    return caught.value.reason


@pytest.mark.promise("P11")
@pytest.mark.parametrize("reported_by", [reason_of_check, reason_of_token_endpoint])
@pytest.mark.parametrize("form", ECHOES)
def test_no_caller_reports_a_secret_that_a_provider_repeats(
    reported_by: Callable[[str], str | None], form: str
) -> None:
    repeat, redacted = ECHOES[form]
    assert reported_by(repeat(KEY)) == f"Bad key {redacted} given"


@pytest.mark.promise("P11")
@pytest.mark.parametrize("reported_by", [reason_of_check, reason_of_token_endpoint])
def test_secret_at_the_end_is_redacted_before_the_text_is_shortened(
    reported_by: Callable[[str], str | None],
) -> None:
    reason = reported_by("x" * 290 + " " + KEY)
    assert reason is not None
    assert reason.endswith("x …")


def test_text_without_a_secret_is_unchanged() -> None:
    assert redact("The token is too old.", [KEY]) == "The token is too old."


def test_short_part_of_a_secret_is_not_redacted() -> None:
    assert redact(f"The key {KEY[:11]}", [KEY]) == f"The key {KEY[:11]}"


def test_blank_or_short_secret_redacts_nothing() -> None:
    assert redact("The  token is old", ["\n \t", "", "ab"]) == "The token is old"


@pytest.mark.parametrize("text", ["one\r\ntwo\x1b[31m\x00\u202ethree\u2028", "\ud800a\ue000b\U0010ffffc\u00a0d"])
def test_text_is_on_one_line_and_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert redact(text, []).isprintable()


def test_letters_marks_and_emoji_are_unchanged() -> None:
    assert printable("Zo\u00eb e\u0301 \U0001f600 \u65e5\u672c") == "Zo\u00eb e\u0301 \U0001f600 \u65e5\u672c"


def test_text_is_shortened_to_300_characters() -> None:
    assert len(redact("x" * 5000, [])) == 300


@pytest.mark.parametrize("form", ["as it is", "in upper case", "with a soft hyphen", "in base64", "in HTML", "in JSON"])
def test_complete_secret_is_redacted_in_every_form(form: str) -> None:
    assert contains_secret(f"Account {ECHOES[form][0](KEY)}", [KEY])
    assert not contains_secret(f"Account {KEY[:20]}", [KEY])


@settings(deadline=None)
@given(st.text(min_size=3))
@pytest.mark.parametrize("form", ["as it is", "percent-encoded", "form-encoded", "in base64", "in HTML", "in JSON"])
def test_any_secret_is_found_in_a_text_that_consists_of_one_of_its_forms(form: str, secret: str) -> None:
    secret = secret.encode(errors="ignore").decode()
    assert len(printable(secret)) < 3 or contains_secret(ECHOES[form][0](secret), [secret])


@settings(deadline=None)
@given(st.text(), st.text(min_size=12), st.text())
def test_secret_is_redacted_in_any_surrounding_text(before: str, secret: str, after: str) -> None:
    redacted = redact(before + secret + after, [secret])
    assert len(printable(secret)) < 3 or printable(secret) not in redacted
    assert len(redacted) <= 300
