"""`/v1/end-users`: whom we know, and forgetting them."""

from typing import Annotated

from fastapi import Query

from one_runtime.api.disconnect import RevocationAnswer
from one_runtime.api.fields import Answer, Body, Limit, TextCursor, Time, next_cursor
from one_runtime.api.routing import UNREADABLE_CREDENTIALS, Authenticated, Installed, Routes
from one_runtime.connecting.disconnect import forget_end_user
from one_runtime.errors import NotFound
from one_runtime.tenancy import end_users

router = Routes("End users")


class EndUserAnswer(Answer, title="EndUser"):
    """A user of your product, as your backend named them in a session or a connection."""

    end_user_id: str
    name: str | None
    email: str | None
    created_at: Time
    updated_at: Time


class EndUserPage(Answer):
    """One page by identifier; `next_cursor` is null on the last one."""

    end_users: list[EndUserAnswer]
    next_cursor: str | None


class PageQuery(Body):
    """Which page."""

    limit: Limit = 100
    cursor: TextCursor = None


class ForgottenEndUser(Answer, title="DeletedEndUser"):
    """What was deleted."""

    end_user_id: str
    deleted_connections: int
    revocations: list[RevocationAnswer]


@router.get("/v1/end-users", scope="read", summary="List end users")
async def list_end_users(
    caller: Authenticated, installation: Installed, wanted: Annotated[PageQuery, Query()]
) -> EndUserPage:
    """End users of your organization by their identifier, in pages."""
    async with installation.database.read() as tx:
        found = await end_users.list_page(tx, caller.organization_id, limit=wanted.limit + 1, after=wanted.cursor)
    return EndUserPage(
        end_users=[EndUserAnswer.model_validate(one) for one in found[: wanted.limit]],
        next_cursor=next_cursor([one.end_user_id for one in found], wanted.limit),
    )


@router.delete(
    "/v1/end-users/{end_user_id:path}",  # an identifier may hold slashes
    scope="admin",
    errors=(NotFound, *UNREADABLE_CREDENTIALS),
    summary="Forget an end user",
)
async def delete_end_user(end_user_id: str, caller: Authenticated, installation: Installed) -> ForgottenEndUser:
    """Delete an end user with their connections, credentials and sessions, and take them out of the events."""
    if "\x00" in end_user_id:
        raise NotFound("There is no such end user.")
    removed = await forget_end_user(installation, caller.actor, end_user_id)
    return ForgottenEndUser(
        end_user_id=end_user_id,
        deleted_connections=len(removed),
        revocations=RevocationAnswer.of_all(removed),
    )
