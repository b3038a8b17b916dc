"""Write and read the operator's audit log: events that belong to the installation, and not to an organization.

Organizations cannot read these events. One Runtime writes an event in the same transaction as its change.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Self

from sqlalchemy import bindparam, insert, select

from one_runtime.db.engine import Transaction
from one_runtime.db.ids import new_id
from one_runtime.db.schema import installation_events as events


class InstallationEventType(StrEnum):
    """The type of an event of the installation: its name, the change that it records, and the fields of its data.

    The texts are Markdown with the links of docs/events.md. `python -m scripts.docs_tables` writes the table there.
    """

    documentation: str
    data: str

    def __new__(cls, name: str, documentation: str, data: str) -> Self:
        """Make a member with the attributes of its declaration."""
        member = str.__new__(cls, name)
        member._value_, member.documentation, member.data = name, documentation, data
        return member

    ORGANIZATION_CREATED = (
        "organization.created",
        "The operator created an organization.",
        "`organization_id`, `display_name`",
    )
    ORGANIZATION_DELETED = (
        "organization.deleted",
        "The operator started the [deletion of an organization](operating.md#deleting-an-organization).",
        "`organization_id`, `display_name`",
    )
    INTEGRATION_DISABLED = (
        "integration.disabled",
        "The operator [disabled an integration](operating.md#disable-an-integration), or changed the reason.",
        "`integration_slug`, `reason`",
    )
    INTEGRATION_ENABLED = (
        "integration.enabled",
        "The operator enabled a disabled integration.",
        "`integration_slug`",
    )
    OAUTH_CLIENT_UPDATED = (
        "oauth_client.updated",
        (
            "An OAuth client for all organizations was registered or changed, or lost its secret because the "
            "operator abandoned a lost encryption key."
        ),
        "`integration_slug`",
    )
    OAUTH_CLIENT_DELETED = (
        "oauth_client.deleted",
        "An OAuth client for all organizations was deleted.",
        "`integration_slug`",
    )
    CONNECTION_REFRESH_REQUESTED = (
        "connection.refresh_requested",
        (
            "The operator ran [`connections refresh`](cli.md#one-runtime-connections-refresh). One Runtime "
            "records the event before the request to the provider."
        ),
        "`connection_id`, `organization_id`",
    )
    HOSTED_CONNECTION_SESSION_CANCELLED = (
        "hosted_connection_session.cancelled",
        "The operator cancelled a session that had not ended.",
        "`session_id`, `organization_id`",
    )
    MEMBER_SIGNED_OUT = (
        "member.signed_out",
        "The operator [ended all sessions](cli.md#one-runtime-members-sign-out) of a member of a team.",
        "`member_id`, `email`",
    )
    ENCRYPTION_KEY_ACTIVATED = (
        "encryption_key.activated",
        "The operator [activated a key](operating.md#replacing-a-key).",
        "`key_id`",
    )
    ENCRYPTION_KEY_DISABLED = (
        "encryption_key.disabled",
        "The operator disabled a key.",
        "`key_id`",
    )
    ENCRYPTION_KEY_ABANDONED = (
        "encryption_key.abandoned",
        "The operator abandoned a lost key.",
        "`key_id`",
    )
    INSTALLATION_CONFIRMED = (
        "installation.confirmed",
        "The operator made a [copy](backup.md#unconfirmed-copies) the live database.",
        "none",
    )
    INSTALLATION_HELD = (
        "installation.held",
        "The operator marked the database as a copy.",
        "none",
    )
    INSTALLATION_MOVED = (
        "installation.moved",
        (
            "The operator [moved the installation to PostgreSQL](deploying.md#from-sqlite-to-postgresql). Both "
            "databases have the event."
        ),
        "none",
    )


@dataclass(frozen=True, slots=True)
class InstallationEvent:
    """A row of the operator's audit log. `operator`: the name of the person who ran the command."""

    id: str
    type: str
    occurred_at: datetime
    operator: str
    data: Mapping[str, object]


_INSERT = insert(events)
_NEWEST = (
    select(*(events.c[name] for name in InstallationEvent.__dataclass_fields__))
    .order_by(events.c.id.desc())
    .limit(bindparam("limit"))
)


async def record_for_installation(
    tx: Transaction, operator: str, kind: InstallationEventType, now: datetime, data: Mapping[str, object]
) -> None:
    """Write an event. `tx`: the transaction of the change. `data`: contains no secret."""
    await tx.execute(_INSERT, id=new_id(), type=kind.value, occurred_at=now, operator=operator, data=dict(data))


async def list_newest_of_installation(tx: Transaction, limit: int) -> list[InstallationEvent]:
    """Return at most `limit` events, newest first."""
    return await tx.all(_NEWEST, InstallationEvent, limit=limit)
