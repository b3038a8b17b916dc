"""Connections that the mode `redirect` made and the organization has not redeemed yet: sealed, and wiped in time (P6).

They count for nothing: no list, no proxy and no agent knows of them.
"""

import json
from datetime import datetime
from typing import Final

from pydantic import TypeAdapter
from sqlalchemy import bindparam, delete, insert, select

from one_runtime.connecting.sessions import ConnectSession
from one_runtime.connections.connections import NewConnection
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import hosted_connection_sessions as sessions
from one_runtime.db.schema import unredeemed_connections as unredeemed
from one_runtime.encryption import key_ring
from one_runtime.encryption.vault import SealContext, Sealed, Vault

TABLE: Final = "unredeemed_connections"
_VERSION: Final = 1  # a row is written once

_NEW: Final = TypeAdapter(NewConnection)

_INSERT = insert(unredeemed)
_ONE = select(unredeemed).where(unredeemed.c.session_id == bindparam("session"))
_DELETE = delete(unredeemed).where(unredeemed.c.session_id == bindparam("session"))
_OF = (
    select(unredeemed.c.session_id)
    .join(sessions, sessions.c.id == unredeemed.c.session_id)
    .where(
        sessions.c.organization_id == bindparam("organization"),
        sessions.c.end_user_id == bindparam("end_user"),
    )
)
_DUE = (
    select(unredeemed.c.session_id, unredeemed.c.organization_id)
    .where(unredeemed.c.due_at <= bindparam("now"))
    .order_by(unredeemed.c.due_at)
    .limit(bindparam("limit"))
)


async def store(tx: Transaction, vault: Vault, session: ConnectSession, new: NewConnection, due_at: datetime) -> None:
    """Keep what was connected until it is redeemed, or due."""
    details = _NEW.dump_python(new, mode="json", exclude={"secrets"})
    plaintext = json.dumps(dict(new.secrets)).encode()
    sealed = await key_ring.seal(tx, vault, session.organization_id, plaintext, _place(session.id))
    await tx.execute(
        _INSERT,
        session_id=session.id,
        organization_id=session.organization_id,
        details=details,
        sealed=sealed.data,
        key_id=sealed.key_id,
        version=_VERSION,
        due_at=due_at,
    )


async def load(tx: Transaction, vault: Vault, session: ConnectSession) -> NewConnection | None:
    """What was kept, or None. Raises: SealBroken."""
    row = await tx.one(_ONE, session=session.id)
    if row is None:
        return None
    opened = vault.open(session.organization_id, Sealed(row.key_id, row.sealed), _place(session.id))
    return _NEW.validate_python({**row.details, "secrets": json.loads(opened)})


async def discard(tx: Transaction, session_id: str) -> bool:
    """Delete what was kept, with its credentials; False where it was gone already."""
    return await tx.execute(_DELETE, session=session_id) > 0


async def list_due(tx: Transaction, now: datetime, limit: int) -> list[tuple[str, str]]:
    """Sessions, with their organizations, whose connection was not redeemed in time; the longest due first."""
    return [(row.session_id, row.organization_id) for row in await tx.all(_DUE, now=now, limit=limit)]


async def list_of(tx: Transaction, organization_id: str, end_user_id: str) -> list[str]:
    """The sessions of an end user whose connection was not redeemed yet."""
    return [row.session_id for row in await tx.all(_OF, organization=organization_id, end_user=end_user_id)]


def _place(session_id: str) -> SealContext:
    return SealContext(TABLE, session_id, _VERSION)
