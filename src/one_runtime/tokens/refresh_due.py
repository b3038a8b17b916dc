"""Refresh all tokens that are due. The worker repeats this task every second.

Each token host has its own slots and its own breaker (`jobs/token_hosts.py`). So a hanging or failing host does not
delay the refreshes at other hosts.

If a host fails for a long time, hundreds of thousands of rows can be due. So each listing reads at most `PAGES` pages,
and the next listing continues there. Each listing also reads the rows whose due time is after the previous listing.

A run ends after `RUN` seconds at the latest, although some of its refreshes still wait for a hanging host. The next run
of the process takes over these refreshes. If the server stops between the two runs, `flights.land` waits for them.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from one_runtime.catalog.disabled_integrations import IntegrationDisabled
from one_runtime.connections import credentials, due_credentials
from one_runtime.connections.credentials import ConnectionKey, ProviderUnavailable
from one_runtime.connections.due_credentials import START, DueCredential, Position
from one_runtime.context import Installation
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.errors import NotFound, OneRuntimeError, Unavailable
from one_runtime.jobs.liveness import UnconfirmedCopy
from one_runtime.jobs.token_hosts import SLOTS, EndOfRefresh
from one_runtime.telemetry.logger import Logger
from one_runtime.tokens.decision import RETRY_CONFIGURATION
from one_runtime.tokens.host import token_host
from one_runtime.tokens.recording import LONGEST_BACKOFF
from one_runtime.tokens.refresh import ClientRefused, ReauthRequired, refresh_in_background

BATCH: Final = 200
"""Rows of one query. On SQLite, a query lets no other task run."""

PAGES: Final = 10
"""Maximum number of queries of one listing."""

AT_ONCE: Final = 16 * SLOTS
"""Maximum number of concurrent refreshes in one run. A few hosts that hang cannot use all of them."""

AT_ONCE_OF_ORGANIZATION: Final = AT_ONCE // 2
"""Maximum number of concurrent refreshes of one organization, which can have many custom integrations that hang."""

_POLL: Final = 1.0  # seconds between two listings while a refresh runs
_OVERLAP: Final = timedelta(seconds=10)
"""Time for which a listing reads the same rows as the previous one. Another process can commit such a row later."""

RUN: Final = 60.0
"""Seconds after which a run ends. Otherwise, the run of a busy process would never end."""

T = TypeVar("T")

log = Logger()


async def refresh_due(installation: Installation, *, batch: int = BATCH, seconds: float = RUN) -> int:
    """Refresh all credentials that are due and do not wait for a token host. Return the number of these credentials.

    Several processes can run this function at the same time. On an unconfirmed copy of the database, do nothing.

    `seconds`: time after which the run ends.
    """
    if not installation.liveness.is_live:
        return 0
    return await _RefreshRun(installation, batch).execute(seconds)


class _RefreshRun:
    """One run of `refresh_due`."""

    def __init__(self, installation: Installation, batch: int) -> None:
        self._installation, self._batch = installation, batch
        self._loop = asyncio.get_running_loop()
        self._list_at = self._loop.time()
        self._listed = set[ConnectionKey]()  # prevents an endless run if a row is due again immediately
        self._started = 0
        self._waiting = defaultdict[str, _Waiting](_Waiting)  # by token host
        self._running = installation.token_hosts.refreshes
        self._running_of = installation.token_hosts.refreshes_of

    async def execute(self, seconds: float) -> int:
        """Refresh rows until no row is due, or until every due row waits for its host. Return the number of rows."""
        end, errors = self._loop.time() + seconds, list[BaseException]()
        try:
            while True:
                if self._loop.time() >= self._list_at:
                    self._installation.token_hosts.update_gauge(self._installation.clock())
                    await self._end_pauses()
                    await self._list()
                self._start()
                if not self._running or self._loop.time() >= end:
                    break
                finished, _ = await asyncio.wait(self._running, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
                self._running -= finished
                errors += [error for task in finished if (error := task.exception()) is not None]
        except BaseException:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)
            self._running.clear()
            await asyncio.sleep(0)  # runs the last calls of `_end_refresh`, so that the slots are free
            raise
        if errors:
            raise errors[0]
        return self._started

    async def _end_pauses(self) -> None:
        """End the pauses of connections whose token host works again."""
        hosts, now = self._installation.token_hosts, self._installation.clock()
        recovered = hosts.recovered(now)
        try:
            count = await self._end_pauses_at(recovered, now)
        except BaseException:  # the next run has to end the pauses
            for name in recovered:
                hosts.get(name).repeat_sweep(now)
            raise
        for name, connections in count.items():
            if connections > SLOTS:
                hosts.get(name).limit_rate(now)

    async def _end_pauses_at(self, recovered: set[str], now: datetime) -> Counter[str]:
        """End the pauses of the connections of these hosts. Return the number of connections by host."""
        database, after, count = self._installation.database, START, Counter[str]()
        while recovered:
            async with database.read() as tx:
                rows = await due_credentials.list_paused(tx, now, LONGEST_BACKOFF, self._batch, after)
            ended = [row for row in rows if self._host_of(row) in recovered]
            async with database.write() as tx:
                await due_credentials.end_pauses(tx, now, LONGEST_BACKOFF, ended)
            count.update(self._host_of(row) for row in ended)
            if len(rows) < self._batch:
                break
            after = rows[-1].position
        return count

    async def _list(self) -> None:
        """Add due rows to `_waiting`: the next rows of the list, and the rows due since the previous listing."""
        scan, now = self._installation.token_hosts.scan, self._installation.clock()
        self._list_at = self._loop.time() + _POLL
        if not await self._can_store_tokens():
            self._waiting.clear()
            return
        if resumed := self._installation.disabled.take_resumed():
            scan.after, scan.resumed = None, scan.resumed | resumed
        previous, scan.listed_at = scan.listed_at, now
        end = await self._read(now, Position(*scan.after) if scan.after else START)
        if end is None:
            scan.resumed = set()
        elif previous is not None:
            await self._read(now, max(end, Position(previous - _OVERLAP)))
        scan.after = end

    async def _can_store_tokens(self) -> bool:
        """Return False if this process does not have the active key. Other servers then refresh the tokens."""
        try:
            async with self._installation.database.read() as tx:
                await key_ring.require_active_key(tx, self._installation.vault)
        except KeyNotInRing:
            return False
        return True

    async def _read(self, now: datetime, after: Position) -> Position | None:
        """Add the due rows after a position, at most `PAGES` pages. Return the last position, or None after the end."""
        for _ in range(PAGES):
            async with self._installation.database.read() as tx:
                rows = await due_credentials.list_due(tx, now, self._batch, after)
            for row in rows:
                self._add(row, now)
            if len(rows) < self._batch:
                return None
            after = rows[-1].position
            await asyncio.sleep(0)  # on SQLite, a query does not let other tasks run
        return after

    def _add(self, row: DueCredential, now: datetime) -> None:
        """Add a row to `_waiting` if its refresh can start now."""
        if row.state != "ready" or row.key in self._listed or row.key_id not in self._installation.vault.key_ids:
            return
        if row.integration_slug in self._installation.disabled.slugs:
            return
        hosts, name = self._installation.token_hosts, self._host_of(row)
        if row.integration_slug in hosts.scan.resumed:  # many rows can be due, as after an outage
            hosts.get(name).limit_rate(now)
        if self._waiting[name].count(row.organization_id) < PAGES * self._batch:
            self._listed.add(row.key)
            self._waiting[name].add(row)

    def _start(self) -> None:
        """Start the refreshes for which a slot is free, in a random order of hosts."""
        now, full = self._installation.clock(), self._full()
        for name in random.sample(list(self._waiting), len(self._waiting)):
            host, waiting = self._installation.token_hosts.get(name), self._waiting[name]
            while len(self._running) < AT_ONCE and (queue := waiting.next(full)) is not None:
                end = host.try_start(now)
                if end is None:
                    break
                self._started += 1
                key = queue.take()
                task = asyncio.create_task(_refresh_or_postpone(self._installation, key))
                # The callback also runs for a task that is cancelled early.
                task.add_done_callback(partial(self._end_refresh, end, key.organization_id))
                self._running.add(task)
                self._running_of[key.organization_id] += 1
                if self._running_of[key.organization_id] >= AT_ONCE_OF_ORGANIZATION:
                    full.add(key.organization_id)

    def _full(self) -> set[str]:
        """Return the organizations that cannot start a further refresh. There are at most two."""
        return {owner for owner, count in self._running_of.items() if count >= AT_ONCE_OF_ORGANIZATION}

    def _end_refresh(self, end: EndOfRefresh, organization_id: str, task: asyncio.Task[None]) -> None:
        end(self._installation.clock())
        self._running_of[organization_id] -= 1
        if not self._running_of[organization_id]:
            del self._running_of[organization_id]
        if not task.cancelled():
            task.exception()  # asyncio logs an error about an exception that no code reads, as after the last run

    def _host_of(self, row: DueCredential) -> str:
        slug, catalog = row.integration_slug, self._installation.catalog
        return token_host(catalog, row.organization_id, slug, row.auth_type, row.params)


class _Waiting:
    """The credentials that wait for one token host.

    Credentials without a failure are first. So a probe of a failing host prefers such credentials.
    """

    def __init__(self) -> None:
        self._failed, self._others = _SharedQueue(), _SharedQueue()

    def count(self, organization_id: str) -> int:
        """Return the number of credentials of an organization."""
        return self._failed.count(organization_id) + self._others.count(organization_id)

    def add(self, row: DueCredential) -> None:
        """Add credentials."""
        (self._failed if row.failures else self._others).add(row.key)

    def next(self, full: Collection[str]) -> "_SharedQueue | None":
        """Return the queue with the next credentials, or None. `full`: organizations whose credentials have to wait."""
        return next((queue for queue in (self._others, self._failed) if queue.has_next(full)), None)


class _SharedQueue:
    """Credentials of several organizations, of which each has the same chance to be next.

    The order is random, so that several processes begin with different rows.
    """

    def __init__(self) -> None:
        self._keys: dict[str, list[ConnectionKey]] = {}
        self._order: list[str] = []
        """The organizations. The last of them is next."""

    def count(self, organization_id: str) -> int:
        return len(self._keys.get(organization_id, ()))

    def add(self, key: ConnectionKey) -> None:
        """Add credentials at a random place."""
        if key.organization_id not in self._keys:
            self._keys[key.organization_id] = []
            _insert(self._order, key.organization_id)
        _insert(self._keys[key.organization_id], key)

    def has_next(self, full: Collection[str]) -> bool:
        """Return True if there are credentials of an organization that is not full. This organization is next."""
        for place in reversed(range(len(self._order))):
            if self._order[place] not in full:
                self._order[place], self._order[-1] = self._order[-1], self._order[place]
                return True
        return False

    def take(self) -> ConnectionKey:
        """Remove the next credentials, and return the ids of their connection."""
        organization_id = self._order.pop()
        keys = self._keys[organization_id]
        key = keys.pop()
        if keys:
            _insert(self._order, organization_id)
        else:
            del self._keys[organization_id]
        return key


def _insert(values: list[T], value: T) -> None:
    """Add a value at a random place, and the value of this place to the end."""
    place = random.randrange(len(values) + 1)
    values.append(value)
    values[place], values[-1] = values[-1], values[place]


async def _refresh_or_postpone(installation: Installation, key: ConnectionKey) -> None:
    try:
        await refresh_in_background(installation, key)
    except (ReauthRequired, NotFound, UnconfirmedCopy, IntegrationDisabled, KeyNotInRing):
        pass  # without the key, the credentials stay due for another server
    except (ProviderUnavailable, ClientRefused) as error:
        log.debug("refresh_postponed", connection_id=key.connection_id, code=error.code)
    except Unavailable:  # the database failed, so the credentials stay due for the next run
        raise
    except OneRuntimeError as error:
        log.warning("refresh_failed", connection_id=key.connection_id, code=error.code)
        async with installation.database.write() as tx:
            await credentials.postpone(tx, key, installation.clock() + RETRY_CONFIGURATION)
