"""Disable a built-in integration for all organizations, and enable the integration again."""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete

from one_runtime.catalog.disabled_integrations import DisabledIntegration
from one_runtime.catalog.loader import Catalog
from one_runtime.catalog.model import CUSTOM
from one_runtime.db.engine import Transaction
from one_runtime.db.schema import disabled_integrations as disabled
from one_runtime.db.upsert import insert
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.tenancy.installation_events import InstallationEventType, record_for_installation

MAX_REASON: Final = 500

_INSERT = insert(disabled)
_UPSERT = _INSERT.on_conflict_do_update(
    index_elements=[disabled.c.integration_slug],
    set_={"reason": _INSERT.excluded.reason, "disabled_by": _INSERT.excluded.disabled_by},
).returning(*(disabled.c[name] for name in DisabledIntegration.__dataclass_fields__))
_DELETE = delete(disabled).where(disabled.c.integration_slug == bindparam("slug"))


async def disable(
    tx: Transaction, catalog: Catalog, operator: str, slug: str, reason: str | None, now: datetime
) -> DisabledIntegration:
    """Disable an integration, and record the event. If the integration is already disabled, replace the reason.

    `reason`: organizations see this text. Raises: NotFound; InvalidInput.
    """
    if slug.startswith(CUSTOM):
        raise InvalidInput(
            f"{slug[:64]} is a custom integration of an organization. Only built-in integrations can be disabled."
        )
    if slug not in catalog:
        raise NotFound(f"There is no integration {slug[:64]!r}. `one-runtime catalog list` shows all integrations.")
    text = (reason or "").strip() or None
    if text is not None and not (len(text) <= MAX_REASON and text.isprintable()):
        raise InvalidInput.of("--reason", f"must have at most {MAX_REASON} characters, all printable")
    row = await tx.one(
        _UPSERT, DisabledIntegration, integration_slug=slug, reason=text, disabled_at=now, disabled_by=operator
    )
    assert row is not None  # noqa: S101 - the statement returns the row
    data = {"integration_slug": slug, "reason": text}
    await record_for_installation(tx, operator, InstallationEventType.INTEGRATION_DISABLED, now, data)
    return row


async def enable(tx: Transaction, operator: str, slug: str, now: datetime) -> None:
    """Enable a disabled integration, and record the event. Raises: NotFound."""
    if not await tx.execute(_DELETE, slug=slug):
        raise NotFound(
            f"{slug[:64]!r} is not disabled. `one-runtime integrations list-disabled` shows the disabled integrations."
        )
    await record_for_installation(
        tx, operator, InstallationEventType.INTEGRATION_ENABLED, now, {"integration_slug": slug}
    )
