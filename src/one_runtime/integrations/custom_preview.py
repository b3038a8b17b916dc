"""Show the effects of a new definition of a custom integration, before the definition is stored."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import Final, Literal, NamedTuple, TypeAlias

from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.custom import CustomEntry, as_yaml, written
from one_runtime.catalog.model import CustomIntegration
from one_runtime.catalog.organization_catalogs import StoredIntegration
from one_runtime.catalog.targets import refused_targets
from one_runtime.connections.integration_counts import count_connections
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.integrations import oauth_clients

LineKind: TypeAlias = Literal["added", "removed", "same", "skipped"]

_KINDS: Final[dict[str, LineKind]] = {"+": "added", "-": "removed", " ": "same", "@": "skipped"}
_CONTEXT: Final = 3


class DiffLine(NamedTuple):
    """A line of a difference. `number`: the number of the line in the new text. A removed line has no number."""

    kind: LineKind
    text: str
    number: int | None = None


@dataclass(frozen=True, slots=True)
class CustomPreview:
    """The effects of a definition.

    - `lines`: the difference to the present definition. Empty: the definitions are the same.
    - `is_same`: True if One Runtime would store nothing. The functions for agents can change without the definition.
    - `is_new`: True if the organization has no custom integration with this slug.
    - `moved`: the auth types whose credentials would go to new places. Their connections would become `needs_reauth`.
    - `connections`: the number of connections of the integration, counted up to a limit.
    - `retires_client`: True if One Runtime would delete the OAuth client.
    - `loses_operations`: True if the present definition has operations for agents, and the new definition has none.
    - `refused`: the addresses to which One Runtime sends no requests.
    """

    lines: tuple[DiffLine, ...]
    is_new: bool
    is_same: bool = False
    moved: tuple[str, ...] = ()
    connections: int = 0
    retires_client: bool = False
    loses_operations: bool = False
    refused: tuple[str, ...] = ()


async def preview(installation: Installation, organization_id: str, entry: CustomEntry) -> CustomPreview:
    """Compare an entry with the present definition of the same slug. The caller has validated `entry`."""
    slug = entry.integration.slug
    async with installation.database.read() as tx:
        stored = await _find(tx, organization_id, slug)
        counts = await count_connections(tx, organization_id)
        retires = loses = is_same = False
        if stored is not None:
            retires = await _retires_client(tx, installation, organization_id, entry)
            loses = not entry.operations and await organization_catalogs.has_operations(tx, organization_id, slug)
            is_same = await organization_catalogs.is_same(tx, organization_id, stored, entry)
    present, count = stored.integration if stored is not None else None, counts.by_slug.get(slug)
    return CustomPreview(
        lines=tuple(await asyncio.to_thread(_compare, present, entry)),
        is_new=present is None,
        is_same=is_same,
        moved=_moved(present, entry.integration) if present is not None else (),
        connections=count.total if count is not None else 0,
        retires_client=retires,
        loses_operations=loses,
        refused=refused_targets(entry.integration, installation.settings.egress_allow),
    )


async def _find(tx: Transaction, organization_id: str, slug: str) -> StoredIntegration | None:
    try:
        return await organization_catalogs.get(tx, organization_id, slug)
    except NotFound:
        return None


async def _retires_client(
    tx: Transaction, installation: Installation, organization_id: str, entry: CustomEntry
) -> bool:
    client = await oauth_clients.find_own(tx, installation.vault, organization_id, entry.integration.slug)
    auth = entry.integration.oauth2
    return client is not None and (auth is None or not oauth_clients.still_fits(client, auth))


def _moved(present: CustomIntegration, new: CustomIntegration) -> tuple[str, ...]:
    return tuple(kind for kind in present.auth_types if present.audience(kind) != new.audience(kind))


def _compare(present: CustomIntegration | None, entry: CustomEntry) -> list[DiffLine]:
    before = "" if present is None else as_yaml(written(present, present.logo))
    return list(_difference(before, as_yaml(written(entry.integration, entry.logo))))


def _difference(before: str, after: str) -> Iterator[DiffLine]:
    """Yield the lines of a unified difference, without its heading."""
    number = 0
    for line in list(unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=_CONTEXT))[2:]:
        kind = _KINDS[line[0]]
        if kind == "skipped":  # @@ -1,7 +1,6 @@
            first = int(line.split("+")[1].split(",")[0].split(" ")[0])
            number = max(first - 1, 0)
            if number:
                yield DiffLine(kind, "…")
        elif kind == "removed":
            yield DiffLine(kind, line[1:])
        else:
            number += 1
            yield DiffLine(kind, line[1:], number)
