"""Judge webhook endpoints by the results of attempts, and disable endpoints that fail for days."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select, update

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import webhook_deliveries, webhook_endpoints
from one_runtime.jobs.queue import batched_update, run_in_batches
from one_runtime.tenancy.event_deliveries import FIRST, TROUBLED
from one_runtime.webhooks import endpoints
from one_runtime.webhooks.deliveries import LEASE, failed_values
from one_runtime.webhooks.endpoints import DisabledReason, WebhookEndpoint

DISABLE_AFTER: Final = timedelta(days=5)
"""One Runtime disables an endpoint after this time with nothing but failures."""

MIN_FAILURES: Final = 10
"""Minimum number of failed attempts before One Runtime disables an endpoint."""

SLOW: Final = timedelta(seconds=3)
FAST: Final = timedelta(seconds=1)
"""An endpoint whose fastest response took longer than `SLOW` is slow, until a response takes less than `FAST`."""

SUCCESS_RESOLUTION: Final = timedelta(minutes=1)
"""One Runtime stores the time of a success at most once in this time, because each write costs."""


@dataclass(slots=True)
class Outcome:
    """The results of several attempts at one endpoint. `fastest`: shortest time of a successful attempt."""

    successes: int = 0
    failures: int = 0
    is_gone: bool = False
    fastest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The endpoint after the attempts, and the reason to disable the endpoint, or None."""

    endpoint: WebhookEndpoint
    disable: DisabledReason | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an endpoint that also concerns its waiting deliveries. `change.follow` adapts the deliveries."""

    endpoint_id: str
    in_trouble: bool = False
    recovered: bool = False
    disabled: bool = False


_OF: Final = webhook_endpoints.c.id == bindparam("endpoint")
_LOCKED: Final = select(webhook_endpoints).where(_OF).with_for_update(key_share=True)
_FIELDS: Final = ("lane", "failing_since", "failed_attempts", "succeeded_at")
_SAVE: Final = update(webhook_endpoints).where(_OF).values({name: bindparam(name) for name in _FIELDS})
_WAITING: Final = (webhook_deliveries.c.endpoint_id == bindparam("endpoint"), webhook_deliveries.c.due_at.is_not(None))
_MOVE_ASIDE: Final = batched_update(
    webhook_deliveries, {"lane": TROUBLED}, *_WAITING, webhook_deliveries.c.lane == FIRST
)
_HURRY: Final = batched_update(
    webhook_deliveries, {"due_at": bindparam("now")}, *_WAITING, webhook_deliveries.c.due_at > bindparam("later")
)
_FAIL: Final = batched_update(webhook_deliveries, failed_values(), *_WAITING)


def judge(endpoint: WebhookEndpoint, outcome: Outcome, now: datetime) -> Verdict:
    """Return the state of an endpoint after attempts.

    A success ends all trouble, except that a slow endpoint stays in the lane `TROUBLED`.
    """
    if outcome.successes:
        is_slow = outcome.fastest is not None and (
            outcome.fastest > SLOW or (outcome.fastest > FAST and endpoint.lane == TROUBLED)
        )
        stored = endpoint.succeeded_at
        is_stale = stored is None or now - stored >= SUCCESS_RESOLUTION or endpoint.failing_since is not None
        return Verdict(
            replace(
                endpoint,
                lane=TROUBLED if is_slow else FIRST,
                failing_since=None,
                failed_attempts=0,
                succeeded_at=now if is_stale else stored,
            )
        )
    since = endpoint.failing_since or now
    failing = replace(
        endpoint, lane=TROUBLED, failing_since=since, failed_attempts=endpoint.failed_attempts + outcome.failures
    )
    if outcome.is_gone:
        return Verdict(failing, "gone")
    if now - since >= DISABLE_AFTER and failing.failed_attempts >= MIN_FAILURES:
        return Verdict(failing, "failing")
    return Verdict(failing)


async def record(tx: Transaction, outcomes: Mapping[str, Outcome], now: datetime) -> list[Change]:
    """Store the state of endpoints after attempts. Return the changes that concern waiting deliveries.

    The function locks only endpoints whose state changes, in the order of their ids.
    """
    changed = [
        endpoint.id
        for endpoint in await endpoints.list_by_id(tx, outcomes)
        if endpoint.status == "active" and judge(endpoint, outcomes[endpoint.id], now) != Verdict(endpoint)
    ]
    changes = list[Change]()
    for endpoint_id in sorted(changed):
        endpoint = await tx.one(_LOCKED, WebhookEndpoint, endpoint=endpoint_id)
        if endpoint is None or endpoint.status != "active":
            continue
        verdict = judge(endpoint, outcomes[endpoint_id], now)
        after = verdict.endpoint
        await tx.execute(_SAVE, endpoint=endpoint_id, **{name: getattr(after, name) for name in _FIELDS})
        if verdict.disable is not None:
            await endpoints.disable(tx, after, verdict.disable, now)
        changes.append(
            Change(
                endpoint_id,
                in_trouble=after.lane == TROUBLED and endpoint.lane == FIRST,
                recovered=endpoint.failing_since is not None and after.failing_since is None,
                disabled=verdict.disable is not None,
            )
        )
    return changes


async def follow(database: Database, change: Change, now: datetime) -> None:
    """Adapt the waiting deliveries of an endpoint to a change, in small steps.

    - in trouble: the deliveries leave the lane `FIRST`, so that they do not delay other endpoints.
    - recovered: the deliveries are due now, and not at the time of their next attempt.
    - disabled: the deliveries fail.
    """
    if change.disabled:
        await run_in_batches(database, _FAIL, endpoint=change.endpoint_id, now=now)
    elif change.in_trouble:
        await run_in_batches(database, _MOVE_ASIDE, endpoint=change.endpoint_id)
    elif change.recovered:
        # A delivery that an attempt has reserved is due after the lease, and must not be sent twice.
        later = now + LEASE
        await run_in_batches(database, _HURRY, endpoint=change.endpoint_id, now=now, later=later)
