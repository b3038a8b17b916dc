"""Background work: one loop per process. For now it deletes what has been kept long enough."""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from one_runtime import connect_sessions, events, organizations
from one_runtime.errors import Unavailable
from one_runtime.installation import Installation

INTERVAL: Final = 3600.0
"""Seconds between two turns."""

SESSION_RETENTION: Final = timedelta(days=30)
"""How long a session can be read, from its making; it is over after two hours at the most."""

log = structlog.get_logger()


async def purge(installation: Installation) -> int:
    """Delete old events and sessions; how many rows. Safe to run in several processes at once."""
    now = installation.clock()
    oldest_event = now - timedelta(days=installation.settings.event_retention_days)
    deleted = 0
    async with installation.database.read() as tx:
        known = await organizations.list_all(tx)
    for organization in known:  # a transaction each, so that nobody waits for all of them
        async with installation.database.write() as tx:
            deleted += await events.delete_before(tx, organization.id, oldest_event)
            deleted += await connect_sessions.delete_before(tx, organization.id, now - SESSION_RETENTION)
    return deleted


async def run(installation: Installation) -> None:
    """Purge now and then every hour, until cancelled. An outage of the database is waited out."""
    while True:
        try:
            deleted = await purge(installation)
            log.debug("purged", rows=deleted)
        except Unavailable as error:
            log.warning("purge_postponed", code=error.code)
        await asyncio.sleep(INTERVAL)
