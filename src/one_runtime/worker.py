"""Background work: each kind in its own rhythm, beside the others. Safe in any number of processes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog

from one_runtime import (
    connect_sessions,
    custom_integrations,
    events,
    metrics,
    oauth_clients,
    organizations,
    paused_consents,
    recheck,
    redemption,
    refresh,
    request_log,
    revoke,
    servers,
    tracing,
)
from one_runtime.errors import Unavailable
from one_runtime.installation import Installation
from one_runtime.servers import Server

SESSION_RETENTION: Final = timedelta(days=30)
"""How long a session can be read, from its making; it is over after two hours at the most."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Turn:
    """One kind of work. `every`: seconds from the end of one turn to the next; `work` answers how much it did."""

    name: str
    every: float
    work: Callable[[Installation], Awaitable[int]]


async def purge(installation: Installation) -> int:
    """Delete old events, calls and sessions; how many rows."""
    now = installation.clock()
    oldest_event = now - timedelta(days=installation.settings.event_retention_days)
    oldest_request = now - timedelta(days=installation.settings.request_retention_days)
    deleted = 0
    async with installation.database.read() as tx:
        known = await organizations.list_all(tx)
    for organization in known:  # a transaction each, so that nobody waits for all of them
        async with installation.database.write() as tx:
            deleted += await events.delete_before(tx, organization.id, oldest_event)
            deleted += await request_log.delete_before(tx, organization.id, oldest_request)
            deleted += await connect_sessions.delete_before(tx, organization.id, now - SESSION_RETENTION)
    async with installation.database.write() as tx:
        deleted += await oauth_clients.purge(tx, now - SESSION_RETENTION)
        deleted += await custom_integrations.purge(tx, now - SESSION_RETENTION)
    return deleted


TURNS: Final = (
    Turn("refresh", 1.0, refresh.refresh_due),
    Turn("recheck", 1.0, recheck.check_doubted),
    Turn("revoke", 5.0, revoke.revoke_due),
    Turn("wipe_unredeemed", 5.0, redemption.wipe_due),
    Turn("wipe_consents", 30.0, paused_consents.wipe_due),
    Turn("purge", 3600.0, purge),
)


def beating(server: Server) -> Turn:
    """A sign of life of this process, for `keys promote`."""

    async def beat(installation: Installation) -> int:
        async with installation.database.write() as tx:
            await servers.beat(tx, server, installation.clock())
        return 1

    return Turn("beat", servers.BEAT, beat)


async def run(installation: Installation, turns: tuple[Turn, ...] = TURNS) -> None:
    """Take every turn now, and then each in its rhythm, until cancelled. None waits for another.

    An outage of the database is waited out, and so is a fault of ours in one turn.
    """
    async with asyncio.TaskGroup() as group:
        for turn in turns:
            group.create_task(_repeat(turn, installation))


async def _repeat(turn: Turn, installation: Installation) -> None:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - it is this one
    while True:
        await _take(turn, installation)
        if task.cancelling():  # a turn may swallow it: `asyncio.wait_for`, by which the pool waits, does up to 3.11
            return
        await asyncio.sleep(turn.every)


async def _take(turn: Turn, installation: Installation) -> None:
    try:
        with tracing.worker_turn(turn.name), metrics.worker_turn(turn.name) as taken:
            taken.done = await turn.work(installation)
        log.debug("turn_taken", turn=turn.name, rows=taken.done)
    except Unavailable as error:
        log.warning("turn_postponed", turn=turn.name, code=error.code)
    except Exception:  # the worker's loop: one turn's fault does not end the others, and is never silent
        log.exception("turn_failed", turn=turn.name)
