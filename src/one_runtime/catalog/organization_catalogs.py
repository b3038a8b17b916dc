"""An organization's own integrations, in the catalog's format: kept in the database, visible to nobody else (P1).

An organization that has any carries a revision, which changes whenever one of them does. So a process keeps what it has
read, and never shows what another process has changed since.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cachetools import LRUCache
from sqlalchemy import bindparam, func, insert, select, update

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CUSTOM, CustomIntegration, Integration, dump, is_custom
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import custom_integrations as customs
from one_runtime.db.schema import organizations
from one_runtime.errors import Conflict, NotFound
from one_runtime.jobs.queue import batched_delete, delete_in_batches

MOST: Final = 100
"""Of one organization."""

_CACHED: Final = 64
"""Organizations whose catalogs a process caches."""


@dataclass(frozen=True, slots=True)
class StoredIntegration:
    """An integration as it is kept."""

    integration: CustomIntegration
    created_at: datetime
    updated_at: datetime


_MINE = customs.c.organization_id == bindparam("organization")
_SLUG = customs.c.slug == bindparam("slug")
_THERE = customs.c.deleted_at.is_(None)
_ALL = select(customs).where(_MINE, _THERE).order_by(customs.c.slug)
_ONE = select(customs).where(_MINE, _SLUG, _THERE)
# The one that is there, else the one that was deleted last.
_LAST = (
    select(customs)
    .where(_MINE, _SLUG)
    .order_by(customs.c.deleted_at.is_not(None), customs.c.deleted_at.desc())
    .limit(1)
)
_COUNT = select(func.count().label("count")).where(_MINE, _THERE)
_INSERT = insert(customs)
_CHANGED = ("definition", "logo", "logo_hash", "updated_at", "moved_at")
_UPDATE = update(customs).where(_MINE, _SLUG, _THERE).values({name: bindparam(name) for name in _CHANGED})
_DELETE = update(customs).where(_MINE, _SLUG, _THERE).values(deleted_at=bindparam("now"))
_PURGE = batched_delete(customs, customs.c.deleted_at <= bindparam("before"))
_LOGO = select(customs.c.logo).where(customs.c.logo_hash == bindparam("digest"), _SLUG, _THERE)
_THIS = organizations.c.id == bindparam("organization")
_REVISION = select(organizations.c.custom_revision).where(_THIS)
_LOCK = _REVISION.with_for_update()
_REVISE = update(organizations).where(_THIS).values(custom_revision=bindparam("revision"))


def unknown(slug: str) -> NotFound:
    """The error for a slug that names no integration that the organization knows."""
    where = (
        "/v1/custom-integrations lists your own" if slug.startswith(CUSTOM) else "/v1/catalog/integrations lists them"
    )
    return NotFound(f"There is no integration {slug[:64]!r}. {where}.")


async def list_own(tx: Transaction, organization_id: str) -> list[StoredIntegration]:
    """Every one of an organization, by slug."""
    return [_from_row(row) for row in await tx.all(_ALL, organization=organization_id)]


async def get(tx: Transaction, organization_id: str, slug: str) -> StoredIntegration:
    """One of an organization. Raises: NotFound."""
    row = await tx.one(_ONE, organization=organization_id, slug=slug) if is_custom(slug) else None
    if row is None:
        raise NotFound(f"There is no integration of your own {slug[:64]!r}. /v1/custom-integrations lists them.")
    return _from_row(row)


async def lock(tx: Transaction, organization_id: str) -> None:
    """Nobody else changes an organization's integrations until the transaction ends."""
    await tx.all(_LOCK, organization=organization_id)


async def create(
    tx: Transaction, organization_id: str, entry: Integration, logo: str, now: datetime
) -> StoredIntegration:
    """Keep a new one, whose slug is free. Raises: Conflict where the organization has as many as may be."""
    row = await tx.one(_COUNT, organization=organization_id)
    if row is not None and row.count >= MOST:
        raise Conflict(f"An organization may have {MOST} integrations of its own. Delete some first.")
    made = CustomIntegration.of(dump(entry), new_id(), logo, now)
    own = {"id": made.id, "organization_id": organization_id, "slug": made.slug, "created_at": now, "deleted_at": None}
    await tx.execute(_INSERT, **own, **_columns(made, now))
    await _revise(tx, organization_id)
    return StoredIntegration(made, now, now)


async def replace(
    tx: Transaction,
    organization_id: str,
    present: StoredIntegration,
    entry: CustomIntegration,
    logo: str,
    now: datetime,
) -> StoredIntegration:
    """Keep another definition of one, under its id."""
    before = present.integration
    moved = any(before.audience(kind) != entry.audience(kind) for kind in before.auth_types)
    made = CustomIntegration.of(dump(entry), before.id, logo, now if moved else before.moved_at)
    await tx.execute(_UPDATE, organization=organization_id, slug=made.slug, **_columns(made, now))
    await _revise(tx, organization_id)
    return StoredIntegration(made, present.created_at, now)


async def remove(tx: Transaction, organization_id: str, slug: str, now: datetime) -> None:
    """Delete one. Its definition is kept until what is to be revoked by it has been."""
    await tx.execute(_DELETE, organization=organization_id, slug=slug, now=now)
    await _revise(tx, organization_id)


async def purge(database: Database, before: datetime) -> int:
    """Delete the definitions of integrations that were deleted before then; return their number."""
    return await delete_in_batches(database, _PURGE, before=before)


async def find_last(tx: Transaction, organization_id: str, slug: str) -> CustomIntegration | None:
    """One by its slug, also where it was deleted a moment ago: tokens that it gave are still to be revoked."""
    row = await tx.one(_LAST, organization=organization_id, slug=slug)
    return _from_row(row).integration if row is not None else None


async def find_logo(tx: Transaction, slug: str, digest: str) -> bytes | None:
    """A logo by its address, which only those are told who see the integration."""
    row = await tx.one(_LOGO, slug=slug, digest=digest) if is_custom(slug) and digest.isalnum() else None
    return row.logo.encode() if row is not None else None


class OrganizationCatalogs:
    """The catalog as each organization sees it: the built-in one, with its own integrations in their places."""

    def __init__(self, built_in: Catalog) -> None:
        self._built_in = built_in
        self._by_revision: LRUCache[str, Catalog] = LRUCache(_CACHED)

    async def of(self, tx: Transaction, organization_id: str) -> Catalog:
        """What an organization can have connected."""
        row = await tx.one(_REVISION, organization=organization_id)
        own = await self.own(tx, organization_id, row.custom_revision if row is not None else None)
        return own if own is not None else self._built_in

    async def get(self, tx: Transaction, organization_id: str, slug: str) -> Integration | None:
        """One integration: a built-in one, or the organization's own."""
        if not slug.startswith(CUSTOM):
            return self._built_in.get(slug)
        return (await self.of(tx, organization_id)).get(slug)

    async def own(self, tx: Transaction, organization_id: str, revision: str | None) -> Catalog | None:
        """The catalog with an organization's own integrations, at the revision that was just read; None where it has
        none. The same object for the same revision."""
        if revision is None:
            return None
        catalog = self._by_revision.get(revision)
        if catalog is None:
            entries = tuple(stored.integration for stored in await list_own(tx, organization_id))
            # A request that read the entries meanwhile may have stored its catalog: all use one object, because
            # rendered lists are cached for each.
            catalog = self._by_revision.setdefault(revision, self._built_in.beside(entries, revision))
        return catalog

    async def for_revoking(self, tx: Transaction, organization_id: str, slug: str) -> Integration | None:
        """One integration, also one of the organization's own that was deleted since."""
        own = slug.startswith(CUSTOM)
        return await find_last(tx, organization_id, slug) if own else self._built_in.get(slug)


async def _revise(tx: Transaction, organization_id: str) -> None:
    await tx.execute(_REVISE, organization=organization_id, revision=new_id())


def _columns(one: CustomIntegration, now: datetime) -> dict[str, object]:
    definition = json.dumps(dump(one), ensure_ascii=False)
    logo = {"logo": one.logo, "logo_hash": one.logo_hash}
    return {"definition": definition, **logo, "updated_at": now, "moved_at": one.moved_at}


def _from_row(row: object) -> StoredIntegration:
    values = row._asdict()  # type: ignore[attr-defined] # a row is a named tuple
    definition = json.loads(values["definition"])
    integration = CustomIntegration.of(definition, values["id"], values["logo"], values["moved_at"])
    return StoredIntegration(integration, values["created_at"], values["updated_at"])
