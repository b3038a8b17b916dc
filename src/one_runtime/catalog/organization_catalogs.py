"""Store the custom integrations of each organization, and add these integrations to the built-in catalog.

Each custom integration is visible only to its organization (promise P1 of docs/security.md). Every change of a custom
integration stores a new id in the organization's row: the revision. Each process caches catalogs by revision, and reads
the present revision from the database at every request. So no process uses an outdated catalog.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cachetools import LRUCache
from sqlalchemy import bindparam, func, insert, select, update

from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CUSTOM, CustomIntegration, Integration, dump, is_custom
from one_runtime.db.engine import Database, Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import custom_integrations as customs
from one_runtime.db.schema import organizations
from one_runtime.errors import Conflict, NotFound
from one_runtime.jobs.queue import batched_delete, run_in_batches

if TYPE_CHECKING:
    from one_runtime.catalog.custom import CustomEntry

MOST: Final = 100
"""Maximum number of custom integrations of an organization."""

MAX_OPERATIONS_SIZE: Final = 8 * 1024 * 1024
"""Maximum number of characters of the operations of an organization's custom integrations."""

_CACHED: Final = 64
"""Maximum number of catalogs that a process caches."""


@dataclass(frozen=True, slots=True)
class StoredIntegration:
    """A stored custom integration, with the times of its creation and last change."""

    integration: CustomIntegration
    created_at: datetime
    updated_at: datetime


_OF_ORGANIZATION = customs.c.organization_id == bindparam("organization")
_SLUG = customs.c.slug == bindparam("slug")
_PRESENT = customs.c.deleted_at.is_(None)
_ENTRY = [column for column in customs.c if column is not customs.c.operations]
"""All columns except the operations, which can be long."""
_ALL = select(*_ENTRY).where(_OF_ORGANIZATION, _PRESENT).order_by(customs.c.slug)
_BY_SLUG = select(*_ENTRY).where(_OF_ORGANIZATION, _SLUG, _PRESENT)
# The rows of deleted integrations stay in the table, so several rows can have the same slug. `_LAST` selects the row
# that is not deleted. If all rows of the slug are deleted, `_LAST` selects the row that was deleted last.
_LAST = (
    select(*_ENTRY)
    .where(_OF_ORGANIZATION, _SLUG)
    .order_by(customs.c.deleted_at.is_not(None), customs.c.deleted_at.desc())
    .limit(1)
)
_COUNT = select(func.count().label("count")).where(_OF_ORGANIZATION, _PRESENT)
_INSERT = insert(customs)
_CHANGED = ("definition", "logo", "logo_hash", "updated_at", "moved_at", "operations")
_UPDATE = update(customs).where(_OF_ORGANIZATION, _SLUG, _PRESENT).values({name: bindparam(name) for name in _CHANGED})
_DELETE = update(customs).where(_OF_ORGANIZATION, _SLUG, _PRESENT).values(deleted_at=bindparam("now"), operations=None)
_PURGE = batched_delete(customs, customs.c.deleted_at <= bindparam("before"))
_OPERATIONS = select(customs.c.slug, customs.c.operations).where(
    _OF_ORGANIZATION, _PRESENT, customs.c.operations.is_not(None)
)
_OPERATIONS_OF_SLUG = select(customs.c.operations).where(_OF_ORGANIZATION, _SLUG, _PRESENT)
_SIZE_OF_OTHERS = select(func.coalesce(func.sum(func.length(customs.c.operations)), 0).label("size")).where(
    _OF_ORGANIZATION, _PRESENT, customs.c.slug != bindparam("slug")
)
_LOGO = select(customs.c.logo).where(customs.c.logo_hash == bindparam("digest"), _SLUG, _PRESENT)
_BY_ID = organizations.c.id == bindparam("organization")
_REVISION = select(organizations.c.custom_revision).where(_BY_ID)
_LOCK = _REVISION.with_for_update()
_REVISE = update(organizations).where(_BY_ID).values(custom_revision=bindparam("revision"))


def unknown(slug: str, catalog: Catalog) -> NotFound:
    """Return the error for a slug that is not in the organization's catalog."""
    similar = catalog.similar(slug)
    hint = f"Did you mean {' or '.join(similar)}? " if similar else ""
    return NotFound(
        f"There is no integration {slug[:64]!r}. {hint}GET /v1/catalog/integrations lists the built-in integrations, "
        "and GET /v1/custom-integrations lists your own."
    )


async def list_own(tx: Transaction, organization_id: str) -> list[StoredIntegration]:
    """Return the custom integrations of an organization, ordered by slug."""
    return [_from_row(row) for row in await tx.all(_ALL, organization=organization_id)]


async def get(tx: Transaction, organization_id: str, slug: str) -> StoredIntegration:
    """Return a custom integration of an organization. Raises: NotFound."""
    row = await tx.one(_BY_SLUG, organization=organization_id, slug=slug) if is_custom(slug) else None
    if row is None:
        raise NotFound(
            f"There is no custom integration {slug[:64]!r}. GET /v1/custom-integrations lists your own integrations."
        )
    return _from_row(row)


async def lock(tx: Transaction, organization_id: str) -> None:
    """Lock an organization's custom integrations until the transaction ends."""
    await tx.all(_LOCK, organization=organization_id)


async def create(tx: Transaction, organization_id: str, entry: "CustomEntry", now: datetime) -> StoredIntegration:
    """Store a new custom integration. The caller ensures that the slug is free.

    Raises: Conflict if the organization already has `MOST` custom integrations, or too many operations.
    """
    row = await tx.one(_COUNT, organization=organization_id)
    if row is not None and row.count >= MOST:
        raise Conflict(f"An organization may have at most {MOST} custom integrations. First delete some of them.")
    await _require_room(tx, organization_id, entry)
    integration = CustomIntegration.of(dump(entry.integration), new_id(), entry.logo, now)
    own = {
        "id": integration.id,
        "organization_id": organization_id,
        "slug": integration.slug,
        "created_at": now,
        "deleted_at": None,
    }
    await tx.execute(_INSERT, **own, **_columns(integration, entry.operations, now))
    await _change_revision(tx, organization_id)
    return StoredIntegration(integration, now, now)


async def replace(
    tx: Transaction, organization_id: str, present: StoredIntegration, entry: "CustomEntry", now: datetime
) -> StoredIntegration:
    """Replace the definition and the operations of a custom integration. The id stays the same.

    Raises: Conflict if the organization would have too many operations.
    """
    await _require_room(tx, organization_id, entry)
    before = present.integration
    moved = any(before.audience(kind) != entry.integration.audience(kind) for kind in before.auth_types)
    moved_at = now if moved else before.moved_at
    integration = CustomIntegration.of(dump(entry.integration), before.id, entry.logo, moved_at)
    columns = _columns(integration, entry.operations, now)
    await tx.execute(_UPDATE, organization=organization_id, slug=integration.slug, **columns)
    await _change_revision(tx, organization_id)
    return StoredIntegration(integration, present.created_at, now)


async def is_same(tx: Transaction, organization_id: str, present: StoredIntegration, entry: "CustomEntry") -> bool:
    """Return True if the stored integration has this definition, this logo and these operations."""
    stored, new = present.integration, entry.integration
    if stored.logo != entry.logo or json.dumps(dump(stored)) != json.dumps(dump(new)):
        return False
    row = await tx.one(_OPERATIONS_OF_SLUG, organization=organization_id, slug=new.slug)
    return row is not None and (row.operations or "") == entry.operations


async def has_operations(tx: Transaction, organization_id: str, slug: str) -> bool:
    """Return True if a custom integration has operations for agents."""
    row = await tx.one(_OPERATIONS_OF_SLUG, organization=organization_id, slug=slug)
    return row is not None and bool(row.operations)


async def list_operations(tx: Transaction, organization_id: str) -> dict[str, str]:
    """Return the operations of an organization's custom integrations: a JSON list for each slug."""
    return {row.slug: row.operations for row in await tx.all(_OPERATIONS, organization=organization_id)}


async def find_revision(tx: Transaction, organization_id: str) -> str | None:
    """Return the revision of the organization's custom integrations, or None if it never had any."""
    row = await tx.one(_REVISION, organization=organization_id)
    revision: str | None = row.custom_revision if row is not None else None
    return revision


async def remove(tx: Transaction, organization_id: str, slug: str, now: datetime) -> None:
    """Mark a custom integration as deleted. The definition stays in the database, for the revocation of tokens."""
    await tx.execute(_DELETE, organization=organization_id, slug=slug, now=now)
    await _change_revision(tx, organization_id)


async def purge(database: Database, before: datetime) -> int:
    """Remove the definitions of integrations that were deleted at `before` or earlier.

    Return the number of removed definitions.
    """
    return await run_in_batches(database, _PURGE, before=before)


async def find_last(tx: Transaction, organization_id: str, slug: str) -> CustomIntegration | None:
    """Return the custom integration with this slug, even if the integration is deleted.

    The revocation of tokens needs the definition of a deleted integration. Return None if the database has no
    definition.
    """
    row = await tx.one(_LAST, organization=organization_id, slug=slug)
    return _from_row(row).integration if row is not None else None


async def find_logo(tx: Transaction, slug: str, digest: str) -> bytes | None:
    """Return the logo of the custom integration with this slug and this digest, or None.

    The query does not check the organization, because only a caller of the organization can know the digest (see
    `CustomIntegration.logo_hash`).
    """
    row = await tx.one(_LOGO, slug=slug, digest=digest) if is_custom(slug) and digest.isalnum() else None
    return row.logo.encode() if row is not None else None


class OrganizationCatalogs:
    """The catalogs of all organizations, with a cache.

    The catalog of an organization contains the built-in integrations and the organization's custom integrations.
    """

    def __init__(self, built_in: Catalog) -> None:
        self._built_in = built_in
        self._by_revision: LRUCache[str, Catalog] = LRUCache(_CACHED)

    async def of(self, tx: Transaction, organization_id: str) -> Catalog:
        """Return the catalog of an organization."""
        own = await self.own(tx, organization_id, await find_revision(tx, organization_id))
        return own if own is not None else self._built_in

    async def get(self, tx: Transaction, organization_id: str, slug: str) -> Integration | None:
        """Return a built-in integration or an organization's custom integration. Return None for an unknown slug."""
        if not slug.startswith(CUSTOM):
            return self._built_in.get(slug)
        return (await self.of(tx, organization_id)).get(slug)

    async def require(self, tx: Transaction, organization_id: str, slug: str) -> Integration:
        """Return an integration as `get` does. Raises: NotFound for an unknown slug."""
        integration = await self.get(tx, organization_id, slug)
        if integration is None:
            raise unknown(slug, await self.of(tx, organization_id))
        return integration

    async def name_of(self, tx: Transaction, organization_id: str, slug: str) -> str:
        """Return the name of an integration, or its slug if the integration was deleted."""
        integration = await self.get(tx, organization_id, slug)
        return integration.name if integration is not None else slug

    async def contains(self, tx: Transaction, organization_id: str, slug: str) -> bool:
        """Return True if `get` would return an integration. The entry of a built-in integration is not validated."""
        return slug in (await self.of(tx, organization_id) if slug.startswith(CUSTOM) else self._built_in)

    async def own(self, tx: Transaction, organization_id: str, revision: str | None) -> Catalog | None:
        """Return the catalog of an organization at a revision. Return None if `revision` is None.

        The revision is None if the organization never had a custom integration. Calls with the same revision return
        the same object, as long as the process caches the object.
        """
        if revision is None:
            return None
        catalog = self._by_revision.get(revision)
        if catalog is None:
            entries = tuple(stored.integration for stored in await list_own(tx, organization_id))
            # During the query, another request can cache a catalog of this revision. All requests must use the same
            # catalog object, because One Runtime caches rendered lists for each catalog object.
            catalog = self._by_revision.setdefault(revision, self._built_in.beside(entries, revision))
        return catalog

    async def for_revoking(self, tx: Transaction, organization_id: str, slug: str) -> Integration | None:
        """Return the integration with this slug, or None. Unlike `get`, also return a deleted custom integration."""
        own = slug.startswith(CUSTOM)
        return await find_last(tx, organization_id, slug) if own else self._built_in.get(slug)


async def _change_revision(tx: Transaction, organization_id: str) -> None:
    await tx.execute(_REVISE, organization=organization_id, revision=new_id())


async def _require_room(tx: Transaction, organization_id: str, entry: "CustomEntry") -> None:
    """Raises: Conflict if the operations of all custom integrations would be too long."""
    if not entry.operations:
        return
    row = await tx.one(_SIZE_OF_OTHERS, organization=organization_id, slug=entry.integration.slug)
    if row is not None and row.size + len(entry.operations) > MAX_OPERATIONS_SIZE:
        raise Conflict(
            f"The operations of all custom integrations of an organization can have at most {MAX_OPERATIONS_SIZE:,} "
            "characters as JSON. Send the OpenAPI document with fewer paths."
        )


def _columns(integration: CustomIntegration, operations: str, now: datetime) -> dict[str, object]:
    definition = json.dumps(dump(integration), ensure_ascii=False)
    logo = {"logo": integration.logo, "logo_hash": integration.logo_hash}
    times = {"updated_at": now, "moved_at": integration.moved_at}
    return {"definition": definition, **logo, **times, "operations": operations or None}


def _from_row(row: object) -> StoredIntegration:
    values = row._asdict()  # type: ignore[attr-defined] # a row is a named tuple
    definition = json.loads(values["definition"])
    integration = CustomIntegration.of(definition, values["id"], values["logo"], values["moved_at"])
    return StoredIntegration(integration, values["created_at"], values["updated_at"])
