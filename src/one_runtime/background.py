"""The periodic tasks of a server process."""

from datetime import timedelta
from typing import Final

from one_runtime.catalog import organization_catalogs
from one_runtime.connecting import account_selection, recheck, redirect_mode, sessions
from one_runtime.context import Installation
from one_runtime.integrations import oauth_clients
from one_runtime.jobs import instances
from one_runtime.jobs.instances import ServerInstance
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.proxy import request_log
from one_runtime.tenancy import events, organizations
from one_runtime.tokens import refresh, revocation

SESSION_RETENTION: Final = timedelta(days=30)
"""How long a session can be read, from its making; it is over after two hours at the most."""


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
            deleted += await sessions.delete_before(tx, organization.id, now - SESSION_RETENTION)
    async with installation.database.write() as tx:
        deleted += await oauth_clients.purge(tx, now - SESSION_RETENTION)
        deleted += await organization_catalogs.purge(tx, now - SESSION_RETENTION)
    return deleted


PERIODIC_TASKS: Final = (
    PeriodicTask("refresh", 1.0, refresh.refresh_due),
    PeriodicTask("recheck", 1.0, recheck.recheck_queued),
    PeriodicTask("revoke", 5.0, revocation.revoke_due),
    PeriodicTask("wipe_unredeemed", 5.0, redirect_mode.purge_due),
    PeriodicTask("wipe_consents", 30.0, account_selection.purge_due),
    PeriodicTask("purge", 3600.0, purge),
)


def heartbeat(server: ServerInstance) -> PeriodicTask[Installation]:
    """A sign of life of this process, for `keys promote`."""

    async def beat(installation: Installation) -> int:
        async with installation.database.write() as tx:
            await instances.heartbeat(tx, server, installation.clock())
        return 1

    return PeriodicTask("beat", instances.HEARTBEAT_INTERVAL, beat)
