"""Store the end users of organizations. The identifier of an end user comes from the organization's product."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, bindparam, delete, exists, func, select, update

from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.scanning import Values, matches
from one_runtime.db.schema import connections, end_users, hosted_connection_sessions, requests
from one_runtime.db.upsert import insert
from one_runtime.errors import NotFound
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject


@dataclass(frozen=True, slots=True)
class EndUser:
    """A user of an organization's product."""

    end_user_id: str
    name: str | None
    email: str | None
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndUserFilter:
    """Filters for a list of end users. A field with the value None matches every end user.

    `since`, `until`: list end users that were created at or after `since`, and before `until`.
    """

    end_user_id: Values[str] = None
    email: Values[str] = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions for the rows of end users."""
        columns = end_users.c
        conditions = [*matches(columns.end_user_id, self.end_user_id), *matches(columns.email, self.email)]
        if self.since is not None:
            conditions.append(columns.created_at >= self.since)
        if self.until is not None:
            conditions.append(columns.created_at < self.until)
        return conditions


class _EndUserId(NamedTuple):
    end_user_id: str


_COLUMNS = tuple(end_users.c[name] for name in EndUser.__dataclass_fields__)
_INSERT = insert(end_users)
_UPSERT = _INSERT.on_conflict_do_update(
    index_elements=[end_users.c.organization_id, end_users.c.end_user_id],
    set_={
        "name": func.coalesce(_INSERT.excluded.name, end_users.c.name),
        "email": func.coalesce(_INSERT.excluded.email, end_users.c.email),
        "updated_at": _INSERT.excluded.updated_at,
    },
)
_OF_ORGANIZATION = end_users.c.organization_id == bindparam("organization")
_IS_END_USER = and_(_OF_ORGANIZATION, end_users.c.end_user_id == bindparam("end_user"))
_SELECT = select(*_COLUMNS).where(_IS_END_USER)
_ANY_OF = select(*_COLUMNS).where(_OF_ORGANIZATION, in_list(end_users.c.end_user_id, "end_users"))
_SELECT_LOCKED = _SELECT.with_for_update(key_share=True)
_CHANGEABLE = ("name", "email", "metadata")
_UPDATE = update(end_users).where(_IS_END_USER).values({name: bindparam(name) for name in (*_CHANGEABLE, "updated_at")})
_LIST = select(*_COLUMNS).where(_OF_ORGANIZATION).order_by(end_users.c.end_user_id)
_LOCK = select(end_users.c.end_user_id).where(_IS_END_USER).with_for_update()
_LOCK_PAGE = (
    select(end_users.c.end_user_id).where(_OF_ORGANIZATION).limit(bindparam("limit")).with_for_update(skip_locked=True)
)
_DELETE = delete(end_users).where(_IS_END_USER)
_DELETE_UNCONNECTED = _DELETE.where(
    *(
        ~exists().where(
            table.c.organization_id == end_users.c.organization_id, table.c.end_user_id == end_users.c.end_user_id
        )
        for table in (connections, hosted_connection_sessions)
    )
)
_ANONYMIZE_REQUESTS = (
    update(requests)
    .where(requests.c.organization_id == bindparam("organization"), requests.c.end_user_id == bindparam("end_user"))
    .values(end_user_id=None)
)


async def ensure(tx: Transaction, organization_id: str, end_user: EndUser) -> None:
    """Create the end user, or update the name and the e-mail address. Lock the row until `tx` ends.

    If the new name or e-mail address is None, keep the stored value. Also keep the stored metadata. While `tx` runs,
    other transactions that call `ensure` for this end user wait.
    """
    await tx.execute(
        _UPSERT,
        organization_id=organization_id,
        end_user_id=end_user.end_user_id,
        name=end_user.name,
        email=end_user.email,
        created_at=end_user.created_at,
        updated_at=end_user.updated_at,
        metadata=dict(end_user.metadata),
    )


async def find(tx: Transaction, organization_id: str, end_user_id: str) -> EndUser | None:
    """Return an end user, or None."""
    return await tx.one(_SELECT, EndUser, organization=organization_id, end_user=end_user_id)


async def find_all(tx: Transaction, organization_id: str, end_user_ids: Collection[str]) -> list[EndUser]:
    """Return the end users with these identifiers. Other identifiers have no end user."""
    if not end_user_ids:
        return []
    return await tx.all(_ANY_OF, EndUser, organization=organization_id, end_users=list(end_user_ids))


async def get(tx: Transaction, organization_id: str, end_user_id: str, *, lock: bool = False) -> EndUser:
    """Return an end user. `lock`: lock the end user's row until `tx` ends. Raises: NotFound."""
    end_user = None
    if "\x00" not in end_user_id:  # PostgreSQL refuses the character
        key = {"organization": organization_id, "end_user": end_user_id}
        end_user = await tx.one(_SELECT_LOCKED if lock else _SELECT, EndUser, **key)
    if end_user is None:
        raise NotFound("There is no such end user.")
    return end_user


async def list_page(
    tx: Transaction, organization_id: str, matching: EndUserFilter, *, limit: int, after: str | None
) -> list[EndUser]:
    """Return at most `limit` end users, ordered by identifier. Begin after the identifier `after`."""
    statement = _LIST.where(*matching.conditions())
    if after is not None:
        statement = statement.where(end_users.c.end_user_id > after)
    return await tx.all(statement.limit(limit), EndUser, organization=organization_id)


async def save(tx: Transaction, actor: Actor, present: EndUser, changed: EndUser, now: datetime) -> EndUser:
    """Store the changed name, e-mail address and metadata of an end user, and write the event `end_user.updated`.

    If nothing changed, store nothing, and write no event. Return the stored end user.
    """
    names = [name for name in _CHANGEABLE if getattr(changed, name) != getattr(present, name)]
    if not names:
        return present
    saved = replace(changed, updated_at=now)
    key = {"organization": actor.organization_id, "end_user": saved.end_user_id}
    await tx.execute(_UPDATE, **key, **{name: getattr(saved, name) for name in (*_CHANGEABLE, "updated_at")})
    await events.record(tx, actor, EventType.END_USER_UPDATED, now, Subject(saved.end_user_id, data={"changed": names}))
    return saved


async def lock(tx: Transaction, organization_id: str, end_user_id: str) -> bool:
    """Lock the end user's row until `tx` ends. Return False if the end user does not exist.

    Call `lock` before the transaction locks other rows of the end user. Without a fixed order of the locks, two
    transactions could wait for each other (a deadlock).
    """
    return await tx.one(_LOCK, organization=organization_id, end_user=end_user_id) is not None


async def lock_page(tx: Transaction, organization_id: str, limit: int) -> list[str]:
    """Lock at most `limit` end users until `tx` ends, and return their identifiers. Skip end users that are locked."""
    rows = await tx.all(_LOCK_PAGE, _EndUserId, organization=organization_id, limit=limit)
    return [row.end_user_id for row in rows]


async def remove_unconnected(tx: Transaction, organization_id: str, end_user_id: str) -> bool:
    """Delete a locked end user. Return False, and change nothing, if the end user has a connection or a session."""
    return await tx.execute(_DELETE_UNCONNECTED, organization=organization_id, end_user=end_user_id) > 0


async def remove(tx: Transaction, organization_id: str, end_user_id: str) -> None:
    """Delete the end user with all connections, credentials and sessions.

    Keep the rows of the request log, but remove the end user's identifier from these rows.
    """
    await tx.execute(_ANONYMIZE_REQUESTS, organization=organization_id, end_user=end_user_id)
    await tx.execute(_DELETE, organization=organization_id, end_user=end_user_id)
