"""List the credentials that are due for a refresh, and end the pauses of failed refreshes.

The statements return no secrets, so a list of thousands of rows decrypts nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

from sqlalchemy import bindparam, case, exists, select, tuple_, update

from one_runtime.connections.credentials import ConnectionKey
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import connections, credentials, oauth_clients


@dataclass(frozen=True, slots=True)
class DueCredential:
    """Credentials that are due for a refresh.

    - `key_id`: the key that encrypts the credentials.
    - `failures`: consecutive failed refreshes.
    - `state`: `paused` if the refresh waits for a retry after a failure, `leased` if a process refreshes the tokens,
      otherwise `ready`.
    """

    organization_id: str
    connection_id: str
    integration_slug: str
    auth_type: str
    params: dict[str, str]
    key_id: str
    failures: int
    refresh_due_at: datetime
    state: Literal["ready", "leased", "paused"]

    @property
    def key(self) -> ConnectionKey:
        """Return the ids of the connection."""
        return ConnectionKey(self.organization_id, self.connection_id)

    @property
    def position(self) -> "Position":
        """Return the position of this row in the lists."""
        return Position(self.refresh_due_at, self.connection_id)


class Position(NamedTuple):
    """The position of a row in a list. Rows with the earliest due time are first."""

    due_at: datetime
    connection_id: str = "00000000-0000-0000-0000-000000000000"


START: Final = Position(datetime.min.replace(tzinfo=UTC))
"""A position before the first row."""

_SHORT_PAUSES: Final = 3
"""`list_paused` omits connections with at most this number of failures, because their pauses are short.

After a few failures, the provider can also still be working on the last request. An immediate retry could send the
refresh token twice.
"""

_ORDER = (credentials.c.refresh_due_at, credentials.c.connection_id)
_AFTER = tuple_(
    bindparam("due_at", type_=credentials.c.refresh_due_at.type),
    bindparam("connection_id", type_=credentials.c.connection_id.type),
)
_CLIENT_CHANGED = (credentials.c.failures > 0) & exists().where(
    oauth_clients.c.id == credentials.c.oauth_client_id,
    oauth_clients.c.version != credentials.c.refused_client_version,
)
_LEASED = credentials.c.leased_until > bindparam("now")
_PAUSED = (credentials.c.retry_at > bindparam("now")) & ~_CLIENT_CHANGED
# An outage is the only reason of these pauses. The pauses after a refused OAuth client, and after a possible refusal of
# the grant (`refusals`), do not end early.
_PAUSED_BY_OUTAGE = (
    credentials.c.retry_at > bindparam("now"),
    credentials.c.retry_at <= bindparam("until"),
    credentials.c.failures > _SHORT_PAUSES,
    credentials.c.refused_client_version.is_(None),
    credentials.c.refusals.is_(None),
)

_DUE = (
    select(
        credentials.c.organization_id,
        credentials.c.connection_id,
        connections.c.integration_slug,
        connections.c.auth_type,
        connections.c.params,
        credentials.c.key_id,
        credentials.c.failures,
        credentials.c.refresh_due_at,
        case((_LEASED, "leased"), (_PAUSED, "paused"), else_="ready").label("state"),
    )
    .join_from(credentials, connections, connections.c.id == credentials.c.connection_id)
    .where(credentials.c.refresh_due_at <= bindparam("now"), tuple_(*_ORDER) > _AFTER)
    .order_by(*_ORDER)
    .limit(bindparam("limit"))
)
_DUE_AND_PAUSED_BY_OUTAGE = _DUE.where(*_PAUSED_BY_OUTAGE, connections.c.status == "active")
_END_PAUSE = (
    update(credentials)
    .where(credentials.c.connection_id == bindparam("ended"), *_PAUSED_BY_OUTAGE)
    .values(retry_at=None)
)


async def list_due(tx: Transaction, now: datetime, limit: int, after: Position = START) -> list[DueCredential]:
    """Return a page of the credentials whose due time has passed, also those that are leased or paused.

    The credentials with the earliest due time are first. This is the order of an index, so the statement reads only the
    rows of its page, and its time does not depend on the number of due rows. If the provider refused the OAuth client,
    an update of the client ends the pause.
    """
    return await tx.all(_DUE, DueCredential, now=now, limit=limit, **after._asdict())


async def list_paused(
    tx: Transaction, now: datetime, longest: timedelta, limit: int, after: Position = START
) -> list[DueCredential]:
    """Return at most `limit` due credentials that a failure of the provider has paused, after the position `after`.

    Skip pauses that last longer than `longest` from now, because the provider requested these pauses.
    """
    return await tx.all(
        _DUE_AND_PAUSED_BY_OUTAGE, DueCredential, now=now, until=now + longest, limit=limit, **after._asdict()
    )


async def end_pauses(tx: Transaction, now: datetime, longest: timedelta, ended: Sequence[DueCredential]) -> None:
    """End the pauses that `list_paused` has returned. The number of failures stays the same."""
    await tx.execute_many(
        _END_PAUSE, [{"ended": row.connection_id, "now": now, "until": now + longest} for row in ended]
    )
