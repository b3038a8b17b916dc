"""Consents: trips to a provider's own consent page, from the click to the callback (P5, P6).

A ticket, which our own frame hands to the window that it opened, is swapped once for a state and a browser's secret.
The state comes back in the callback, once; it is good for nothing without the cookie of the browser that left with it.
Only hashes of all three are kept (P2); what the token request needs is sealed, and wiped with the end.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import bindparam, delete, func, insert, select, update

from one_runtime.connecting.sessions import ConnectSession
from one_runtime.db.engine import Database, Row, Transaction
from one_runtime.db.ids import is_id, new_id
from one_runtime.db.schema import consents
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.encryption import key_ring, secret_tokens
from one_runtime.encryption.secret_tokens import Token
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed, Vault
from one_runtime.errors import NotFound
from one_runtime.jobs.queue import batched_delete, delete_in_batches, lock_due

TABLE: Final = "consents"
TICKET_LIFE: Final = timedelta(minutes=2)
"""From the click until the window leaves for the provider."""
STATE_LIFE: Final = timedelta(minutes=10)
"""From there to the callback."""
KEPT: Final = timedelta(hours=1)
"""How long the end of one can be asked for."""

_VERSION: Final = 1  # of the secret that a row begins with; it is wiped before there is another
_PAUSED: Final = 2

Status: TypeAlias = Literal["prepared", "left", "arrived", "choosing", "connected", "failed"]


@dataclass(frozen=True, slots=True)
class AttemptDetails:
    """What is to be connected. `scopes`: asked for, None for the entry's default; `audience`: as of the credentials."""

    params: Mapping[str, str]
    scopes: tuple[str, ...] | None = None
    name: str | None = None
    replace_account: bool = False
    audience: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptSecret:
    """What the token request needs: the PKCE verifier (RFC 7636), and the customer's own client with its fields."""

    verifier: str | None = field(default=None, repr=False)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class AuthorizationAttempt:
    """One trip."""

    id: str
    session_id: str
    organization_id: str
    integration_slug: str
    oauth_client_id: str | None
    status: Status
    issuer: str | None
    details: AttemptDetails
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewAuthorizationAttempt:
    """A trip to be."""

    session: ConnectSession
    integration_slug: str
    oauth_client_id: str | None
    issuer: str | None
    details: AttemptDetails
    secret: AttemptSecret


@dataclass(frozen=True, slots=True)
class StartedAttempt:
    """What a browser leaves with: the state for the provider, the secret for a cookie."""

    consent: AuthorizationAttempt
    secret: AttemptSecret
    state: Token
    browser: Token


_INSERT = insert(consents)
_OPEN = (consents.c.status == "prepared") | (consents.c.status == "left")
_SUPERSEDE = delete(consents).where(consents.c.session_id == bindparam("session"), _OPEN)
_BY_TICKET = select(consents).where(consents.c.ticket_hash == bindparam("hash"))
_BY_ID = select(consents).where(consents.c.id == bindparam("consent"))
_BY_STATE = select(consents).where(consents.c.state_hash == bindparam("hash"))
_OF_SESSION = select(consents).where(
    consents.c.id == bindparam("consent"), consents.c.session_id == bindparam("session")
)
_CHANGE = update(consents).where(consents.c.id == bindparam("consent"))
_LEAVE = _CHANGE.where(consents.c.status == "prepared", consents.c.expires_at > bindparam("now")).values(
    status="left",
    ticket_hash=None,
    state_hash=bindparam("new_state"),
    browser_hash=bindparam("new_browser"),
    expires_at=bindparam("until"),
)
_WIPED: dict[str, Any] = {
    "ticket_hash": None, "state_hash": None, "browser_hash": None, "sealed": None, "key_id": None,
}  # fmt: skip
_ARRIVE = _CHANGE.where(consents.c.status == "left", consents.c.expires_at > bindparam("now")).values(
    status="arrived", **_WIPED
)
_PAUSE = _CHANGE.where(consents.c.status == "arrived").values(
    status="choosing",
    browser_hash=bindparam("new_browser"),
    sealed=bindparam("new_sealed"),
    key_id=bindparam("new_key"),
    version=_PAUSED,
    expires_at=bindparam("until"),
)
_RESUME = _CHANGE.where(consents.c.status == "choosing", consents.c.expires_at > bindparam("now")).values(
    status="arrived", **_WIPED
)
_ABANDONED = lock_due(consents, consents.c.status == "choosing", due=consents.c.expires_at)
_CHOOSING_OF = (
    select(consents)
    .join(sessions, sessions.c.id == consents.c.session_id)
    .where(
        sessions.c.organization_id == bindparam("organization"),
        sessions.c.end_user_id == bindparam("end_user"),
        consents.c.status == "choosing",
    )
)
_ABANDON = _CHANGE.where(consents.c.status == "choosing").values(status="failed", **_WIPED)
_END = _CHANGE.where(consents.c.status == "arrived").values(status=bindparam("ended"))
_PURGE = batched_delete(consents, consents.c.expires_at <= bindparam("before"), consents.c.status != "choosing")
_OF = select(func.count().label("trips")).where(consents.c.session_id == bindparam("session"))
_EXPIRE = update(consents).where(consents.c.expires_at <= bindparam("now"), _OPEN).values(status="failed", **_WIPED)


async def create(
    tx: Transaction, vault: Vault, new: NewAuthorizationAttempt, now: datetime
) -> tuple[AuthorizationAttempt, Token]:
    """Begin a trip, and make its ticket, which is not kept. An unfinished one of the same session ends."""
    session, ticket = new.session, secret_tokens.make(secret_tokens.TICKET)
    consent = AuthorizationAttempt(
        id=new_id(),
        session_id=session.id,
        organization_id=session.organization_id,
        integration_slug=new.integration_slug,
        oauth_client_id=new.oauth_client_id,
        status="prepared",
        issuer=new.issuer,
        details=new.details,
        expires_at=now + TICKET_LIFE,
    )
    await tx.execute(_SUPERSEDE, session=session.id)
    place = SealContext(TABLE, consent.id, _VERSION)
    sealed = await key_ring.seal(tx, vault, session.organization_id, json.dumps(asdict(new.secret)).encode(), place)
    values = asdict(consent) | {"sealed": sealed.data, "key_id": sealed.key_id, "version": _VERSION, "created_at": now}
    await tx.execute(_INSERT, ticket_hash=ticket.hash, state_hash=None, browser_hash=None, **values)
    return consent, ticket


async def find_by_ticket(tx: Transaction, ticket: str) -> AuthorizationAttempt | None:
    """The trip that a ticket is for, or None."""
    row = await _find(tx, _BY_TICKET, secret_tokens.TICKET, ticket, "ticket_hash")
    return _consent(row) if row else None


async def start(tx: Transaction, vault: Vault, ticket: str, now: datetime) -> StartedAttempt | None:
    """Swap a ticket for what the browser leaves with, once; None where it is used, unknown or too old."""
    row = await _find(tx, _BY_TICKET, secret_tokens.TICKET, ticket, "ticket_hash")
    if row is None:
        return None
    state, browser = secret_tokens.make(secret_tokens.STATE), secret_tokens.make(secret_tokens.BROWSER)
    hashes = {"new_state": state.hash, "new_browser": browser.hash}
    if not await tx.execute(_LEAVE, consent=row.id, now=now, until=now + STATE_LIFE, **hashes):
        return None
    return StartedAttempt(_consent(row), _secret(vault, row), state, browser)


async def find_by_state(tx: Transaction, state: str) -> AuthorizationAttempt | None:
    """The trip that a state comes back from, or None. It proves nothing yet about who brings it."""
    row = await _find(tx, _BY_STATE, secret_tokens.STATE, state, "state_hash")
    return _consent(row) if row else None


async def consume(
    tx: Transaction, vault: Vault, state: str, browser: str, now: datetime
) -> tuple[AuthorizationAttempt, AttemptSecret] | None:
    """Take a state that comes back with the secret of the browser that left with it, once: it is wiped. None where it
    is used, unknown, too old, or another browser's, which leaves it to whose it is."""
    row = await _find(tx, _BY_STATE, secret_tokens.STATE, state, "state_hash")
    if row is None or row.browser_hash is None:
        return None
    if not secret_tokens.recognize(secret_tokens.BROWSER, browser) or not secret_tokens.same(
        row.browser_hash, secret_tokens.digest(browser)
    ):
        return None
    secret = _secret(vault, row)
    if not await tx.execute(_ARRIVE, consent=row.id, now=now):
        return None
    return _consent(row), secret


async def count(tx: Transaction, session_id: str) -> int:
    """Trips of a session that came back, whatever came of them."""
    row = await tx.one(_OF, session=session_id)
    return int(row.trips) if row is not None else 0


async def pause(
    tx: Transaction, vault: Vault, consent: AuthorizationAttempt, browser: str, granted: bytes, now: datetime
) -> None:
    """Keep what was granted, sealed, until the same browser says which account it is for. Raises: NotFound."""
    place = SealContext(TABLE, consent.id, _PAUSED)
    sealed = await key_ring.seal(tx, vault, consent.organization_id, granted, place)
    paused = await tx.execute(
        _PAUSE,
        consent=consent.id,
        new_browser=secret_tokens.digest(browser),
        new_sealed=sealed.data,
        new_key=sealed.key_id,
        until=now + STATE_LIFE,
    )
    if not paused:
        raise NotFound("The consent has gone meanwhile. Start again.")


async def resume(
    tx: Transaction, vault: Vault, consent_id: str, browser: str, now: datetime
) -> tuple[AuthorizationAttempt, bytes] | None:
    """Take what was kept by `pause`, once: it is wiped. None as for `arrive`."""
    row = await tx.one(_BY_ID, consent=consent_id) if is_id(consent_id) else None
    if row is None or row.browser_hash is None or row.status != "choosing":
        return None
    if not secret_tokens.recognize(secret_tokens.BROWSER, browser) or not secret_tokens.same(
        row.browser_hash, secret_tokens.digest(browser)
    ):
        return None
    granted = vault.open(row.organization_id, Sealed(row.key_id, row.sealed), SealContext(TABLE, row.id, row.version))
    if not await tx.execute(_RESUME, consent=row.id, now=now):
        return None
    return _consent(row), granted


async def abandon(tx: Transaction, vault: Vault, now: datetime, limit: int) -> list[tuple[AuthorizationAttempt, bytes]]:
    """Take what was kept by `pause` and nobody came back for in time: it is wiped."""
    return await _abandon(tx, vault, await tx.all(_ABANDONED, now=now, limit=limit))


async def abandon_of(
    tx: Transaction, vault: Vault, organization_id: str, end_user_id: str
) -> list[tuple[AuthorizationAttempt, bytes]]:
    """The same of one end user, whether it is time or not."""
    return await _abandon(tx, vault, await tx.all(_CHOOSING_OF, organization=organization_id, end_user=end_user_id))


async def _abandon(tx: Transaction, vault: Vault, rows: list[Row]) -> list[tuple[AuthorizationAttempt, bytes]]:
    taken = []
    for row in rows:
        consent = _consent(row)
        try:
            granted = vault.open(
                row.organization_id, Sealed(row.key_id, row.sealed), SealContext(TABLE, row.id, row.version)
            )
        except KeyNotInRing:  # another server may have the key
            continue
        except SealBroken:
            granted = b""
        if await tx.execute(_ABANDON, consent=row.id) and granted:
            taken.append((consent, granted))
    return taken


async def end(tx: Transaction, consent_id: str, status: Literal["connected", "failed"]) -> None:
    """Say how a trip ended."""
    await tx.execute(_END, consent=consent_id, ended=status)


async def find(tx: Transaction, session_id: str, consent_id: str) -> AuthorizationAttempt | None:
    """A trip of this session, or None."""
    row = await tx.one(_OF_SESSION, session=session_id, consent=consent_id) if is_id(consent_id) else None
    return _consent(row) if row else None


async def expire(tx: Transaction, now: datetime) -> int:
    """End attempts without a callback in time, and delete their secrets; return their number."""
    return await tx.execute(_EXPIRE, now=now)


async def purge(database: Database, now: datetime) -> int:
    """Delete attempts that ended `KEPT` ago; return their number."""
    return await delete_in_batches(database, _PURGE, before=now - KEPT)


async def _find(tx: Transaction, statement: Any, kind: str, token: str, column: str) -> Row | None:
    if not secret_tokens.recognize(kind, token):
        return None
    digest = secret_tokens.digest(token)
    row = await tx.one(statement, hash=digest)
    return row if row is not None and secret_tokens.same(getattr(row, column), digest) else None


def _consent(row: Row) -> AuthorizationAttempt:
    details = dict(row.details)
    scopes = details.pop("scopes")
    return AuthorizationAttempt(
        id=row.id,
        session_id=row.session_id,
        organization_id=row.organization_id,
        integration_slug=row.integration_slug,
        oauth_client_id=row.oauth_client_id,
        status=row.status,
        issuer=row.issuer,
        details=AttemptDetails(scopes=tuple(scopes) if scopes is not None else None, **details),
        expires_at=row.expires_at,
    )


def _secret(vault: Vault, row: Row) -> AttemptSecret:
    place = SealContext(TABLE, row.id, row.version)
    return AttemptSecret(**json.loads(vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place)))
