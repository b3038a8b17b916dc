"""Read the HTTP responses of token endpoints and revocation endpoints."""

import datetime as dt
import math
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl

from one_runtime.catalog.parts import BUSY
from one_runtime.catalog.response import MISSING, parse_json
from one_runtime.egress.retry_after import parse_retry_after

MAX_BODY: Final = 1024 * 1024
_MAX_FIELDS: Final = 100
LONGEST_RETRY_AFTER: Final = 3600
"""Maximum pause in seconds that a provider can request. A longer pause could stop a connection for days."""
# A form-encoded body contains no markup and no white space. An HTML page contains both.
_FORM: Final = re.compile(rb"[^\s<>{}\"\\=&]+=[^\s<>{}\"\\]*")
_NUMBER: Final = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,9})?")


def is_temporary_failure(status: int) -> bool:
    """Return True if the status alone shows that the provider is down or busy."""
    return status >= 500 or status in BUSY


def is_possible_refusal(status: int) -> bool:
    """Return True for a 4xx status that does not mean a busy provider. Such a status can mean a refusal."""
    return 400 <= status < 500 and status not in BUSY


def parse_body(body: bytes) -> dict[str, object] | None:
    """Parse the body as a JSON object or a form, and ignore the Content-Type. Return None for any other body.

    RFC 6749, 5.1 requires JSON. But GitHub sends a form if the request has no Accept header, and some providers send
    JSON as `text/html`.
    """
    if len(body) > MAX_BODY:
        return None
    document = parse_json(body)
    if document is MISSING:
        return _form(body.strip())
    return document if isinstance(document, dict) else None


def retry_after(headers: Iterable[tuple[str, str]], now: dt.datetime) -> int | None:
    """Return the number of seconds to wait, from the header `Retry-After`. The maximum is `LONGEST_RETRY_AFTER`.

    Return None if there is no valid header.
    """
    value = next((value for name, value in headers if name.lower() == "retry-after"), "")
    seconds = parse_retry_after(value, now)
    return None if seconds is None else min(math.ceil(seconds), LONGEST_RETRY_AFTER)


def parse_number(value: object) -> float | None:
    """Return the value of a JSON number or of a numeric text. Return None for any other value."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e16:
        return float(value)
    return None


def _form(body: bytes) -> dict[str, object] | None:
    if _FORM.fullmatch(body) is None:
        return None
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        return None
    # RFC 6749, 3.2: parameters must not be included more than once.
    return dict(pairs) if len({name for name, _ in pairs}) == len(pairs) else None
