"""Keep a list of the integrations that the operator disabled for all organizations.

Each process reads the list from the database every two seconds, so a request needs no further statement. One Runtime
sends no request with a credential to the provider of a disabled integration. There is one exception: One Runtime
still revokes the tokens of deleted connections. The connections stay in the database.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from one_runtime.db.engine import Database, Transaction
from one_runtime.db.schema import disabled_integrations as disabled
from one_runtime.errors import FieldError, OneRuntimeError
from one_runtime.telemetry.logger import Logger

INTERVAL: Final = 2.0
"""Seconds between two reads of the list."""

log = Logger()


class IntegrationDisabled(OneRuntimeError):
    """The operator has disabled the integration for all organizations. The connections stay, but cannot be used."""

    code, status, title = "integration_disabled", 422, "The integration is disabled"
    documentation = (
        (
            "The operator has [disabled the integration](operating.md#disable-an-integration) for all organizations. "
            "`detail` has the operator's reason, if any. The connections stay, and work again later."
        ),
        "Do not ask end users to connect again.",
    )


@dataclass(frozen=True, slots=True)
class DisabledIntegration:
    """A disabled integration. `disabled_by`: the name of the operator."""

    integration_slug: str
    reason: str | None
    disabled_at: datetime
    disabled_by: str


_ALL = select(*(disabled.c[name] for name in DisabledIntegration.__dataclass_fields__)).order_by(
    disabled.c.integration_slug
)


async def list_all(tx: Transaction) -> list[DisabledIntegration]:
    """Return the disabled integrations, ordered by slug."""
    return await tx.all(_ALL, DisabledIntegration)


class DisabledIntegrations:
    """The disabled integrations at the last `load` of this process. `slugs`: their slugs."""

    def __init__(self) -> None:
        self.slugs: frozenset[str] = frozenset()
        self._reasons: dict[str, str | None] = {}
        self._resumed: set[str] = set()
        self._loading = asyncio.Lock()

    async def load(self, database: Database) -> int:
        """Read the list from the database. Return the number of changes. Raises: Unavailable.

        A call waits until earlier calls have ended. Otherwise, an older list could replace a newer list, because
        PostgreSQL can answer the reads of a process in any order.
        """
        async with self._loading:
            async with database.read() as tx:
                rows = await list_all(tx)
            return self._replace(rows)

    def _replace(self, rows: list[DisabledIntegration]) -> int:
        self._reasons = {row.integration_slug: row.reason for row in rows}
        added, removed = self._reasons.keys() - self.slugs, self.slugs - self._reasons.keys()
        if added or removed:
            self.slugs = frozenset(self._reasons)
        for slug in sorted(added):
            log.warning("integration_disabled", integration=slug)
        self._resumed = (self._resumed | removed) - added
        for slug in sorted(removed):
            log.info("integration_enabled", integration=slug)
        return len(added) + len(removed)

    def take_resumed(self) -> set[str]:
        """Return the integrations that the operator has enabled since the previous call."""
        resumed, self._resumed = self._resumed, set()
        return resumed

    def require_enabled(self, slug: str, field: str | None = None) -> None:
        """Raises: IntegrationDisabled with the operator's reason. `field`: the field of the request with the slug."""
        if slug not in self.slugs:
            return
        reason = self._reasons.get(slug)
        message = (
            f"the operator of One Runtime has disabled {slug} for all organizations"
            f"{f' ({reason})' if reason else ''}. The connections stay, and work again when the operator enables "
            f"{slug}. Do not ask end users to connect again."
        )
        if field is not None:
            raise IntegrationDisabled(f"{field}: {message}", (FieldError(field, message),))
        raise IntegrationDisabled(message[0].upper() + message[1:])

    def require_enabled_for_end_user(self, slug: str, name: str) -> None:
        """Raises: IntegrationDisabled with a message for the end user. The message omits the operator's reason."""
        if slug in self.slugs:
            raise IntegrationDisabled(f"{name} is not available at the moment. Try again later.")
