"""The ring's fingerprint in the database: a wrong or incomplete key ring does not start (P3)."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert  # its ON CONFLICT compiles for SQLite too

from one_runtime.db.engine import Database
from one_runtime.db.schema import key_ring
from one_runtime.errors import ConfigurationError
from one_runtime.vault import Vault

_ALL = select(key_ring.c.key_id)
_ADD = insert(key_ring).values(key_id=bindparam("key_id"), created_at=bindparam("created_at")).on_conflict_do_nothing()


async def register(database: Database, vault: Vault, now: datetime) -> None:
    """Note every key of the ring, after making sure that the ring holds every key noted before.

    Raises: ConfigurationError.
    """
    async with database.write() as tx:
        noted = [row.key_id for row in await tx.all(_ALL)]
        missing = [key for key in noted if key not in vault.key_ids]
        if missing:
            raise ConfigurationError(
                f"The key ring is not the one this database was sealed with: {', '.join(missing)} is missing. "
                "Put that key back into ONE_RUNTIME_ENCRYPTION_KEYS; new keys may stand beside it."
            )
        for key in vault.key_ids:
            await tx.execute(_ADD, key_id=key, created_at=now)
