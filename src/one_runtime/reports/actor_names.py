"""Find the names of the actors of events, with one statement."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Text, bindparam, cast, func, literal, select, union_all

from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id
from one_runtime.db.schema import api_keys, end_user_tokens, end_users, members


class ActorName(NamedTuple):
    """The name of an actor.

    `detail`: the e-mail address of a member, the e-mail address or the identifier of an end user, or the prefix of a
    key or of a token.
    """

    name: str | None
    detail: str

    @property
    def text(self) -> str:
        """Return the name, or the detail of an actor without a name."""
        return self.name or self.detail


ActorKey = tuple[str, str]
"""The type and the id of an actor."""


class _Named(NamedTuple):
    type: str
    id: str
    name: str | None
    detail: str


_OWNED: Final = {"api_key": api_keys, "end_user_token": end_user_tokens}
_FIND: Final = union_all(
    select(
        literal("member").label("type"),
        cast(members.c.id, Text).label("id"),
        members.c.name,
        members.c.email.label("detail"),
    ).where(in_list(members.c.id, "member")),
    select(
        literal("end_user"),
        end_users.c.end_user_id,
        end_users.c.name,
        func.coalesce(end_users.c.email, end_users.c.end_user_id),
    ).where(end_users.c.organization_id == bindparam("organization"), in_list(end_users.c.end_user_id, "end_user")),
    *(
        select(literal(kind), cast(table.c.id, Text), table.c.name, table.c.prefix).where(
            in_list(table.c.id, kind), table.c.organization_id == bindparam("organization")
        )
        for kind, table in _OWNED.items()
    ),
)


async def find_names(
    tx: Transaction, organization_id: str, actors: Iterable[tuple[str, str | None]]
) -> dict[ActorKey, ActorName]:
    """Return the names of the members, end users, API keys and end-user tokens among these actors.

    `actors`: types and ids from rows of the organization, because a member who has left the organization keeps the
    name. Other actors, and deleted ones, have no name.
    """
    ids: dict[str, list[str]] = {kind: [] for kind in ("member", "end_user", *_OWNED)}
    for kind, actor_id in set(actors):
        if kind in ids and actor_id is not None and (kind == "end_user" or is_id(actor_id)):
            ids[kind].append(actor_id)
    if not any(ids.values()):
        return {}
    rows = await tx.all(_FIND, _Named, organization=organization_id, **ids)
    return {(row.type, row.id): ActorName(row.name, row.detail) for row in rows}
