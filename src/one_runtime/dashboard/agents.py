"""Agents of the organization's end users: their tokens, runs, paused programs and approvals."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from starlette.responses import Response

from one_runtime.agents import approvals, paused_runs, runs
from one_runtime.agents.authorization.resources import address_of
from one_runtime.agents.runs import AgentRun, AgentRunPage
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.end_user_labels import find_labels, label_of
from one_runtime.dashboard.end_user_paths import identifier_of
from one_runtime.dashboard.quantities import number
from one_runtime.dashboard.requests import OUTCOME_TEXTS, RequestQuery, badge_of
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.db.ids import is_id
from one_runtime.errors import InvalidInput, NotFound
from one_runtime.tenancy import end_user_tokens
from one_runtime.tenancy.end_user_tokens import EndUserToken

ROWS: Final = 50
CALLS: Final = 100
"""Maximum number of calls on the page of a run."""
_MAX_END_USER: Final = 255

pages = Pages({"revoked": "The token is revoked. The agent has no access from now on."})


@pages.get(f"{ORGANIZATION}/agents", access="read")
async def list_tokens(visit: Visit) -> Response:
    """Show the address of the MCP endpoint, and the tokens of agents."""
    end_user_id = visit.query("end_user_id")[:_MAX_END_USER]
    async with visit.installation.database.read() as tx:
        rows = await end_user_tokens.list_page(
            tx, visit.organization_id, identifier_of(end_user_id) or None, limit=ROWS + 1, before=_before(visit)
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
        rows = await approvals.REQUESTS.list_page(tx, visit.organization_id, limit=ROWS + 1, before=_before(visit))
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


@pages.get(f"{ORGANIZATION}/agents/runs", access="read")
async def list_runs(visit: Visit) -> Response:
    """Show the programs and the single calls of agents, newest first."""
    query, errors, page = RequestQuery.read(visit.request.query_params), None, AgentRunPage([], None)
    try:
        matching = replace(query.filter(), of_agents=True)
    except InvalidInput as error:
        errors = FormErrors.of(error, tuple(query.values))
    else:
        async with visit.installation.database.read() as tx:
            page = await runs.list_page(tx, visit.organization_id, matching, visit.now, limit=ROWS, before=visit.cursor)
    path = visit.path("agents", "runs", **query.given)
    return visit.render(
        "agent_runs.html",
        title="Runs",
        status=422 if errors else 200,
        query=query,
        errors=errors,
        runs=page.runs,
        outcomes=[("failed", OUTCOME_TEXTS["failed"]), ("2xx", OUTCOME_TEXTS["2xx"])],
        older=visit.path("agents", "runs", **query.given, before=page.next_cursor) if page.next_cursor else None,
        first=path if visit.cursor else None,
        scanned=runs.SCANNED,
        badge_of=badge_of_run,
        label_of=label_of,
    )


@pages.get(f"{ORGANIZATION}/agents/runs/{{run_id}}", access="read")
async def show_run(visit: Visit) -> Response:
    """Show a program with its calls."""
    run_id, after = visit.parameter("run_id"), visit.query("after")
    async with visit.installation.database.read() as tx:
        details = await runs.find(
            tx, visit.organization_id, run_id, visit.now, limit=CALLS, after=after if is_id(after) else None
        )
    calls = details.calls
    return visit.render(
        "agent_run.html",
        title="Program",
        run_id=run_id,
        run=details.run,
        paused=details.paused,
        calls=calls,
        later=visit.path("agents", "runs", run_id, after=calls[-1].id) if details.has_more else None,
        first=visit.path("agents", "runs", run_id) if after else None,
        badge_of=badge_of,
        label_of=label_of,
        badge=badge_of_run(details.run) if details.run else ("Waiting", "wait"),
    )


def badge_of_run(run: AgentRun) -> tuple[str, str]:
    """Return the text and the kind of the badge for the status of a run."""
    if run.paused == "waiting":
        return "Waits for the end user", "wait"
    if run.paused == "running":
        return "Continues", "good"
    if not run.failures:
        return "No failed call", "good"
    if run.calls == 1:
        return "The call failed", "bad"
    return f"{number(run.failures)} of {number(run.calls)} calls failed", "bad"


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
