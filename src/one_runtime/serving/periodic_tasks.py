"""List the background tasks of every server process, with intervals in seconds. `jobs/worker.py` runs the tasks."""

from dataclasses import replace
from typing import Final

from one_runtime.agents import upkeep as agents
from one_runtime.catalog import disabled_integrations
from one_runtime.connecting import account_selection, redirect_mode, sessions
from one_runtime.connections import measurement, pending_revocations
from one_runtime.context import Installation
from one_runtime.db.schema import revocations
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import KeyNotInRing
from one_runtime.integrations import custom, oauth_clients
from one_runtime.jobs import instances
from one_runtime.jobs.instances import ServerInstance
from one_runtime.jobs.worker import PeriodicTask
from one_runtime.lifecycle import organization_deletion, recheck
from one_runtime.proxy import request_log
from one_runtime.team import dashboard_sessions, invitations
from one_runtime.team.sign_in import attempts, steps
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy import events, idempotency_keys
from one_runtime.tokens import revocation
from one_runtime.tokens.refresh_due import refresh_due
from one_runtime.webhooks import measurement as webhook_measurement
from one_runtime.webhooks import upkeep

log = Logger()


async def _load_disabled(installation: Installation) -> int:
    return await installation.disabled.load(installation.database)


async def _purge_idempotency_keys(installation: Installation) -> int:
    return await idempotency_keys.purge(installation.database, installation.clock)


async def _release_orphaned(installation: Installation) -> int:
    return await pending_revocations.release_orphaned(installation.database, installation.clock)


PERIODIC_TASKS: Final[tuple[PeriodicTask[Installation], ...]] = (
    PeriodicTask("refresh", 1.0, refresh_due),
    PeriodicTask("load_disabled_integrations", disabled_integrations.INTERVAL, _load_disabled),
    PeriodicTask("recheck", 1.0, recheck.recheck_queued),
    PeriodicTask("revoke", 1.0, revocation.revoke_due, queue=revocations),
    PeriodicTask("expire_unredeemed", 5.0, redirect_mode.purge_due),
    PeriodicTask("expire_authorizations", 30.0, account_selection.purge_due),
    PeriodicTask("keep_webhooks", 60.0, upkeep.run),
    PeriodicTask("release_kept_tokens", 3600.0, _release_orphaned),
    PeriodicTask("purge_events", 3600.0, events.purge),
    PeriodicTask("purge_requests", 3600.0, request_log.purge),
    PeriodicTask("purge_sessions", 3600.0, sessions.purge),
    PeriodicTask("purge_oauth_clients", 3600.0, oauth_clients.purge),
    PeriodicTask("purge_custom_integrations", 3600.0, custom.purge),
    PeriodicTask("purge_idempotency_keys", 3600.0, _purge_idempotency_keys),
    PeriodicTask("purge_agents", 3600.0, agents.purge),
    PeriodicTask("purge_organizations", 3600.0, organization_deletion.finish_all),
)

MEASURING_TASKS: Final[tuple[PeriodicTask[Installation], ...]] = (
    PeriodicTask("measure_connections", 60.0, measurement.measure_statuses),
    PeriodicTask("measure_refreshes", 60.0, measurement.measure_overdue),
    PeriodicTask("measure_webhooks", 60.0, webhook_measurement.measure),
)
"""Background tasks of a server that serves metrics."""

DASHBOARD_TASKS: Final[tuple[PeriodicTask[Installation], ...]] = (
    PeriodicTask("purge_dashboard_sessions", 3600.0, dashboard_sessions.purge),
    PeriodicTask("purge_invitations", 3600.0, invitations.purge),
    PeriodicTask("purge_sign_in_steps", 300.0, steps.purge),
    PeriodicTask("purge_sign_in_attempts", 300.0, attempts.purge),
)
"""Background tasks of a server with the dashboard."""


def heartbeat_task(server: ServerInstance) -> PeriodicTask[Installation]:
    """Return the background task that updates this process's row in the table `servers`, and its `liveness`.

    The task also logs when this process lacks the active key, and when the key is there again.
    """
    lacks_key = False

    async def send(installation: Installation) -> int:
        nonlocal lacks_key
        missing = None
        async with installation.database.write() as tx:
            present = replace(server, key_ids=installation.vault.key_ids)
            await instances.heartbeat(tx, present, installation.clock)
            try:
                await key_ring.require_active_key(tx, installation.vault)
            except KeyNotInRing as error:
                missing = error.detail
        if missing is not None and not lacks_key:
            log.error("active_key_missing", detail=missing)
        elif missing is None and lacks_key:
            log.info("active_key_found")
        lacks_key = missing is not None
        await installation.liveness.check_in(installation.database, installation.clock())
        return 1

    return PeriodicTask("heartbeat", 15.0, send)
