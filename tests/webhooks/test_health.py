"""The schedule of attempts, and the judgement about endpoints: pure functions of times."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks import endpoints
from one_runtime.webhooks.health import Outcome, judge
from one_runtime.webhooks.schedule import next_delay

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ENDPOINT = endpoints.new("org", url="https://example.com", description="", include=[], now=NOW)
FAILED, SUCCEEDED = Outcome(failures=1), Outcome(successes=1, fastest=timedelta(milliseconds=5))


def test_ten_attempts_follow_the_schedule_of_the_specification() -> None:
    delays = [next_delay(failures, None, lambda low, high: (low + high) / 2) for failures in range(1, 11)]
    assert delays[-1] is None
    seconds = [delay.total_seconds() for delay in delays if delay is not None]
    assert seconds == pytest.approx([5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400])
    assert sum(seconds) == pytest.approx(75 * 3600 + 35 * 60 + 5)


def test_delays_differ_by_ten_percent() -> None:
    low, high = (next_delay(1, None, choose) for choose in (min, max))
    assert low is not None
    assert high is not None
    assert (low.total_seconds(), high.total_seconds()) == pytest.approx((4.5, 5.5))


@pytest.mark.parametrize(
    "failures, asked, minutes",
    [(1, timedelta(minutes=3), 3), (1, timedelta(days=2), 60), (4, timedelta(seconds=1), 108), (1, timedelta(), 0.075)],
)
def test_retry_after_delays_the_next_attempt_by_at_most_an_hour(
    failures: int, asked: timedelta, minutes: float
) -> None:
    delay = next_delay(failures, asked, min)
    assert delay is not None
    assert delay.total_seconds() / 60 == pytest.approx(minutes)


def test_no_attempt_follows_the_tenth_failure_even_with_retry_after() -> None:
    assert next_delay(10, timedelta(minutes=1)) is None


def test_five_days_of_failures_disable_an_endpoint_from_the_tenth_failure_on() -> None:
    endpoint, now = ENDPOINT, NOW
    for failure in range(1, 10):
        verdict = judge(endpoint, FAILED, now)
        assert (verdict.disable, verdict.endpoint.lane) == (None, TROUBLED), failure
        endpoint, now = verdict.endpoint, NOW + timedelta(days=6)
    assert judge(endpoint, FAILED, NOW + timedelta(days=5) - timedelta(seconds=1)).disable is None
    assert judge(endpoint, FAILED, NOW + timedelta(days=5)).disable == "failing"


def test_a_success_ends_the_count_of_failures() -> None:
    failing = replace(ENDPOINT, failing_since=NOW - timedelta(days=9), failed_attempts=99, lane=TROUBLED)
    healthy = judge(failing, Outcome(successes=1, failures=5, fastest=timedelta(0)), NOW).endpoint
    assert (healthy.failing_since, healthy.failed_attempts, healthy.lane) == (None, 0, FIRST)
    assert judge(healthy, FAILED, NOW).disable is None


def test_the_status_410_disables_an_endpoint_at_once() -> None:
    assert judge(ENDPOINT, Outcome(failures=1, is_gone=True), NOW).disable == "gone"


def test_a_slow_endpoint_leaves_the_lane_of_the_fast_ones_until_it_is_fast() -> None:
    lanes = []
    endpoint = ENDPOINT
    for seconds in (2.0, 3.1, 2.0, 0.9, 2.0):
        endpoint = judge(endpoint, Outcome(successes=1, fastest=timedelta(seconds=seconds)), NOW).endpoint
        lanes.append(endpoint.lane)
    assert lanes == [FIRST, TROUBLED, TROUBLED, FIRST, FIRST]


def test_a_success_is_stored_at_most_once_a_minute() -> None:
    stored = judge(ENDPOINT, SUCCEEDED, NOW).endpoint
    assert judge(stored, SUCCEEDED, NOW + timedelta(seconds=59)).endpoint == stored
    assert judge(stored, SUCCEEDED, NOW + timedelta(seconds=60)).endpoint.succeeded_at == NOW + timedelta(minutes=1)
