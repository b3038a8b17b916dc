"""Send the due deliveries to webhook endpoints (promise P10 of docs/security.md).

Each server process has one sender. The sender claims due deliveries, sends the messages concurrently, and stores the
results in batches. An endpoint that fails, hangs or is slow delays no other endpoint, because each endpoint has its own
limit of concurrent requests, and troubled endpoints have their own lane.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from one_runtime.context import Installation
from one_runtime.db.schema import webhook_deliveries
from one_runtime.errors import Unavailable
from one_runtime.jobs.queue import database_now, wake
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy.event_deliveries import FIRST, HELD, TROUBLED
from one_runtime.webhooks import deliveries, endpoints, health, pace, secrets
from one_runtime.webhooks.attempts import GONE, AttemptResult, attempt
from one_runtime.webhooks.deliveries import EVER, ClaimedDelivery, DueEndpoint, Settlement
from one_runtime.webhooks.endpoints import WebhookEndpoint
from one_runtime.webhooks.health import Outcome
from one_runtime.webhooks.messages import ConnectionDocuments, Message, build_messages
from one_runtime.webhooks.pace import Pace, Places, Rotation
from one_runtime.webhooks.schedule import next_delay

BATCH: Final[Mapping[int, int]] = {FIRST: 50, TROUBLED: 100}
"""Maximum number of deliveries of one claim, by lane. Claims of the lane `TROUBLED` are rare."""

CONCURRENT: Final[Mapping[int, int]] = {FIRST: 16, TROUBLED: 4}
"""Maximum number of concurrent requests to one endpoint, by the endpoint's lane."""

UNPROVEN: Final = 4
"""Maximum number of concurrent requests to an endpoint whose last request did not succeed within a second."""

PATIENCE: Final = 10.0
"""Seconds for which a claimed delivery waits for a free request. With the request, this is less than the lease."""

_CLAIM_INTERVAL: Final = 0.2
"""Minimum seconds between two claims of the lane `TROUBLED`, which can contain many endpoints."""

_STOP: Final = 2.0
"""Seconds from the start of a request for which a stopping server waits for the response."""

_PROVEN_MS: Final = 1000

_GATHER: Final = 0.05
"""Seconds for which a result waits, so that one transaction stores the results of many attempts."""

_RETRY_STORING: Final = 1.0

log = Logger()


@dataclass(frozen=True, slots=True)
class _Work:
    claimed: ClaimedDelivery
    endpoint: WebhookEndpoint
    secrets: list[str] = field(repr=False)
    message: Message
    claimed_at: float
    in_backlog: bool


@dataclass(slots=True)
class _Outbox:
    """The claimed deliveries of one endpoint. `running`: number of running requests."""

    waiting: deque[_Work] = field(default_factory=deque)
    running: int = 0


_NO_OUTBOX: Final = _Outbox()


class Sender:
    """Sends the deliveries of this process."""

    def __init__(
        self, installation: Installation, documents: ConnectionDocuments, last_request: Callable[[], float]
    ) -> None:
        """`last_request`: as in `Pace`."""
        self._installation, self._documents = installation, documents
        self._outboxes = defaultdict[str, _Outbox](_Outbox)
        self._ready = dict[str, None]()
        """The ids of the endpoints with waiting deliveries, in the order in which the endpoints can start requests."""
        self._pace = Pace(self._start_next, last_request)
        self._proven = set[str]()
        """The ids of the endpoints whose last request succeeded within a second."""
        self._places = Places()
        self._settlements = list[Settlement]()
        self._returned = list[ClaimedDelivery]()
        self._sending = set[asyncio.Task[None]]()
        self._storing: asyncio.Task[None] | None = None
        self._following = set[asyncio.Task[None]]()
        self._next_spaced, self._wakes_for_spaced = 0.0, False
        self._rotation, self._backlog = Rotation(), deque[_Work]()
        self._newest_request = 0.0
        self._stopping = False

    def task(self) -> PeriodicTask[Installation]:
        """Return the background task that sends due deliveries. A commit of an event starts the task."""
        return PeriodicTask("send_webhooks", 1.0, self.send_due, queue=webhook_deliveries)

    async def send_due(self, _: Installation) -> int:
        """Claim all due deliveries that this process can send now, and start the requests. Return their number.

        Do not wait for the requests. On an unconfirmed copy of the database, do nothing.
        """
        if not self._installation.liveness.is_live:
            return 0
        self._return_impatient()
        is_busy = self._pace.is_busy
        since = self._installation.clock() - pace.RECENT if is_busy else EVER
        return await self._claim_lane(FIRST, since) + await self._claim_spaced(is_busy=is_busy)

    async def stop(self) -> None:
        """Wait for running requests, store the results, and return the other claimed deliveries to the queue."""
        self._stopping = True
        for waiting in (self._backlog, *(outbox.waiting for outbox in self._outboxes.values())):
            self._returned += (work.claimed for work in waiting)
            waiting.clear()
        if self._sending:
            patience = self._newest_request + _STOP - time.monotonic()
            await asyncio.wait(self._sending, timeout=max(patience, 0))
        for task in self._sending:
            task.cancel()
        await asyncio.gather(*self._sending, return_exceptions=True)
        if self._storing is not None:
            await asyncio.wait([self._storing], timeout=_STOP)
        if self._settlements or self._returned:
            with suppress(Unavailable):  # the deliveries are due again after the lease
                await self._store_once()
        await asyncio.gather(*self._following, return_exceptions=True)

    async def _claim_spaced(self, *, is_busy: bool) -> int:
        """Claim deliveries that can wait, or wake this task later if the last claim is recent.

        These are the deliveries of the lane `TROUBLED` and, while requests arrive, the backlog of the lane `FIRST`.
        """
        now = time.monotonic()
        if now < self._next_spaced:
            if not self._wakes_for_spaced:
                self._wakes_for_spaced = True
                asyncio.get_running_loop().call_later(self._next_spaced - now, wake, webhook_deliveries)
            return 0
        if is_busy:
            claimed = await self._claim_backlog()
        else:
            claimed = await self._claim_lane(TROUBLED, EVER)
        interval = pace.CLAIM_INTERVAL if is_busy else _CLAIM_INTERVAL
        self._next_spaced, self._wakes_for_spaced = time.monotonic() + interval, False
        return claimed

    async def _claim_lane(self, lane: int, since: datetime) -> int:
        """Claim the deliveries of a lane that are due since a time, and start the requests. Return their number."""
        total, due = 0, deque(await self._due(lane, since))
        while due:
            claimed = await self._claim_batch(lane, since, due, BATCH[lane])
            if claimed:
                self._enqueue(await self._read(claimed))
            total += len(claimed)
        return total

    async def _claim_backlog(self) -> int:
        """Claim few deliveries of both lanes, and start the requests one by one. Return their number."""
        if self._backlog:
            return 0
        total = 0
        listed = {lane: await self._due(lane, EVER) for lane in (TROUBLED, FIRST)}
        chosen = self._rotation.next([each for due in listed.values() for each in due])
        for lane, due in listed.items():
            mine = deque(each for each in due if each in chosen)
            while mine:
                claimed = await self._claim_batch(lane, EVER, mine, pace.CLAIM // len(chosen))
                if claimed:
                    self._backlog += await self._read(claimed, in_backlog=True)
                total += len(claimed)
        self._start_backlog()
        return total

    async def _due(self, lane: int, since: datetime) -> list[DueEndpoint]:
        """Return the endpoints with due deliveries of which this process can send further ones now."""
        async with self._installation.database.read() as tx:
            now = await database_now(tx, self._installation.clock)
            listed = await deliveries.due_endpoints(tx, lane, now, since)
        return [each for each in listed if self._claimable(each, lane) > 0]

    async def _claim_batch(
        self, lane: int, since: datetime, due: deque[DueEndpoint], share: int
    ) -> list[ClaimedDelivery]:
        """Claim at most `BATCH` deliveries, and remove their endpoints from `due`. `share`: maximum by endpoint."""
        claimed, clock = list[ClaimedDelivery](), self._installation.clock
        try:
            async with self._installation.database.write() as tx:
                while due and (free := BATCH[lane] - len(claimed)) > 0:
                    each = due.popleft()
                    limit = min(free, share, self._claimable(each, lane))
                    if limit > 0:
                        more = await deliveries.claim(tx, clock, lane, since, each.endpoint_id, limit)
                        self._places.occupy(more)
                        claimed += more
        except BaseException:
            self._places.release(claimed)
            raise
        return claimed

    def _claimable(self, due: DueEndpoint, lane: int) -> int:
        """Return the number of deliveries to claim for an endpoint, if the lane contains so many."""
        return min(self._room(due.endpoint_id, lane), self._places.left(lane, due.organization_id))

    def _limit(self, endpoint_id: str, lane: int) -> int:
        """Return the maximum number of concurrent requests to an endpoint."""
        return CONCURRENT[lane] if endpoint_id in self._proven else min(UNPROVEN, CONCURRENT[lane])

    def _room(self, endpoint_id: str, lane: int) -> int:
        """Return the number of further deliveries to claim for an endpoint.

        Only a proven endpoint has waiting deliveries. Otherwise a hanging endpoint would occupy them for nothing.
        """
        outbox, limit = self._outboxes.get(endpoint_id, _NO_OUTBOX), self._limit(endpoint_id, lane)
        if endpoint_id in self._proven:
            return BATCH[lane] if len(outbox.waiting) < limit else 0
        return limit - outbox.running - len(outbox.waiting)

    async def _read(self, claimed: list[ClaimedDelivery], *, in_backlog: bool = False) -> list[_Work]:
        """Read what the messages need, and return the messages. Settle deliveries that cannot be sent."""
        of_endpoint = defaultdict[str, list[ClaimedDelivery]](list)
        for each in claimed:
            of_endpoint[each.endpoint_id].append(each)
        paused, dead, works = list[ClaimedDelivery](), list[ClaimedDelivery](), list[_Work]()
        try:
            works = await self._read_works(of_endpoint, paused, dead, in_backlog=in_backlog)
            if paused or dead:
                now = self._installation.clock()
                async with self._installation.database.write() as tx:
                    await deliveries.give_back(tx, paused, now, HELD)
                    await deliveries.fail(tx, dead, now)
        except (asyncio.CancelledError, Unavailable):
            self._returned += claimed
            self._store()
            raise
        finally:
            # The queue offers the other deliveries again after the lease. Their event or endpoint was deleted since the
            # claim, or this process cannot decrypt their secret.
            kept = {work.claimed for work in works}.union(self._returned)
            self._places.release(each for each in claimed if each not in kept)
        return works

    async def _read_works(
        self,
        of_endpoint: Mapping[str, list[ClaimedDelivery]],
        paused: list[ClaimedDelivery],
        dead: list[ClaimedDelivery],
        *,
        in_backlog: bool,
    ) -> list[_Work]:
        """Return the messages to send. Add the deliveries of inactive endpoints to `paused` or to `dead`."""
        installation, claimed_at, works = self._installation, time.monotonic(), list[_Work]()
        async with installation.database.read() as tx:
            keys = await secrets.of_endpoints(tx, installation.vault, of_endpoint, installation.clock())
            event_ids = {each.event_id for claimed in of_endpoint.values() for each in claimed}
            events = await deliveries.events_of(tx, event_ids)
            for endpoint in await endpoints.list_by_id(tx, of_endpoint):
                mine = [each for each in of_endpoint[endpoint.id] if each.event_id in events]
                if endpoint.status == "paused":
                    paused += mine
                elif endpoint.status != "active":
                    dead += mine
                elif (key := keys.get(endpoint.id)) is not None:
                    pairs = [(events[each.event_id], each.deleted_end_user_id) for each in mine]
                    messages = await build_messages(tx, self._documents, endpoint.include, pairs)
                    works += (
                        _Work(each, endpoint, key, message, claimed_at, in_backlog)
                        for each, message in zip(mine, messages, strict=True)
                    )
        return works

    def _enqueue(self, works: Iterable[_Work]) -> None:
        for work in works:
            self._outboxes[work.endpoint.id].waiting.append(work)
            self._ready[work.endpoint.id] = None
        self._pace.start()

    def _start_backlog(self) -> None:
        """Start the claimed deliveries of the backlog one by one, or at once if no requests arrive."""
        if self._backlog and self._pace.is_busy:
            self._enqueue([self._backlog.popleft()])
            asyncio.get_running_loop().call_later(1 / pace.RATE, self._start_backlog)
        else:
            self._enqueue(self._backlog)
            self._backlog.clear()
            self._store()

    def _start_next(self) -> bool:
        """Start a request of the next endpoint that can start one. Return False if no endpoint can."""
        while self._ready:
            endpoint_id = next(iter(self._ready))
            del self._ready[endpoint_id]
            outbox = self._outboxes[endpoint_id]
            limit = self._limit(endpoint_id, outbox.waiting[0].endpoint.lane) if outbox.waiting else 0
            if outbox.running < limit:
                self._start_request(outbox)
                self._ready[endpoint_id] = None
                if len(outbox.waiting) == limit - 1:
                    wake(webhook_deliveries)  # this process has room for further deliveries of the endpoint
                return True
            if not outbox.waiting and not outbox.running:
                del self._outboxes[endpoint_id]
        return False

    def _start_request(self, outbox: _Outbox) -> None:
        outbox.running += 1
        self._newest_request = time.monotonic()
        task = asyncio.create_task(self._send(outbox.waiting.popleft()))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _return_impatient(self) -> None:
        """Return deliveries to the queue that have waited too long for a free request."""
        before = time.monotonic() - PATIENCE
        for outbox in self._outboxes.values():
            while outbox.waiting and outbox.waiting[0].claimed_at < before:
                self._returned.append(outbox.waiting.popleft().claimed)
        if self._returned:
            self._store()

    async def _send(self, work: _Work) -> None:
        egress, endpoint_id = self._installation.webhook_egress, work.endpoint.id
        try:
            answer = await attempt(egress, work.endpoint, work.secrets, work.message, self._installation.clock)
            is_proven = answer.is_success and answer.attempt.duration_ms < _PROVEN_MS
            (self._proven.add if is_proven else self._proven.discard)(endpoint_id)
            self._settlements.append(_settlement(work.claimed, answer))
            metrics.webhook_attempts.labels(answer.outcome).inc()
        except asyncio.CancelledError:
            self._returned.append(work.claimed)
            raise
        except Exception:  # the delivery is due again after the lease
            log.exception("webhook_attempt_failed", endpoint_id=endpoint_id)
            self._places.release([work.claimed])
        finally:
            self._outboxes[endpoint_id].running -= 1
            self._ready[endpoint_id] = None
            self._pace.start()
            if not (work.in_backlog and self._backlog):  # otherwise, one transaction stores the results of a claim
                self._store()

    def _store(self) -> None:
        """Store all results. While one transaction runs, further results wait for the next transaction."""
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_all())

    async def _store_all(self) -> None:
        while self._settlements or self._returned:
            if not self._stopping:
                await asyncio.sleep(_GATHER)
            try:
                await self._store_once()
            except Unavailable as error:
                log.warning("webhook_results_wait", code=error.code, results=len(self._settlements))
                if self._stopping:
                    return
                await asyncio.sleep(_RETRY_STORING)
            if any(not outbox.waiting for outbox in self._outboxes.values()) or not self._outboxes:
                wake(webhook_deliveries)  # this process has room for further deliveries

    async def _store_once(self) -> None:
        settlements, self._settlements = self._settlements, []
        returned, self._returned = self._returned, []
        now = self._installation.clock()
        try:
            async with self._installation.database.write() as tx:
                await deliveries.settle(tx, self._installation.clock, settlements)
                await deliveries.give_back(tx, returned, now)
                changes = await health.record(tx, _outcomes(settlements), now)
        except BaseException:
            self._settlements, self._returned = settlements + self._settlements, returned + self._returned
            raise
        self._places.release([*returned, *(settlement.claimed for settlement in settlements)])
        for change in changes:
            task = asyncio.create_task(health.follow(self._installation.database, change, now))
            self._following.add(task)
            task.add_done_callback(self._end_following)

    def _end_following(self, task: asyncio.Task[None]) -> None:
        self._following.discard(task)
        if not task.cancelled() and task.exception() is not None:
            # `upkeep` repeats the change for disabled endpoints. Otherwise, only the order of deliveries differs.
            log.warning("webhook_lane_unchanged", exc_info=task.exception())


def _settlement(claimed: ClaimedDelivery, answer: AttemptResult) -> Settlement:
    if answer.is_success:
        return Settlement(claimed, answer.attempt, "delivered")
    delay = None if answer.is_gone else next_delay(claimed.failures + 1, answer.retry_after)
    return Settlement(claimed, answer.attempt, "failed" if delay is None else "pending", delay)


def _outcomes(settlements: Iterable[Settlement]) -> dict[str, Outcome]:
    outcomes = defaultdict[str, Outcome](Outcome)
    for settlement in settlements:
        outcome, made = outcomes[settlement.claimed.endpoint_id], settlement.attempt
        if settlement.status == "delivered":
            outcome.successes += 1
            duration = timedelta(milliseconds=made.duration_ms)
            outcome.fastest = duration if outcome.fastest is None else min(outcome.fastest, duration)
        else:
            outcome.failures += 1
            outcome.is_gone |= made.response_status == GONE
    return outcomes
