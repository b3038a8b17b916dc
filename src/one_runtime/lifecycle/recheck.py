"""Recheck a connection: ask the provider whether the connection's credentials still work.

If the provider refuses the credentials, the connection gets the status `needs_reauth`. If the credentials are valid but
lack a permission, the connection keeps its status, and its `error` names the permission. If the provider cannot be
reached, nothing changes.
"""

import asyncio
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.model import Integration
from one_runtime.connecting.provider_request import reasons_for_developers
from one_runtime.connecting.verification import InconclusiveCheck, check_credentials
from one_runtime.connections import connections
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import CheckFailed, CredentialsRefused, PermissionMissing, ProviderUnavailable
from one_runtime.context import Installation
from one_runtime.errors import OneRuntimeError
from one_runtime.jobs.recheck_queue import RecheckRequest
from one_runtime.telemetry.logger import Logger
from one_runtime.tenancy.events import Actor
from one_runtime.tokens.decision import Verdict
from one_runtime.tokens.recording import record_presumed_refusal
from one_runtime.tokens.refresh import ClientRefused, ReauthRequired, fresh_credentials, held_credentials
from one_runtime.tokens.state import CredentialState, UsableCredential

CONCURRENT: Final = 64
TIMEOUT: Final = 10.0  # seconds for one recheck
_POLL: Final = 1.0  # seconds between two looks into the queue
_RUN: Final = 60.0
"""Seconds after which a run starts no further recheck. Otherwise, the run of a busy process would never end."""

RecheckOutcome: TypeAlias = Literal["accepted", "refused", "permission_missing", "not_supported"]

log = Logger()


@dataclass(frozen=True, slots=True)
class RecheckResult:
    """A connection after its recheck.

    - `integration`: None if the integration no longer exists.
    - `outcome`: the provider's answer to the check request. `not_supported`: One Runtime has no check request to send.
    - `missing_permission`: the name of the missing permission, if known.
    """

    connection: Connection
    integration: Integration | None
    outcome: RecheckOutcome
    reason: str | None = None
    missing_permission: str | None = None

    @property
    def working(self) -> bool | None:
        """Return True if the provider accepted the credentials. Return None if there is no check request."""
        return None if self.outcome == "not_supported" else self.outcome == "accepted"


async def recheck(installation: Installation, actor: Actor, connection_id: str) -> RecheckResult:
    """Send the integration's check request with the connection's credentials. Store the result.

    If the provider refuses the credentials, refresh the credentials. If the refresh gives new credentials, send the
    check request again. Some providers answer a dead token like a missing permission. So also refresh the credentials
    at the first answer that a permission is missing.

    If a refresh fails, use the result of the check with the stored credentials.

    Raises: NotFound, TargetRefused, ProviderUnavailable, ClientRefused, UnconfirmedCopy or SealBroken.
    """
    async with installation.database.read() as tx:
        connection = await connections.get(tx, actor.organization_id, connection_id)
        integration = await installation.catalogs.get(tx, actor.organization_id, connection.integration_slug)
    auth = integration.auth_of(connection.auth_type) if integration is not None else None
    if integration is None or auth is None or auth.check is None:
        return RecheckResult(connection, integration, "not_supported")
    try:
        checked = await _refresh_and_check(installation, connection)
    except ReauthRequired as error:
        async with installation.database.read() as tx:
            connection = await connections.get(tx, connection.organization_id, connection.id)
        return RecheckResult(connection, integration, "refused", reason=error.detail)
    if checked.refresh_failure is None:
        return await _store_result(installation, actor, checked.credential, checked.failure)
    refusal = checked.failure if isinstance(checked.failure, CredentialsRefused) else None
    state = await record_presumed_refusal(installation, checked.credential, checked.verdict, refusal)
    if state.stored.version != checked.credential.version:  # another process has just stored newer credentials
        return await recheck(installation, actor, connection_id)
    return _result_of_stale(state, checked, checked.refresh_failure)


async def recheck_queued(installation: Installation) -> int:
    """Recheck the connections in the recheck queue. Return the number of connections.

    While a slow recheck runs, start the rechecks that other calls add to the queue. On an unconfirmed copy of the
    database, do nothing.
    """
    if not installation.liveness.is_live:
        return 0
    limit, loop = asyncio.Semaphore(CONCURRENT), asyncio.get_running_loop()
    end, count, errors = loop.time() + _RUN, 0, list[BaseException]()
    running: set[asyncio.Task[None]] = set()

    async def recheck_one(request: RecheckRequest) -> None:
        try:
            async with limit, asyncio.timeout(TIMEOUT):
                await recheck(installation, Actor(request.organization_id, "system"), request.connection_id)
        except (OneRuntimeError, TimeoutError) as error:  # the next call that the provider refuses queues a new recheck
            code = error.code if isinstance(error, OneRuntimeError) else "upstream_timeout"
            log.info("recheck_failed", connection_id=request.connection_id, code=code)
        finally:
            installation.rechecks.finish(request)

    try:
        while True:
            requests = installation.rechecks.drain() if loop.time() < end else []
            running |= {asyncio.create_task(recheck_one(request)) for request in requests}
            count += len(requests)
            if not running:
                break
            finished, running = await asyncio.wait(running, timeout=_POLL, return_when=asyncio.FIRST_COMPLETED)
            errors += [error for task in finished if (error := task.exception()) is not None]
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    if errors:
        raise errors[0]
    return count


@dataclass(frozen=True, slots=True)
class _Checked:
    """The result of a check request with `credential`.

    `failure`: the failure of the check, if any. `refresh_failure`: the reason why One Runtime could not refresh the
    credential. `accepted`: True if the provider accepted the credential.
    """

    credential: UsableCredential
    failure: CheckFailed | None
    refresh_failure: ProviderUnavailable | ClientRefused | None
    accepted: bool

    @property
    def verdict(self) -> Verdict:
        """Return the API's response to the access token."""
        if self.accepted:
            return "accepted"
        return "refused" if isinstance(self.failure, CredentialsRefused) else "unclear"


async def _refresh_and_check(installation: Installation, connection: Connection) -> _Checked:
    """Refresh the credentials if necessary, and send the check request.

    Raises:
        NotFound, ReauthRequired, SealBroken: see `fresh_credentials`.
        ProviderUnavailable: the check shows an outage.
    """
    key = connection.key
    try:
        credential = await fresh_credentials(installation, key, retry_refused=True)
    except (ProviderUnavailable, ClientRefused) as error:
        return await _check_stale(installation, await held_credentials(installation, key), error)
    failure = await _check(installation, credential)
    if failure is None or (isinstance(failure, PermissionMissing) and connection.lacks_permission):
        return _Checked(credential, failure, None, accepted=failure is None)
    try:
        refreshed = await fresh_credentials(installation, key, rejected=credential.version, retry_refused=True)
    except (ProviderUnavailable, ClientRefused) as error:
        return _Checked(credential, failure, error, accepted=False)
    if refreshed.version != credential.version:
        credential, failure = refreshed, await _check(installation, refreshed)
    return _Checked(credential, failure, None, accepted=failure is None)


async def _check_stale(
    installation: Installation, credential: UsableCredential, refresh_failure: ProviderUnavailable | ClientRefused
) -> _Checked:
    """Send the check request with credentials that One Runtime could not refresh. Raises: ProviderUnavailable."""
    try:
        failure = await _check(installation, credential)
    except InconclusiveCheck:
        return _Checked(credential, None, refresh_failure, accepted=False)
    return _Checked(credential, failure, refresh_failure, accepted=failure is None)


async def _check(installation: Installation, credential: UsableCredential) -> CheckFailed | None:
    """Return the failure of the check, or None if the provider accepted the credentials."""
    if credential.integration is None or credential.auth is None:  # the integration was just deleted
        return None
    try:
        egress = installation.egress.for_tenant(credential.connection.organization_id)
        with reasons_for_developers():
            await check_credentials(egress, credential.integration, credential.auth, credential.values)
    except CheckFailed as failure:
        return failure
    return None


def _result_of_stale(
    state: CredentialState, checked: _Checked, refresh_failure: ProviderUnavailable | ClientRefused
) -> RecheckResult:
    """Return the result for credentials that One Runtime could not refresh.

    Raise `refresh_failure` if the result of the check is unclear too.
    """
    failure, connection, integration = checked.failure, state.connection, state.integration
    if connection.status == "needs_reauth":
        message = (connection.error or {}).get("message", refresh_failure.detail)
        reason = failure.summary if isinstance(failure, CredentialsRefused) else message
        return RecheckResult(connection, integration, "refused", reason)
    if checked.accepted:
        return RecheckResult(connection, integration, "accepted")
    if isinstance(failure, PermissionMissing):
        return RecheckResult(connection, integration, "permission_missing", failure.summary, failure.permission)
    if failure is not None and state.stored.refused_since is not None:  # possibly refused, but not repeatedly yet
        return RecheckResult(connection, integration, "refused", failure.summary)
    raise refresh_failure


async def _store_result(
    installation: Installation, actor: Actor, checked: UsableCredential, failure: CheckFailed | None
) -> RecheckResult:
    """Update the connection's status. If the stored credentials were replaced after the check, change nothing."""
    now, key, integration = installation.clock(), checked.connection.key, checked.integration
    async with installation.database.write() as tx:
        connection, stored = await connections.get_with_credential(tx, installation.vault, key, lock=True)
        if stored.version == checked.version:
            if failure is None:
                connection = await connections.mark_active(tx, actor, connection, now)
            elif isinstance(failure, PermissionMissing):
                connection = await connections.note_missing_permission(tx, actor, connection, failure.summary, now)
            else:
                connection = await connections.mark_needs_reauth(
                    tx, actor, connection, failure.code, failure.summary, now
                )
    if failure is None:
        return RecheckResult(connection, integration, "accepted")
    if isinstance(failure, PermissionMissing):
        return RecheckResult(connection, integration, "permission_missing", failure.summary, failure.permission)
    return RecheckResult(connection, integration, "refused", failure.summary)
