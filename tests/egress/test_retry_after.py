"""Parsing of `Retry-After`."""

import time
from datetime import UTC, datetime

import pytest

from one_runtime.egress.retry_after import parse_date, parse_retry_after

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("Fri, 27 Nov 2026 12:02:00 GMT", 120.0),
        ("Friday, 27-Nov-26 12:02:00 GMT", 120.0),  # RFC 850
        ("Fri Nov 27 12:02:00 2026", 120.0),  # asctime has no zone, and is UTC (RFC 9110, 5.6.7)
        ("Fri, 27 Nov 2026 12:02:00", 120.0),
        ("Fri, 27 Nov 2026 13:02:00 +0100", 120.0),
        ("2026-11-27T12:02:00Z", 120.0),
        ("2026-11-27T12:02:00", 120.0),
        ("Fri, 27 Nov 2026 11:00:00 GMT", 0.0),
        (str(int(NOW.timestamp()) + 30), 30.0),
        (str(int(NOW.timestamp()) - 30), 0.0),
        (str(int(NOW.timestamp() * 1_000_000)), 1e9),  # a Unix time in microseconds
        ("9" * 16, 1e9),
        ("-1", 0.0),
        ("1e999", None),
        ("\u0661\u0662", None),
        ("soon", None),
        ("", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("9" * 17, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_date_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert parse_retry_after("Fri, 27 Nov 2026 12:02:00", NOW) == 120.0
        assert parse_date("Fri Nov 27 12:02:00 2026") == datetime(2026, 11, 27, 12, 2, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()
