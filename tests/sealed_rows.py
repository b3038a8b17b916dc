"""Rows with sealed values, in every table that contains sealed values. The tests of the key ring use these rows."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Table, insert, select, update

from one_runtime.clock import Clock, system_clock
from one_runtime.computing import frames
from one_runtime.connecting import redirect_mode, sessions
from one_runtime.connecting.authorization_attempts import AttemptSecret
from one_runtime.connecting.sessions import ConnectSession
from one_runtime.connections import connections
from one_runtime.connections.connections import NewConnection
from one_runtime.connections.credentials import ProviderAccount
from one_runtime.db.database_url import create_database
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import agent_runs, consents, credentials, members, totp_secrets
from one_runtime.db.schema import key_ring as keys
from one_runtime.encryption import key_ring, key_rotation
from one_runtime.encryption.vault import SealContext, Sealed, Vault, key_id, new_key, parse_keys
from one_runtime.tenancy import organizations
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.organizations import INSTANCE
from tests import oauth_rows

FIRST, SECOND, THIRD = new_key(), new_key(), new_key()
ID: Final = {key: key_id(parse_keys(key)[0]) for key in (FIRST, SECOND, THIRD)}

Contents = dict[tuple[str, str], dict[str, Any]]
"""Secrets by table and row."""


def ring(*written: str) -> Vault:
    """Return a vault with these keys in this order."""
    return Vault(parse_keys(",".join(written)))


@asynccontextmanager
async def opened(url: str, pool_size: int = 3, machine_clock: Clock = system_clock) -> AsyncIterator[Database]:
    database = create_database(url, pool_size=pool_size, machine_clock=machine_clock)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def register(database: Database, vault: Vault) -> None:
    """Register the key ring, as a server does at its start."""
    async with database.write() as tx:
        await key_ring.register(tx, vault, system_clock())


async def activate(database: Database, vault: Vault, key: str, *, force: bool = False) -> None:
    """Activate a key. `key`: the key as in the setting."""
    async with database.write() as tx:
        await key_rotation.activate(tx, vault, ID[key], system_clock, force=force)


async def disable(database: Database, key: str) -> None:
    async with database.write() as tx:
        await key_rotation.disable(tx, ID[key], system_clock())


async def active(database: Database) -> str:
    async with database.read() as tx:
        return await key_ring.active_key(tx)


async def organization(database: Database) -> Actor:
    """Create an organization. Return an actor of this organization."""
    async with database.write() as tx:
        return Actor((await organizations.create(tx, "Northwind", system_clock())).id, "system")


def connection(end_user_id: str, secret: str) -> NewConnection:
    """Return the data of a new connection."""
    secrets = {"api_key": secret}
    return NewConnection(end_user_id, "acme", "api_key", None, {}, secrets, ProviderAccount(), {})


async def connect(database: Database, vault: Vault, actor: Actor, end_user_id: str, secret: str) -> str:
    """Connect or reconnect an account. Return the connection's id."""
    new = connection(end_user_id, secret)
    async with database.write() as tx:
        stored, _ = await connections.create_or_replace(tx, vault, oauth_rows.CATALOGS, actor, new, system_clock())
        return stored.id


async def leave_unredeemed(database: Database, vault: Vault, actor: Actor, end_user_id: str, secret: str) -> str:
    """Connect in the mode `redirect`, but do not redeem the code. Return the session's id."""
    now = system_clock()
    session = ConnectSession(
        new_id(), actor.organization_id, end_user_id, "acme", "redirect", None, (), None, False, None,
        (), {}, None, now, now, now + timedelta(hours=1), "unredeemed",
    )  # fmt: skip
    async with database.write() as tx:
        await sessions.insert_session(tx, session)
        new = connection(end_user_id, secret)
        await redirect_mode.store_unredeemed(tx, vault, session, new, now + timedelta(hours=1))
    return session.id


async def leave_oauth(database: Database, vault: Vault, actor: Actor, session_id: str, secret: str) -> Contents:
    """Insert an OAuth client, an authorization attempt of the session, and a pending revocation."""
    place = oauth_rows.Place(database, vault, actor.organization_id)
    client = await oauth_rows.client(place, f"client of {secret}", secret)
    await oauth_rows.consent(place, session_id, client, AttemptSecret(secret))
    tokens = {"access_token": secret}
    letting = await oauth_rows.pending_revocation(place, client, tokens)
    async with database.read() as tx:
        (consent,) = await tx.all(select(consents.c.id).where(consents.c.session_id == session_id))
    return {
        ("oauth_clients", client.id): {"client_secret": secret, "fields": {}, "public_fields": []},
        ("consents", consent.id): {"verifier": secret, "credentials": {}},
        ("revocations", letting): tokens,
    }


async def leave_totp(database: Database, vault: Vault, secret: str) -> Contents:
    """Insert a member with the secret of an authenticator app."""
    member_id, now, plaintext = new_id(), system_clock(), {"secret": secret}
    place = SealContext("totp_secrets", member_id, 1)
    async with database.write() as tx:
        await tx.execute(insert(members), id=member_id, email=f"{member_id}@example.com", name=None, created_at=now)
        sealed = await key_ring.seal(tx, vault, INSTANCE, json.dumps(plaintext).encode(), place)
        row = {"member_id": member_id, "sealed": sealed.data, "key_id": sealed.key_id, "version": 1, "last_step": 0}
        await tx.execute(insert(totp_secrets), **row, organization_id=INSTANCE, created_at=now)
    return {("totp_secrets", member_id): plaintext}


async def seed(database: Database, vault: Vault, count: int) -> Contents:
    """Insert `count` connections, and a tenth of this number as unredeemed connections. Return the secrets."""
    actor, values = await organization(database), Contents()
    for number in range(count):
        end_user, secret = f"seeded_{number}", f"acme_seeded_{number}"
        values["credentials", await connect(database, vault, actor, end_user, secret)] = {"api_key": secret}
        if number % 10 == 0:
            session = await leave_unredeemed(database, vault, actor, end_user, secret)
            values["unredeemed_connections", session] = {"api_key": secret}
        await asyncio.sleep(0)
    return values


async def contents(database: Database, vault: Vault) -> Contents:
    """Open every sealed value. Return the secrets by table and row. Raises: SealBroken."""
    values = Contents()
    for table in key_ring.SEALED_TABLES:
        async with database.read() as tx:
            rows = await tx.all(select(table))
        for row in rows:
            if row.sealed is None:  # a purge deleted the value
                continue
            place = SealContext(table.name, row[0], row.version)
            plaintext = vault.open(row.organization_id, Sealed(row.key_id, row.sealed), place)
            values[table.name, row[0]] = frames.decode(plaintext)[0] if table is agent_runs else json.loads(plaintext)
    return values


async def rows_under(database: Database, table: Table, key: str) -> set[tuple[str, str]]:
    """Return the rows of a table that are sealed with a key."""
    async with database.read() as tx:
        rows = await tx.all(select(table).where(table.c.key_id == key))
    return {(table.name, row[0]) for row in rows}


async def spoil(tx: Transaction, connection_id: str) -> None:
    """Change the version of a connection's credentials, so that One Runtime cannot open them."""
    changed = update(credentials).where(credentials.c.connection_id == connection_id)
    await tx.execute(changed.values(version=credentials.c.version + 1))


async def used_keys(database: Database) -> set[str]:
    """Return the ids of the keys that have sealed a value."""
    async with database.read() as tx:
        return set(await key_ring.count_rows(tx))


async def stored_keys(database: Database) -> Sequence[str]:
    """Return the ids of the keys in the database."""
    async with database.read() as tx:
        return [row.key_id for row in await tx.all(select(keys.c.key_id).order_by(keys.c.key_id))]
