"""List the credentials that are due for a refresh, and end the pauses of failed refreshes.

The statements return no secrets, so a list of thousands of rows decrypts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Integer, Select, bindparam, case, exists, select, tuple_, update

from one_runtime.connections.credentials import ConnectionKey
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections, credentials, oauth_clients

BLOCKABLE: Final = 64
"""Maximum number of integrations that `list_due` can omit."""


@dataclass(frozen=True, slots=True)
class DueCredential:
    """Credentials that are due for a refresh. `failures`: consecutive failed refreshes."""

    organization_id: str
    connection_id: str
    integration_slug: str
    auth_type: str
    params: dict[str, str]
    failures: int
    refresh_due_at: datetime

    @property
    def key(self) -> ConnectionKey:
        """Return the ids of the connection."""
        return ConnectionKey(self.organization_id, self.connection_id)

    @property
    def position(self) -> "Position":
        """Return the position of this row in `list_due` and `list_paused`."""
        return Position(int(self.failures > 0), self.refresh_due_at, self.connection_id)


@dataclass(frozen=True, slots=True)
class OverdueRefresh:
    """A refresh whose due time has passed.

    `state`: `paused` if the refresh waits for a retry after a failure, otherwise `waiting`.
    """

    connection_id: str
    integration_slug: str
    refresh_due_at: datetime
    state: str


class Position(NamedTuple):
    """The position of a row in a list. Rows without a failure are first."""

    has_failed: int
    due_at: datetime
    connection_id: str


_SHORT_PAUSES: Final = 3
"""Number of failures whose pauses are short. Such a pause ends by itself.

The provider can still be working on the request of the last failure, so an immediate retry could send a refresh token
twice.
"""

START: Final = Position(0, datetime.min.replace(tzinfo=UTC), "00000000-0000-0000-0000-000000000000")
"""A position before the first row."""

_HAS_FAILED = case((credentials.c.failures > 0, 1), else_=0)
_ORDER = (_HAS_FAILED, credentials.c.refresh_due_at, credentials.c.connection_id)
_AFTER = tuple_(
    bindparam("has_failed", type_=Integer),
    bindparam("due_at", type_=credentials.c.refresh_due_at.type),
    bindparam("connection_id", type_=credentials.c.connection_id.type),
)
_CLIENT_CHANGED = (credentials.c.failures > 0) & exists().where(
    oauth_clients.c.id == credentials.c.oauth_client_id,
    oauth_clients.c.version != credentials.c.refused_client_version,
)
_NOT_LEASED = credentials.c.leased_until.is_(None) | (credentials.c.leased_until <= bindparam("now"))
_NOT_PAUSED = credentials.c.retry_at.is_(None) | (credentials.c.retry_at <= bindparam("now")) | _CLIENT_CHANGED
# The failure of a refresh is the only reason of these pauses. A refused OAuth client or a possible refusal of the grant
# (`refusals`) has a pause of another kind.
_PAUSED_BY_OUTAGE = (
    credentials.c.retry_at > bindparam("now"),
    credentials.c.retry_at <= bindparam("until"),
    credentials.c.failures > _SHORT_PAUSES,
    credentials.c.refused_client_version.is_(None),
    credentials.c.refusals.is_(None),
)


def _select() -> Select[tuple[object, ...]]:
    """Select a page of rows with a due refresh."""
    columns = [
        credentials.c.organization_id,
        credentials.c.connection_id,
        connections.c.integration_slug,
        connections.c.auth_type,
        connections.c.params,
        credentials.c.failures,
        credentials.c.refresh_due_at,
    ]
    return (
        select(*columns)
        .join_from(credentials, connections, connections.c.id == credentials.c.connection_id)
        .where(credentials.c.refresh_due_at <= bindparam("now"), tuple_(*_ORDER) > _AFTER)
        .order_by(*_ORDER)
        .limit(bindparam("limit"))
    )


_DUE = _select().where(
    _NOT_LEASED,
    _NOT_PAUSED,
    connections.c.integration_slug.not_in([bindparam(f"blocked_{number}") for number in range(BLOCKABLE)]),
)
_PAUSED = _select().where(*_PAUSED_BY_OUTAGE, connections.c.status == "active")
# The order of an index, so a page reads only its own rows.
_OVERDUE = (
    select(
        credentials.c.connection_id,
        connections.c.integration_slug,
        credentials.c.refresh_due_at,
        case((_NOT_PAUSED, "waiting"), else_="paused").label("state"),
    )
    .join_from(credentials, connections, connections.c.id == credentials.c.connection_id)
    .where(
        credentials.c.refresh_due_at <= bindparam("now"),
        tuple_(credentials.c.refresh_due_at, credentials.c.connection_id)
        > tuple_(
            bindparam("due_at", type_=credentials.c.refresh_due_at.type),
            bindparam("connection_id", type_=credentials.c.connection_id.type),
        ),
    )
    .order_by(credentials.c.refresh_due_at, credentials.c.connection_id)
    .limit(bindparam("limit"))
)
_END_PAUSE = (
    update(credentials)
    .where(credentials.c.connection_id == bindparam("ended"), *_PAUSED_BY_OUTAGE)
    .values(retry_at=None)
)


async def list_due(
    tx: Transaction, now: datetime, limit: int, after: Position = START, blocked: Sequence[str] = ()
) -> list[DueCredential]:
    """Return at most `limit` credentials that are due for a refresh, after a position of the list.

    Credentials without a failure are first, then the credentials with the earliest due time. Skip leased and postponed
    credentials. If the provider refused the OAuth client, an update of the client ends the postponement. `blocked`: the
    slugs of at most `BLOCKABLE` integrations to omit.
    """
    omitted = {f"blocked_{number}": "" for number in range(BLOCKABLE)}
    omitted.update({f"blocked_{number}": slug for number, slug in enumerate(blocked)})
    return await tx.all(_DUE, DueCredential, now=now, limit=limit, **after._asdict(), **omitted)


async def list_paused(
    tx: Transaction, now: datetime, longest: timedelta, limit: int, after: Position = START
) -> list[DueCredential]:
    """Return at most `limit` due credentials that wait after a failure of the provider, after a position of the list.

    Skip pauses that last longer than `longest` from now, because the provider requested these pauses.
    """
    return await tx.all(_PAUSED, DueCredential, now=now, until=now + longest, limit=limit, **after._asdict())


async def end_pauses(tx: Transaction, now: datetime, longest: timedelta, ended: Sequence[DueCredential]) -> None:
    """End the pauses that `list_paused` has returned. The number of failures stays the same."""
    await tx.execute_many(
        _END_PAUSE, [{"ended": row.connection_id, "now": now, "until": now + longest} for row in ended]
    )


async def list_overdue(
    tx: Transaction, now: datetime, limit: int, after: OverdueRefresh | None
) -> list[OverdueRefresh]:
    """Return a page of the refreshes whose due time has passed, the earliest first, also of disabled integrations."""
    due_at, connection_id = (
        (after.refresh_due_at, after.connection_id) if after else (START.due_at, START.connection_id)
    )
    return await tx.all(_OVERDUE, OverdueRefresh, now=now, limit=limit, due_at=due_at, connection_id=connection_id)
