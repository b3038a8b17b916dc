"""Decide if One Runtime can use stored credentials, has to refresh them, or needs the end user to connect again.

`decide` is a pure function of a credential state, the time and the caller's request. `refresh.py` executes the
decision.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from one_runtime.auth_types import RefreshGrant
from one_runtime.tokens.state import CredentialState

RETRY_CONFIGURATION: Final = timedelta(minutes=10)
"""Time to the next attempt after a failure that only the operator or the organization can repair."""

Schedule: TypeAlias = datetime | Literal["never"] | None
"""New due time of a row that the worker cannot refresh now. None leaves the row's due time unchanged."""


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """Requirements of a caller.

    `rejected`: the version of the credentials that the provider refused; the caller needs a newer version.
    `retry_refused`: send a refused grant to the provider again, because a person requested this.
    """

    rejected: int | None = None
    retry_refused: bool = False


@dataclass(frozen=True, slots=True)
class Fresh:
    """The credentials are valid and not due for a refresh."""

    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class UseUntil:
    """The credentials are due for a refresh, but cannot be refreshed before `until`. The credentials are still valid.

    `until`: None if the credentials do not expire.
    """

    until: datetime | None
    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """The credentials are not valid, and One Runtime must not ask the provider before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Refresh:
    """The credentials need a refresh with `grant`.

    `usable`: callers may use the present credentials while another process refreshes them.
    """

    grant: RefreshGrant
    usable: bool


@dataclass(frozen=True, slots=True)
class NeedsReauth:
    """The end user has to connect again.

    `refused`: the provider has refused the grant. `expired`: the tokens have expired, and there is no refresh token.
    `audience_changed`: the organization's integration now sends credentials to other hosts (P7).
    """

    reason: Literal["refused", "expired", "audience_changed"]


Decision: TypeAlias = Fresh | UseUntil | Backoff | Refresh | NeedsReauth


def decide(state: CredentialState, now: datetime, request: CredentialRequest) -> Decision:
    """Return what to do with the credentials.

    The decision ignores leases: only the conditional update of the row shows if another process holds a lease.
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
    if retry_at is not None and now < retry_at:
        return UseUntil(retry_at) if usable else Backoff(retry_at)
    return Refresh(grant, usable)


def _schedule_of_fresh(state: CredentialState, now: datetime) -> Schedule:
    """Return the schedule of a due row whose credentials have no token method.

    Such a row has one of two causes. Either an older version of One Runtime replaced the tokens by a key, or the
    catalog no longer contains the integration.
    """
    if state.stored.token_metadata.refresh_due_at is None or state.token_method is not None:
        return None
    return now + RETRY_CONFIGURATION if state.auth is None else "never"


def _schedule_of_expiry(state: CredentialState, now: datetime) -> Schedule:
    """Return the schedule of a due row whose tokens cannot be refreshed: the time at which the tokens expire."""
    due_at, retry_at = state.stored.token_metadata.refresh_due_at, state.stored.retry_at
    if due_at is None or due_at > now or (retry_at is not None and retry_at > now):
        return None
    return state.connection.expires_at or now + RETRY_CONFIGURATION
