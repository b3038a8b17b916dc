"""Decide if One Runtime uses stored credentials, refreshes the credentials, or asks the end user to connect again.

The pure function `decide` takes the state of a credential, the time and the caller's request. The module `refresh`
executes the decision.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from one_runtime.catalog.grants import TokenGrant
from one_runtime.connections.credentials import Refusals, StoredCredential
from one_runtime.tokens.state import CredentialState

RETRY_CONFIGURATION: Final = timedelta(minutes=10)
"""Pause before the next refresh if the operator or the organization must correct the configuration first."""

REPEATED: Final = timedelta(minutes=1)
"""Minimum time between the first and the last of consecutive possible refusals that count as repeated."""

LASTING: Final = timedelta(days=1)
"""Time of consecutive possible refusals after which less evidence is sufficient: see `presumes_refusal`."""

RETRY_PRESUMED: Final = timedelta(hours=1)
"""Pause after a failed refresh of a connection for which `presumes_refusal` returned True."""

RETRIES_OF_PRESUMED: Final = timedelta(days=7)
"""After this time with the status `needs_reauth`, One Runtime stops refreshing at the next failed refresh."""

Verdict: TypeAlias = Literal["accepted", "refused", "unclear", "unchecked"]
"""The API's response to the access token.

`unclear`: the check neither accepted nor refused the token. `unchecked`: there is no check.
"""

Schedule: TypeAlias = datetime | Literal["never"] | None
"""Time at which the worker processes the stored credentials again.

`never`: the worker stops processing the credentials. None: this time does not change.
"""


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """Conditions of a caller that needs credentials.

    - `rejected`: a version of the credentials that the caller does not accept, for example after a 401.
    - `retry_refused`: True to send a grant (such as a refresh token) that the provider has refused before. The pause
      `RETRY_PRESUMED` then does not apply.
    - `ignore_backoff`: True to send the request even during a pause after a failure.
    - `waits`: False for the worker, which does not wait while another process refreshes the credentials.
    """

    rejected: int | None = None
    retry_refused: bool = False
    ignore_backoff: bool = False
    waits: bool = True


@dataclass(frozen=True, slots=True)
class Fresh:
    """The credentials are usable and not due for a refresh."""

    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class UseUntil:
    """The credentials are usable and due for a refresh, but One Runtime cannot refresh the credentials now.

    `until`: the time of the next attempt. If the tokens cannot be refreshed at all, `until` is the expiry of the
    tokens. None means that the tokens do not expire.
    """

    until: datetime | None
    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """The credentials are not usable, and One Runtime must not send a refresh request before `until`.

    `client_refused`: True if the provider refused the OAuth client. The organization or the operator has to correct the
    client.
    """

    until: datetime
    client_refused: bool = False


@dataclass(frozen=True, slots=True)
class Refresh:
    """The credentials need a refresh with `grant`.

    `usable`: True if callers can use the present credentials while another process sends the refresh request.
    """

    grant: TokenGrant
    usable: bool


@dataclass(frozen=True, slots=True)
class NeedsReauth:
    """The end user has to connect again.

    `refused`: the provider has refused the grant. `expired`: the tokens have expired, and no refresh is possible.
    `audience_changed`: the custom integration now sends credentials to other hosts, or in another way (promise P7 of
    docs/security.md).
    """

    reason: Literal["refused", "expired", "audience_changed"]


Decision: TypeAlias = Fresh | UseUntil | Backoff | Refresh | NeedsReauth


def decide(state: CredentialState, now: datetime, request: CredentialRequest) -> Decision:
    """Return the decision about the credentials.

    A lease is the reservation of credentials by one process. This function ignores leases, because
    `credentials.acquire_lease` checks for a lease later.
    """
    if state.audience_changed:
        return NeedsReauth("audience_changed")
    if not state.is_stale(now, request.rejected):
        return Fresh(_schedule_of_fresh(state, now))
    if state.is_refused and not request.retry_refused:
        return NeedsReauth("refused")
    grant, retry_at = state.refresh_grant, state.stored.retry_at
    if grant is None:
        if not state.is_unexpired(now):
            return NeedsReauth("expired")
        return UseUntil(state.connection.expires_at, _schedule_of_expiry(state, now))
    usable = state.is_unexpired(now) and state.stored.version != request.rejected
    ignores_pause = request.ignore_backoff or (request.retry_refused and state.is_presumed)
    if retry_at is not None and state.is_paused(now) and not ignores_pause:
        client_refused = state.stored.refused_client_version is not None
        return UseUntil(retry_at) if usable else Backoff(retry_at, client_refused)
    return Refresh(grant, usable)


def presumes_refusal(state: CredentialState, now: datetime, verdict: Verdict) -> bool:
    """Return True if refusals without an error code are sufficient for the status `needs_reauth`.

    Some providers answer a dead refresh token with a 4xx, without an error code. So repeated 4xx responses count as a
    refusal if the API also refuses an access token that has not expired. If the 4xx responses last a day, an expired or
    a refused access token is sufficient. The caller must not call this function during an outage of the API.
    """
    refusals, unexpired = state.stored.refusals, state.is_unexpired(now)
    if refusals == "lasting":
        return verdict == "refused" or not unexpired
    return refusals == "repeated" and verdict == "refused" and unexpired


def count_refusal(stored: StoredCredential, now: datetime, *, has_other_cause: bool) -> StoredCredential:
    """Add a possible refusal at the time `now` to the consecutive refusals of the stored credentials.

    If one response has another likely cause, such as a firewall, the refusals are unclear for the first day.
    """
    since = stored.refused_since or now
    refusals: Refusals = "repeated" if now - since >= REPEATED else "single"
    if has_other_cause or stored.refusals == "unclear":
        refusals = "unclear"
    if now - since >= LASTING:
        refusals = "lasting"
    return replace(stored, refused_since=since, refusals=refusals)


def _schedule_of_fresh(state: CredentialState, now: datetime) -> Schedule:
    """Return the schedule of fresh credentials.

    If `state.token_auth` is None, the credentials need no refresh. Such credentials can still have a due time, for
    two reasons:

    - An older version of One Runtime replaced the tokens by a key. The worker must stop processing the credentials.
    - The catalog no longer contains the integration. The worker tries again later.
    """
    if state.stored.token_metadata.refresh_due_at is None or state.token_auth is not None:
        return None
    return now + RETRY_CONFIGURATION if state.auth is None else "never"


def _schedule_of_expiry(state: CredentialState, now: datetime) -> Schedule:
    """Return the expiry of tokens that cannot be refreshed. Return None if no refresh is due now.

    For tokens that do not expire, return now plus `RETRY_CONFIGURATION`.
    """
    due_at, retry_at = state.stored.token_metadata.refresh_due_at, state.stored.retry_at
    if due_at is None or due_at > now or (retry_at is not None and retry_at > now):
        return None
    return state.connection.expires_at or now + RETRY_CONFIGURATION
