"""Serve `/v1/end-users`: the users of an organization's product (end users)."""

from dataclasses import replace
from typing import Annotated, TypeAlias

from fastapi import HTTPException, Query
from pydantic import AfterValidator

from one_runtime.api.conditions import Conditional
from one_runtime.api.described import Described
from one_runtime.api.disconnect import RevocationAnswer
from one_runtime.api.fields import (
    Answer,
    Body,
    Limit,
    Metadata,
    Moment,
    Several,
    Text,
    TextCursor,
    Time,
    example,
    next_cursor,
    require_metadata,
)
from one_runtime.api.merge_patch import merge_patch
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.db.engine import Transaction
from one_runtime.errors import NotFound
from one_runtime.lifecycle.disconnect import forget_end_user
from one_runtime.tenancy import end_users
from one_runtime.tenancy.end_users import EndUser, EndUserFilter

router = Routes("End users")


def _present(identifier: str) -> str:
    if not identifier:
        raise HTTPException(404)  # the path ends in a slash, and is the path of no route
    return identifier


PathIdentifier: TypeAlias = Annotated[str, AfterValidator(_present)]
"""The identifier of an end user in a path. The identifier may contain slashes."""


class EndUserAnswer(Answer, title="EndUser"):
    """A user of your product. `end_user_id`: your own identifier of this user."""

    end_user_id: str
    name: Annotated[str | None, Described("The end user's name, or null.", "Ada Lovelace")]
    email: str | None
    created_at: Time
    updated_at: Time
    metadata: Metadata


class EndUserPage(Answer):
    """A page of end users, ordered by identifier. `next_cursor` is null on the last page."""

    end_users: Annotated[list[EndUserAnswer], Described("The end users, ordered by identifier.")]
    next_cursor: str | None


class EndUserQuery(Body):
    """Filters, and the page to return. `since` and `until` select by the time of creation."""

    end_user_id: Several[Text] = []
    email: Several[Text] = []
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 100
    cursor: TextCursor = None


class PatchEndUser(Body, title="EndUserUpdate"):
    """The fields to change, as a JSON Merge Patch (RFC 7396). An omitted field keeps its value, and null clears it.

    `metadata`: each key changes only this key. A key with null removes the key. With null instead of an object, all
    keys are removed.
    """

    model_config = example(metadata={"plan": "pro"})

    name: Text | None = None
    email: Text | None = None
    metadata: Metadata | None = None


class ForgottenEndUser(EndUserAnswer, title="DeletedEndUser"):
    """The deleted end user as it last was, and the results of revoking the tokens."""

    deleted_connections: int
    revocations: list[RevocationAnswer]


@router.route("GET /v1/end-users", scope="read", summary="List end users")
async def list_end_users(
    caller: Authenticated, installation: Installed, query: Annotated[EndUserQuery, Query()]
) -> EndUserPage:
    """List the end users of your organization in pages, ordered by identifier."""
    matching = EndUserFilter(query.end_user_id, query.email, query.since, query.until)
    async with installation.database.read() as tx:
        rows = await end_users.list_page(
            tx, caller.organization_id, matching, limit=query.limit + 1, after=query.cursor
        )
    return EndUserPage(
        end_users=[EndUserAnswer.model_validate(row) for row in rows[: query.limit]],
        next_cursor=next_cursor([row.end_user_id for row in rows], query.limit),
    )


@router.route(
    "GET /v1/end-users/{end_user_id:path}",
    scope="read",
    errors=(NotFound,),
    conditional=True,
    summary="Read one end user",
)
async def get_end_user(
    end_user_id: PathIdentifier, caller: Authenticated, installation: Installed, conditions: Conditional
) -> EndUserAnswer:
    """Return an end user of your organization."""
    async with installation.database.read() as tx:
        return conditions.tag(
            EndUserAnswer.model_validate(await end_users.get(tx, caller.organization_id, end_user_id))
        )


@router.route(
    "PATCH /v1/end-users/{end_user_id:path}",
    scope="connect",
    errors=(NotFound,),
    conditional=True,
    summary="Change the name, e-mail address or metadata of an end user",
)
async def update_end_user(
    end_user_id: PathIdentifier,
    body: PatchEndUser,
    caller: Authenticated,
    installation: Installed,
    conditions: Conditional,
) -> EndUserAnswer:
    """Change an end user. The body is a JSON Merge Patch (RFC 7396).

    A request that changes nothing writes no event, and `updated_at` stays the same.
    """
    async with installation.database.write() as tx:
        present = await end_users.get(tx, caller.organization_id, end_user_id, lock=True)
        conditions.require(lambda: EndUserAnswer.model_validate(present))
        fields = {"name": present.name, "email": present.email, "metadata": present.metadata}
        merged = merge_patch(fields, body.model_dump(exclude_unset=True))
        metadata = require_metadata(merged.get("metadata", {}))
        changed = replace(present, name=merged.get("name"), email=merged.get("email"), metadata=metadata)
        saved = await end_users.save(tx, caller.actor, present, changed, installation.clock())
    return conditions.tag(EndUserAnswer.model_validate(saved))


@router.route(
    "DELETE /v1/end-users/{end_user_id:path}",
    scope="admin",
    errors=(NotFound, *UNREADABLE_CREDENTIALS),
    conditional=True,
    summary="Delete an end user",
)
async def delete_end_user(
    end_user_id: PathIdentifier, caller: Authenticated, installation: Installed, conditions: Conditional
) -> ForgottenEndUser:
    """Delete an end user, and all connections, credentials and sessions of this end user.

    The response has the end user as it last was. It is the last place with these values, so do not log it.

    One Runtime removes the end user's identifier from all events of the audit log. Only webhook endpoints receive the
    identifier, with the event `end_user.deleted`.
    """
    if "\x00" in end_user_id:
        raise NotFound("There is no such end user.")

    async def read(_: Transaction, end_user: EndUser) -> EndUserAnswer:
        return EndUserAnswer.model_validate(end_user)

    deleted = await forget_end_user(installation, caller.actor, end_user_id, conditions.on(read))
    return ForgottenEndUser(
        **dict(EndUserAnswer.model_validate(deleted.end_user)),
        deleted_connections=len(deleted.disconnected),
        revocations=RevocationAnswer.of_all(deleted.disconnected),
    )
