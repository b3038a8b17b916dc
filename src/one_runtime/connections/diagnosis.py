"""Say in words why a connection does not work, and what to do. This module reads no data."""

import re
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from one_runtime.catalog.disabled_integrations import DisabledIntegration, IntegrationDisabled
from one_runtime.connections.connections import Connection
from one_runtime.connections.credentials import CredentialsRefused, PermissionMissing, Refusals
from one_runtime.tenancy.organizations import INSTANCE


class RefreshState(NamedTuple):
    """The columns of a stored credential about its refreshes. They contain no secret.

    The class `StoredCredential` explains the fields. The last two are about the OAuth client that requested the tokens:
    its id at the provider, and the organization that registered it. They are None if the end user entered the client.
    """

    oauth_client_id: str | None
    refresh_due_at: datetime | None
    retry_at: datetime | None
    failures: int
    refused_client_version: int | None
    refused_since: datetime | None
    refusals: Refusals | None
    client_id: str | None
    client_owner: str | None

    @property
    def next_refresh_at(self) -> datetime | None:
        """Return the time of the next refresh by the worker, or None if the worker does not refresh the tokens."""
        if self.refresh_due_at is None or self.retry_at is None:
            return self.refresh_due_at
        return max(self.refresh_due_at, self.retry_at)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The reason why a connection does not work. For a connection that works, the fields are None.

    `code`: a stable code, see docs/events.md. `reason`: the reason in words. `since`: the time of the first failure, or
    None if this time is not known. `next_retry_at`: the time at which One Runtime tries again by itself, or None.
    `advice`: what to do.
    """

    code: str | None
    reason: str | None
    since: datetime | None
    next_retry_at: datetime | None
    advice: str | None


PROVIDER_TROUBLE: Final = "provider_trouble"
REFRESH_REFUSED: Final = "request_refused"

_NAME: Final = re.compile(r"\{(slug|id|client)\}")
_CONNECT_AGAIN: Final = "The end user has to connect again."
_ADVICE: Final = {
    CredentialsRefused.code: "The end user has to connect again with a credential that the provider accepts.",
    PermissionMissing.code: "The end user adds the permission at the provider, or connects again with more scopes.",
    "client_refused": (
        "Register the OAuth client again with the client's present secret: "
        "`one-runtime oauth-clients set {slug} --client-id {client}`."
    ),
    "target_refused": "Allow the address with ONE_RUNTIME_EGRESS_ALLOW, or correct the integration's token endpoint.",
    PROVIDER_TROUBLE: "Wait, because One Runtime tries again. `POST /v1/connections/{id}/refresh` tries at once.",
    REFRESH_REFUSED: (
        "Wait, because One Runtime tries again. If the refusals last a day, the end user has to connect again."
    ),
}


def is_failing(connection: Connection, refresh: RefreshState) -> bool:
    """Return True if an active connection cannot refresh its tokens at the moment."""
    return connection.status == "active" and refresh.failures > 0


def diagnose(
    connection: Connection, refresh: RefreshState, now: datetime, disabled: DisabledIntegration | None = None
) -> Diagnosis:
    """Return the reason why a connection does not work, and what to do.

    `disabled`: the integration of the connection, if the operator has disabled the integration. This reason is first,
    because the end user cannot connect again meanwhile.
    """
    if disabled is not None:
        return _diagnose_disabled(disabled)
    code, reason, since = _cause(connection, refresh, now)
    if code is None:
        return Diagnosis(None, None, None, None, None)
    advice = _CONNECT_AGAIN if connection.status == "needs_reauth" else _ADVICE.get(code)
    if connection.status == "needs_reauth" and code == CredentialsRefused.code:
        advice = _ADVICE[code]
    if advice is not None:
        values = {"slug": connection.integration_slug, "id": connection.id, "client": _client_options(refresh)}
        advice = _NAME.sub(lambda match: values[match[1]], advice)
    return Diagnosis(code, reason, since, _next_retry_at(connection, refresh), advice)


def _client_options(refresh: RefreshState) -> str:
    """Return the client id, and the option that names the owner of the client unless the operator owns it."""
    client_id = shlex.quote(refresh.client_id or "ID")
    is_operators = refresh.client_owner in {None, INSTANCE}
    return client_id if is_operators else f"{client_id} --organization {refresh.client_owner}"


def _diagnose_disabled(disabled: DisabledIntegration) -> Diagnosis:
    quoted = f" Reason: {disabled.reason}" if disabled.reason else ""
    reason = f"The operator {disabled.disabled_by} disabled the integration.{quoted}"
    advice = f"`one-runtime integrations enable {disabled.integration_slug}` ends this."
    return Diagnosis(IntegrationDisabled.code, reason, disabled.disabled_at, None, advice)


def _cause(
    connection: Connection, refresh: RefreshState, now: datetime
) -> tuple[str | None, str | None, datetime | None]:
    if connection.error is not None:
        since = datetime.fromisoformat(connection.error["at"])
        return connection.error["code"], connection.error["message"], since
    if not is_failing(connection, refresh):
        return None, None, None
    times = f"{refresh.failures} time{'s' if refresh.failures > 1 else ''} in a row"
    if refresh.refusals is not None:
        return (
            REFRESH_REFUSED,
            f"The provider refused the refresh {times}, without a clear reason.",
            refresh.refused_since,
        )
    # The first failed refresh of the worker began at its due time. A refresh by a request can fail before this time.
    due_at = refresh.refresh_due_at
    is_known = due_at is not None and due_at <= now
    return PROVIDER_TROUBLE, f"The refresh of the tokens failed {times}.", due_at if is_known else None


def _next_retry_at(connection: Connection, refresh: RefreshState) -> datetime | None:
    return refresh.next_refresh_at if refresh.failures or connection.status == "needs_reauth" else None
