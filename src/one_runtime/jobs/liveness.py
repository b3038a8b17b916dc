"""Find out if this process serves the live database, or a copy that the operator has not confirmed.

A copy contains the same refresh tokens as the original database. Many providers accept a refresh token only once. If a
server of the copy sends the token first, production loses the connection. So the database stores the location at which
it is live. If the database is at another location, its servers send no refresh token and revoke no token
(docs/decisions/0030-unconfirmed-copies.md).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select, update

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Database, Transaction, has_unknown_cluster
from one_runtime.db.file_location import HELD, MOVED
from one_runtime.db.schema import installation
from one_runtime.errors import ConfigurationError, Conflict
from one_runtime.telemetry import metrics
from one_runtime.telemetry.logger import Logger

_LIVE_AT: Final = (
    update(installation).where(installation.c.live_location == bindparam("location")).values(live_at=bindparam("now"))
)
_CLAIM: Final = (
    update(installation)
    .where(installation.c.live_location.is_(None))
    .values(live_location=bindparam("location"), live_at=bindparam("now"))
)
_CONFIRM: Final = update(installation).values(live_location=bindparam("location"), live_at=bindparam("now"))
_MARK: Final = update(installation).values(live_location=bindparam("mark"))

log = Logger()


class UnconfirmedCopy(Conflict):
    """One Runtime serves a copy of its database, and the operator has not confirmed the copy as the live database.

    One Runtime then sends no refresh token and revokes no token, because the original database has the same tokens.
    """

    code = "unconfirmed_copy"
    documentation = (
        (
            "The server uses an [unconfirmed copy](backup.md#unconfirmed-copies) of the database, and the access token "
            "needs a refresh."
        ),
        "The operator has to confirm the copy. The end user does not have to connect again.",
    )

    def __init__(self) -> None:
        super().__init__(
            "This server uses a copy of the database that is not the live database, so One Runtime refreshes and "
            "revokes no tokens. If production uses this copy now, the operator must run `one-runtime installation "
            "confirm`."
        )


@dataclass(frozen=True, slots=True)
class InstallationRow:
    """The row of the table `installation`. `live_at`: the last time when a server found the database live."""

    id: str
    live_location: str | None
    live_at: datetime | None

    def is_live_at(self, location: str) -> bool:
        """Return True if the database is live at this location. A database without a location is new, and so live."""
        return self.live_location in {None, location}

    @property
    def is_moved(self) -> bool:
        """Return True if `one-runtime copy` has moved the database to PostgreSQL."""
        return self.live_location == MOVED


_ROW: Final = select(*(installation.c[name] for name in InstallationRow.__dataclass_fields__))


class Liveness:
    """The result of the last `check_in` of this process. `is_live`: True if the process serves the live database."""

    def __init__(self) -> None:
        self.is_live = True
        self._has_warned = False

    def require(self) -> None:
        """Raises: UnconfirmedCopy if this process does not serve the live database."""
        if not self.is_live:
            raise UnconfirmedCopy

    async def check_in(self, database: Database, now: datetime) -> None:
        """Find out if the database is live, and record the time. A new database becomes live here.

        Raises: Unavailable.
        """
        async with database.read() as tx:
            row = await read_row(tx)
        location = await database.location(create=row.live_location is None)
        if has_unknown_cluster(location) and not self._has_warned:
            self._has_warned = True
            log.warning("cluster_not_identified", user_needs="GRANT EXECUTE ON FUNCTION pg_control_system()")
        async with database.write() as tx:
            is_live = await tx.execute(_LIVE_AT, location=location, now=now) > 0
            is_live = is_live or await tx.execute(_CLAIM, location=location, now=now) > 0
            # Another process can claim the new database between the two statements.
            is_live = is_live or await tx.execute(_LIVE_AT, location=location, now=now) > 0
        metrics.unconfirmed_copy.set(not is_live)
        if is_live != self.is_live:
            self.is_live = is_live
            if is_live:
                log.info("copy_confirmed")
            else:
                log.error("unconfirmed_copy", live_at=rfc3339(row.live_at) if row.live_at else None)


async def read_row(tx: Transaction) -> InstallationRow:
    """Return the row of the table `installation`."""
    row = await tx.one(_ROW, InstallationRow)
    assert row is not None  # noqa: S101 - a migration inserts the row
    return row


async def confirm(tx: Transaction, location: str, now: datetime) -> None:
    """Make the database at this location the live database. Servers notice the change at their next heartbeat."""
    await tx.execute(_CONFIRM, location=location, now=now)


async def hold(tx: Transaction) -> None:
    """Mark the database as an unconfirmed copy, whatever its location. Servers notice this at their next heartbeat."""
    await tx.execute(_MARK, mark=HELD)


async def mark_moved(tx: Transaction) -> None:
    """Mark a SQLite database whose rows are in PostgreSQL now. Servers do not start on this database any more."""
    await tx.execute(_MARK, mark=MOVED)


async def require_not_moved(tx: Transaction) -> None:
    """Raises: ConfigurationError if `one-runtime copy` has moved the database to PostgreSQL."""
    if (await read_row(tx)).is_moved:
        raise ConfigurationError(
            "`one-runtime copy` has moved this SQLite database to PostgreSQL. Set ONE_RUNTIME_DATABASE_URL to the "
            "PostgreSQL database. docs/deploying.md describes how to return to SQLite."
        )
