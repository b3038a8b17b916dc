"""Agents of the organization's end users: their tokens, paused programs and approvals."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from starlette.responses import Response

from one_runtime.agents import approvals, paused_runs
from one_runtime.agents.authorization.resources import address_of
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import find_labels
from one_runtime.dashboard.visit import Visit
from one_runtime.db.ids import is_id
from one_runtime.errors import NotFound
from one_runtime.tenancy import end_user_tokens
from one_runtime.tenancy.end_user_tokens import EndUserToken

ROWS: Final = 50
_MAX_END_USER: Final = 255

pages = Pages({"revoked": "The token is revoked. The agent has no access from now on."})


@pages.get(f"{ORGANIZATION}/agents", access="read")
async def list_tokens(visit: Visit) -> Response:
    """Show the address of the MCP endpoint, and the tokens of agents."""
    end_user_id = visit.query("end_user_id").replace("\0", "")[:_MAX_END_USER]
    async with visit.installation.database.read() as tx:
        rows = await end_user_tokens.list_page(
            tx, visit.organization_id, end_user_id or None, limit=ROWS + 1, before=_before(visit)
        )
        labels = await find_labels(visit, tx, [row.end_user_id for row in rows])
    chosen = {"end_user_id": end_user_id} if end_user_id else {}
    return visit.render(
        "agents.html",
        title="Agents",
        mcp_url=address_of(visit.installation.settings, visit.organization_id),
        labels=labels,
        tokens=[(token, status_of(token, visit.now)) for token in rows[:ROWS]],
        end_user_id=end_user_id,
        older=visit.path("agents", **chosen, before=rows[ROWS - 1].id) if len(rows) > ROWS else None,
        first=visit.path("agents", **chosen) if _before(visit) else None,
    )


@pages.post(f"{ORGANIZATION}/agents/tokens/{{end_user_token_id}}/revoke", access="use")
async def revoke_token(visit: Visit) -> Response:
    """Revoke the token of an agent."""
    async with visit.installation.database.write() as tx:
        try:
            await end_user_tokens.revoke(tx, visit.actor, visit.parameter("end_user_token_id"), visit.now)
        except NotFound as error:
            raise NotFound("There is no such token. One Runtime deletes a token 30 days after its expiry.") from error
    return visit.redirect("agents", done="revoked")


@pages.get(f"{ORGANIZATION}/agents/approvals", access="read")
async def list_approvals(visit: Visit) -> Response:
    """Show the calls that end users have to approve, and their answers."""
    async with visit.installation.database.read() as tx:
        rows = await approvals.list_page(tx, visit.organization_id, limit=ROWS + 1, before=_before(visit))
        labels = await find_labels(visit, tx, [row.end_user_id for row in rows])
    return visit.render(
        "agent_approvals.html",
        title="Approvals",
        labels=labels,
        requests=[(request, request.status(visit.now)) for request in rows[:ROWS]],
        older=_older(visit, "approvals", [row.id for row in rows]),
        first=visit.path("agents", "approvals") if _before(visit) else None,
    )


@pages.get(f"{ORGANIZATION}/agents/programs", access="read")
async def list_programs(visit: Visit) -> Response:
    """Show the programs of agents that wait for their end users."""
    async with visit.installation.database.read() as tx:
        rows = await paused_runs.list_page(tx, visit.organization_id, visit.now, limit=ROWS + 1, before=_before(visit))
        labels = await find_labels(visit, tx, [row.end_user_id for row in rows])
    return visit.render(
        "agent_programs.html",
        title="Paused programs",
        labels=labels,
        runs=rows[:ROWS],
        older=_older(visit, "programs", [row.id for row in rows]),
        first=visit.path("agents", "programs") if _before(visit) else None,
    )


def status_of(token: EndUserToken, now: datetime) -> str:
    """Return `active`, `expired`, `revoked`, or `renewable` for an expired token that its OAuth client can renew."""
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at > now:
        return "active"
    can_renew = token.refresh_expires_at is not None and token.refresh_expires_at > now
    return "renewable" if can_renew else "expired"


def _before(visit: Visit) -> str | None:
    cursor = visit.query("before")
    return cursor if is_id(cursor) else None


def _older(visit: Visit, page: str, ids: Sequence[str]) -> str | None:
    return visit.path("agents", page, before=ids[ROWS - 1]) if len(ids) > ROWS else None
