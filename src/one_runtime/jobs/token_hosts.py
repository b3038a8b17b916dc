"""Limit the background refreshes at each token host, the host of a token endpoint.

A hanging or failing host must not delay the refreshes at other hosts. So each host has its own slots. A breaker stops
the background refreshes at a host after `FAILED_CONNECTIONS` failures. While the breaker is open, one request at a time
(a probe) finds out if the host works again. After an outage, the number of requests per second grows slowly.

Each process counts for itself, in memory. Requests of API callers need no slot and ignore the breaker.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from one_runtime.telemetry import metrics

SLOTS: Final = 32
"""Maximum number of concurrent background refreshes at one token host."""

FAILED_CONNECTIONS: Final = 5
"""Number of connections whose refreshes have to fail before the breaker opens.

A response which shows that the host works resets the count.
"""

FIRST_PROBE: Final = timedelta(seconds=5)
LONGEST_PROBE: Final = timedelta(minutes=1)
"""Shortest and longest pause before a probe. Each failed probe doubles the pause."""

RECOVERY_RATE: Final = 20.0
"""Background refreshes per second at a host after an outage.

The rate starts at 1 and increases by 1 per second up to this limit. The limit doubles every ten minutes. The limit ends
if no due refresh has waited for a minute.
"""

_DOUBLES: Final = timedelta(minutes=10)
_IDLE: Final = timedelta(minutes=1)
_BETWEEN_SWEEPS: Final = timedelta(minutes=1)
_UNUSED: Final = timedelta(minutes=15)
"""The metric omits a host with an open breaker if a probe has been due for this time.

After a failure, a connection waits at most 10 minutes for its next refresh. So no refresh is due at such a host, for
example because the integration is disabled. Without this limit, an alert would never end.
"""

_MAX_HOSTS: Final = 10_000


EndOfRefresh: TypeAlias = Callable[[datetime], None]
"""Function that frees the slot of a background refresh. The argument is the present time."""


def jittered(pause: timedelta) -> timedelta:
    """Return a random time between half of the pause and the whole pause.

    Without randomness, connections that failed together would all retry at the same moment.
    """
    return pause * random.uniform(0.5, 1.0)


@dataclass(slots=True)
class TokenHost:
    """State of one token host in this process. `integrations`: the slugs of the integrations that use the host."""

    running: int = 0
    integrations: set[str] = field(default_factory=set)
    _failed: set[str] = field(default_factory=set)
    _failed_probes: int = 0
    _probe_at: datetime | None = None
    _responses: int = 0
    _recovering_since: datetime | None = None
    _allowance: float = 0.0
    _allowance_at: datetime | None = None
    _waited_at: datetime | None = None
    _sweep_at: datetime | None = None
    _swept_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Return True if the breaker is open, because the host fails."""
        return self._probe_at is not None

    @property
    def is_idle(self) -> bool:
        """Return True if the host works and no refresh runs. The state then equals the state of a new host."""
        return not (self.running or self._failed or self.is_open or self._recovering_since or self._sweep_at)

    def is_failing(self, now: datetime) -> bool:
        """Return True if the breaker is open, unless the due time of the next probe passed more than `_UNUSED` ago."""
        return self._probe_at is not None and now - self._probe_at < _UNUSED

    def try_start(self, now: datetime) -> EndOfRefresh | None:
        """Start a background refresh if the host has a free slot. Return the function that ends the refresh.

        Return None if the refresh has to wait.
        """
        if self._probe_at is not None:
            return self._end_probe_of(self._responses) if self._start_probe(now, self._probe_at) else None
        if self.running >= SLOTS:
            self._waited_at = now
            return None
        if not self._spend_allowance(now):
            return None
        self.running += 1
        return self._end

    def record_failure(self, connection_id: str, now: datetime) -> None:
        """Count a failure of the host. Open the breaker after failures of `FAILED_CONNECTIONS` connections."""
        self._responses += 1
        if self._probe_at is not None:
            return
        self._failed.add(connection_id)
        if len(self._failed) >= FAILED_CONNECTIONS:
            self._failed_probes, self._probe_at = 0, now + jittered(FIRST_PROBE)
            self._recovering_since = None

    def record_unclear(self) -> None:
        """Count a response that does not show if the host works."""
        self._responses += 1

    def record_success(self, now: datetime, *, after_failure: bool) -> bool:
        """Close the breaker. Return True if the breaker was open.

        `after_failure`: True if the previous refresh of the connection failed. `must_sweep` then returns True.
        """
        was_open, self._responses = self.is_open, self._responses + 1
        self._failed.clear()
        self._probe_at = None
        if was_open:
            self.limit_rate(now)
        if was_open or self._swept_at is None:
            self._sweep_at = now
        elif after_failure and self._sweep_at is None:
            self._sweep_at = max(now, self._swept_at + _BETWEEN_SWEEPS)
        return was_open

    def must_sweep(self, now: datetime) -> bool:
        """Return True if the host works again, so that the pauses of its connections can end. Return True only once."""
        if self._sweep_at is None or self._sweep_at > now:
            return False
        self._sweep_at, self._swept_at = None, now
        return True

    def repeat_sweep(self, now: datetime) -> None:
        """Let `must_sweep` return True again, because the pauses of the connections did not end."""
        self._sweep_at = now

    def limit_rate(self, now: datetime) -> None:
        """Let the background refreshes per second grow slowly from now on (`RECOVERY_RATE`)."""
        if self._recovering_since is None:
            self._recovering_since = self._allowance_at = self._waited_at = now
            self._allowance = 1.0

    def _start_probe(self, now: datetime, probe_at: datetime) -> bool:
        if self.running or now < probe_at:
            return False
        self.running += 1
        return True

    def _end(self, _: datetime) -> None:
        self.running -= 1

    def _end_probe_of(self, responses: int) -> EndOfRefresh:
        def end(now: datetime) -> None:
            self.running -= 1
            if self._probe_at is not None and self._responses > responses:
                self._failed_probes += 1
                pause = min(FIRST_PROBE * float(2 ** min(self._failed_probes, 16)), LONGEST_PROBE)
                self._probe_at = now + jittered(pause)

        return end

    def _spend_allowance(self, now: datetime) -> bool:
        since, spent_at, waited_at = self._recovering_since, self._allowance_at, self._waited_at
        if since is None or spent_at is None or waited_at is None:
            return True
        if now - waited_at > _IDLE:
            self._recovering_since = None
            return True
        # The system's clock can be set back.
        age, elapsed = max(now - since, timedelta()), max(now - spent_at, timedelta())
        limit = RECOVERY_RATE * float(2 ** min(age // _DOUBLES, 16))
        rate = min(1.0 + age.total_seconds(), limit)
        self._allowance = min(self._allowance + rate * elapsed.total_seconds(), rate)
        self._allowance_at = now
        if self._allowance < 1.0:
            self._waited_at = now
            return False
        self._allowance -= 1.0
        return True


@dataclass(slots=True)
class Scan:
    """Progress of this process in the list of the due refreshes.

    - `after`: due time and connection of the last row that was read. None: the next listing begins at the first row.
    - `listed_at`: time of the last listing.
    - `resumed`: integrations that the operator has enabled since this process last read the list from its start.
    """

    after: tuple[datetime, str] | None = None
    listed_at: datetime | None = None
    resumed: set[str] = field(default_factory=set)


class TokenHosts:
    """The token hosts of this process, by name.

    `scan`: the progress in the list of the due refreshes. `refreshes`: the running background refreshes.
    `refreshes_of`: their numbers by organization.
    """

    def __init__(self) -> None:
        self.scan = Scan()
        self.refreshes = set[asyncio.Task[None]]()
        self.refreshes_of = Counter[str]()
        self._hosts: dict[str, TokenHost] = {}
        self._measured = set[str]()

    def get(self, name: str) -> TokenHost:
        """Return the state of a host."""
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _MAX_HOSTS:
                self._forget()
            host = self._hosts[name] = TokenHost()
        return host

    def _forget(self) -> None:
        """Forget the hosts that work. If all hosts fail, forget the host that failed first."""
        self._hosts = {name: host for name, host in self._hosts.items() if not host.is_idle}
        if len(self._hosts) >= _MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]

    def update_gauge(self, now: datetime) -> None:
        """Set the metric of the failing hosts, by integration."""
        failing = [host for host in self._hosts.values() if host.is_failing(now)]
        paused = Counter(metrics.integration_label(slug) for host in failing for slug in host.integrations)
        self._measured |= paused.keys()
        for label in self._measured:
            metrics.token_hosts_paused.labels(label).set(paused[label])

    def recovered(self, now: datetime) -> set[str]:
        """Return the names of the hosts that work again since the previous call."""
        return {name for name, host in self._hosts.items() if host.must_sweep(now)}
