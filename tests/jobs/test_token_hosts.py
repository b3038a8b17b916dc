"""The slots, the breaker and the rate of one token host. The tests set the time."""

from datetime import UTC, datetime, timedelta

import pytest

from one_runtime.jobs import token_hosts
from one_runtime.jobs.token_hosts import (
    FAILED_CONNECTIONS,
    FIRST_PROBE,
    LONGEST_PROBE,
    RECOVERY_RATE,
    SLOTS,
    TokenHost,
    TokenHosts,
    jittered,
)
from one_runtime.telemetry import metrics

START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def host_of_outage() -> TokenHost:
    """Return a host whose breaker has just opened."""
    host = TokenHost()
    open_breaker(host)
    return host


def open_breaker(host: TokenHost) -> None:
    for number in range(FAILED_CONNECTIONS):
        host.record_failure(f"connection_{number}", START)
    assert host.is_open


def started(host: TokenHost, now: datetime) -> int:
    """Start as many refreshes as the host allows at this time. End these refreshes, and return their number."""
    ends = []
    while (end := host.try_start(now)) is not None:
        ends.append(end)
    for end in ends:
        end(now)
    return len(ends)


def test_a_host_has_a_limited_number_of_slots_and_hosts_share_none() -> None:
    hosts = TokenHosts()
    ends = [hosts.get("a.example.com").try_start(START) for _ in range(SLOTS)]
    assert None not in ends
    assert hosts.get("a.example.com").try_start(START) is None
    assert hosts.get("b.example.com").try_start(START) is not None
    assert ends[0] is not None
    ends[0](START)
    assert hosts.get("a.example.com").try_start(START) is not None


def test_metric_counts_the_open_breakers_of_each_integration() -> None:
    def paused(integration: str) -> float | None:
        return metrics.REGISTRY.get_sample_value("one_runtime_token_hosts_paused", {"integration": integration})

    hosts = TokenHosts()
    shared, *shops = [hosts.get(name) for name in ("example.com", "end-user-1.example.com", "end-user-2.example.com")]
    shared.integrations |= {"mail", "calendar"}
    for shop in shops:
        shop.integrations.add("shop")
    for host in (shared, *shops):
        open_breaker(host)
    hosts.update_gauge(START)
    assert [paused(integration) for integration in ("mail", "calendar", "shop")] == [1, 1, 2]
    for host in (shared, shops[0]):
        host.record_success(START, after_failure=True)
    hosts.update_gauge(START)
    assert [paused(integration) for integration in ("mail", "calendar", "shop")] == [0, 0, 1]


def test_metric_omits_a_failing_host_at_which_no_refresh_is_due_for_15_minutes() -> None:
    """For example, the operator has disabled the integration. Otherwise, the alert would fire until a restart."""
    hosts = TokenHosts()
    host = hosts.get("example.com")
    host.integrations.add("unused")
    open_breaker(host)

    def paused_after(minutes: int) -> float | None:
        hosts.update_gauge(START + minutes * MINUTE)
        return metrics.REGISTRY.get_sample_value("one_runtime_token_hosts_paused", {"integration": "unused"})

    assert [paused_after(minutes) for minutes in (1, 14, 16)] == [1, 1, 0]
    end = host.try_start(START + 17 * MINUTE)
    assert end is not None
    host.record_failure("connection", START + 17 * MINUTE)
    end(START + 17 * MINUTE)
    assert [paused_after(minutes) for minutes in (17, 31, 34)] == [1, 1, 0]


def test_failures_of_one_connection_do_not_open_the_breaker() -> None:
    host = TokenHost()
    for _ in range(10 * FAILED_CONNECTIONS):
        host.record_failure("connection", START)
    assert not host.is_open
    assert started(host, START) == SLOTS


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    host = TokenHost()
    for number in range(10 * FAILED_CONNECTIONS):
        host.record_failure(f"connection_{number}", START)
        if number % FAILED_CONNECTIONS == FAILED_CONNECTIONS - 2:
            host.record_success(START, after_failure=False)
    assert not host.is_open


def test_an_open_breaker_allows_one_probe_at_growing_random_intervals() -> None:
    host, now = host_of_outage(), START
    pauses = list[timedelta]()
    for _ in range(8):
        begun = now
        while (end := host.try_start(now)) is None:
            now += SECOND / 10
        assert host.try_start(now) is None, "one probe at a time"
        host.record_failure("probe", now)
        end(now)
        pauses.append(now - begun)
    expected = [min(FIRST_PROBE * 2**number, LONGEST_PROBE) for number in range(8)]
    for pause, longest in zip(pauses, expected, strict=True):
        assert longest / 2 <= pause <= longest + SECOND / 10


def test_a_probe_that_sends_no_request_does_not_postpone_the_next_probe() -> None:
    host, now = host_of_outage(), START + FIRST_PROBE
    end = host.try_start(now)
    assert end is not None
    end(now)
    assert host.try_start(now) is not None


def test_failures_of_other_requests_do_not_postpone_the_next_probe() -> None:
    host = host_of_outage()
    for second in range(5):
        host.record_failure("called", START + second * SECOND)
    assert host.try_start(START + FIRST_PROBE) is not None


def test_an_unclear_response_keeps_the_breaker_open_and_counts_as_a_failed_probe() -> None:
    host, now = host_of_outage(), START + FIRST_PROBE
    end = host.try_start(now)
    assert end is not None
    host.record_unclear()
    end(now)
    assert host.is_open
    assert host.try_start(now) is None


def test_one_success_closes_the_breaker_and_the_rate_then_grows_to_its_limit() -> None:
    host, now = host_of_outage(), START + MINUTE
    assert host.record_success(now, after_failure=True)
    assert not host.is_open
    rates = [started(host, now + second * SECOND) for second in range(300)]
    assert rates[0] == 1
    assert all(rate <= second + 1 for second, rate in enumerate(rates)), "the rate grows by one each second"
    assert max(rates) == RECOVERY_RATE
    assert sum(rates[60:]) == pytest.approx(240 * RECOVERY_RATE, abs=1)


def test_the_limit_of_the_rate_doubles_for_a_long_backlog() -> None:
    host, now = host_of_outage(), START + MINUTE
    host.record_success(now, after_failure=True)
    rates = [started(host, now + second * SECOND) for second in range(700)]
    assert max(rates[:600]) == RECOVERY_RATE
    assert RECOVERY_RATE < max(rates[600:]) <= SLOTS


@pytest.mark.slow
def test_a_backlog_of_weeks_and_a_clock_that_is_set_back_stop_no_refresh() -> None:
    host, now = host_of_outage(), START + MINUTE
    host.record_success(now, after_failure=True)
    for minute in range(20 * 24 * 60):
        assert started(host, now + minute * MINUTE) >= 1
    assert started(host, now + timedelta(hours=1)) <= SLOTS
    assert started(host, now + timedelta(hours=1, seconds=2)) >= 1


def test_the_limit_of_the_rate_ends_a_minute_after_the_last_refresh_that_waited() -> None:
    host, now = host_of_outage(), START + MINUTE
    host.record_success(now, after_failure=True)
    assert started(host, now) == 1
    for second in range(1, 61):
        end = host.try_start(now + second * SECOND)
        assert end is not None
        end(now)
    assert started(host, now + 62 * SECOND) == SLOTS


def test_the_first_success_and_the_success_after_an_outage_end_pauses_at_once() -> None:
    hosts = TokenHosts()
    host = hosts.get("a.example.com")
    assert hosts.recovered(START) == set()
    host.record_success(START, after_failure=False)
    assert hosts.recovered(START) == {"a.example.com"}
    host.record_success(START, after_failure=False)
    assert hosts.recovered(START) == set()
    for number in range(FAILED_CONNECTIONS):
        host.record_failure(f"connection_{number}", START)
    host.record_success(START, after_failure=False)
    assert hosts.recovered(START) == {"a.example.com"}


def test_other_successes_after_a_failure_end_pauses_once_a_minute() -> None:
    hosts = TokenHosts()
    host = hosts.get("a.example.com")
    host.record_success(START, after_failure=False)
    assert hosts.recovered(START) == {"a.example.com"}
    host.record_success(START + SECOND, after_failure=True)
    assert hosts.recovered(START + SECOND) == set()
    host.record_success(START + 59 * SECOND, after_failure=True)
    assert hosts.recovered(START + 59 * SECOND) == set()
    assert hosts.recovered(START + MINUTE) == {"a.example.com"}


def test_the_hosts_that_work_are_forgotten_if_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_hosts, "_MAX_HOSTS", 3)
    hosts = TokenHosts()
    failing, busy = hosts.get("failing.example.com"), hosts.get("busy.example.com")
    open_breaker(failing)
    assert busy.try_start(START) is not None
    works = hosts.get("works.example.com")
    works.record_success(START, after_failure=False)
    assert hosts.recovered(START) == {"works.example.com"}
    hosts.get("new.example.com")
    assert hosts.get("failing.example.com") is failing
    assert hosts.get("busy.example.com") is busy
    assert hosts.get("works.example.com") is not works
    open_breaker(hosts.get("new.example.com"))
    open_breaker(hosts.get("other.example.com"))
    assert len(hosts._hosts) == 3


def test_jitter_spreads_retries_over_half_of_the_pause() -> None:
    pauses = [jittered(MINUTE) for _ in range(1000)]
    assert all(MINUTE / 2 <= pause <= MINUTE for pause in pauses)
    tenths = {int((pause - MINUTE / 2) / (MINUTE / 20)) for pause in pauses}
    assert tenths >= set(range(10))
