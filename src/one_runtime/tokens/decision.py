"""Decide whether stored credentials may be used, have to be renewed, or need the end user.

`decide` is pure: it reads a credential state, the time and the caller's request. `refresh` acts on the decision.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

from one_runtime.auth_types import Renewal
from one_runtime.tokens.state import CredentialState

RETRY_CONFIGURATION: Final = timedelta(minutes=10)
"""The pause after a failure that only the operator or the organization can repair."""

Schedule: TypeAlias = datetime | Literal["never"] | None
"""Next time at which the worker looks at a due row that it cannot renew. None leaves the row as it is."""


@dataclass(frozen=True, slots=True)
class CredentialRequest:
    """Requirements of a caller. `rejected` is the version that the provider refused: only a newer one helps the caller.

    `retry_refused` asks the provider again although it has refused the grant, because a person wants it.
    """

    rejected: int | None = None
    retry_refused: bool = False


@dataclass(frozen=True, slots=True)
class Fresh:
    """The credentials are valid and not due for renewal."""

    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class UseUntil:
    """The credentials are due and cannot be renewed before `until`, but are still valid. None: they do not expire."""

    until: datetime | None
    reschedule: Schedule = None


@dataclass(frozen=True, slots=True)
class Backoff:
    """No valid credentials, and the provider must not be asked before `until`."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Renew:
    """The credentials have to be renewed with `renewal`. `usable`: they serve while another process renews them."""

    renewal: Renewal
    usable: bool


@dataclass(frozen=True, slots=True)
class NeedsReauth:
    """Only the end user can help, by connecting again.

    `refused`: the provider refused the grant earlier. `expired`: nothing to renew with. `audience_changed`: the
    organization's integration sends credentials to other hosts than the end user gave them for (P7).
    """

    reason: Literal["refused", "expired", "audience_changed"]


Decision: TypeAlias = Fresh | UseUntil | Backoff | Renew | NeedsReauth


def decide(state: CredentialState, now: datetime, request: CredentialRequest) -> Decision:
    """Return what to do with the credentials.

    A lease plays no part: only the conditional update of the row can tell whether another process holds it.
    """
    if state.audience_changed:
        return NeedsReauth("audience_changed")
    if not state.is_stale(now, request.rejected):
        return Fresh(_schedule_of_fresh(state, now))
    if state.is_refused and not request.retry_refused:
        return NeedsReauth("refused")
    renewal, retry_at = state.renewal, state.stored.retry_at
    if renewal is None:
        if not state.is_unexpired(now):
            return NeedsReauth("expired")
        return UseUntil(state.connection.expires_at, _schedule_of_expiry(state, now))
    usable = state.is_unexpired(now) and state.stored.version != request.rejected
    if retry_at is not None and now < retry_at:
        return UseUntil(retry_at) if usable else Backoff(retry_at)
    return Renew(renewal, usable)


def _schedule_of_fresh(state: CredentialState, now: datetime) -> Schedule:
    """A due row without tokens: an older version stored a key over them, or the catalog lost the integration."""
    if state.stored.token_metadata.refresh_due_at is None or state.token_method is not None:
        return None
    return now + RETRY_CONFIGURATION if state.auth is None else "never"


def _schedule_of_expiry(state: CredentialState, now: datetime) -> Schedule:
    """A due row whose catalog entry no longer says how to renew its tokens: look again when they have expired."""
    due_at, retry_at = state.stored.token_metadata.refresh_due_at, state.stored.retry_at
    if due_at is None or due_at > now or (retry_at is not None and retry_at > now):
        return None
    return state.connection.expires_at or now + RETRY_CONFIGURATION
