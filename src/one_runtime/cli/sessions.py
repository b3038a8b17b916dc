"""`one-runtime sessions`: list, show and cancel hosted connection sessions of all organizations."""

from functools import partial
from typing import Annotated, Final

import typer

from one_runtime.cli.installed import run_installed
from one_runtime.cli.listing import check_organization, print_page, time_text
from one_runtime.cli.operators import operator_actor, record_command
from one_runtime.cli.options import (
    DEFAULT_LIMIT,
    AsJson,
    Cursor,
    EndUserId,
    IntegrationSlug,
    Limit,
    OrganizationId,
    Since,
    Until,
)
from one_runtime.cli.running import read
from one_runtime.cli.terminal import print_json, print_table
from one_runtime.clock import system_clock
from one_runtime.connecting import redirect_mode, session_search, sessions
from one_runtime.connecting.session_search import SessionFilter
from one_runtime.connecting.sessions import ConnectSession, Status
from one_runtime.context import Installation
from one_runtime.db.engine import Transaction
from one_runtime.db.scanning import Page, read_pages
from one_runtime.errors import NotFound
from one_runtime.tenancy.installation_events import InstallationEventType

app = typer.Typer()

SessionId = Annotated[str, typer.Argument(metavar="ID", help="Id of the session.")]

_COLUMNS: Final = {
    "id": "id",
    "created_at": "created",
    "organization_id": "organization",
    "end_user_id": "end user",
    "integration_slug": "integration",
    "mode": "mode",
    "status": "status",
    "last_error": "last error",
}


@app.command("list")
def list_sessions(  # noqa: PLR0913 - one argument for each option
    *,
    organization: OrganizationId = None,
    end_user: EndUserId = None,
    integration: IntegrationSlug = None,
    status: Annotated[Status | None, typer.Option(help="Status of the session.")] = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    as_json: AsJson = False,
) -> None:
    """List hosted connection sessions, newest first. The command shows no session token."""
    matching = SessionFilter(end_user, integration, status, since, until)

    async def find(tx: Transaction) -> Page[ConnectSession]:
        await check_organization(tx, organization)
        page = partial(session_search.list_newest, tx, organization, matching, system_clock())
        return await read_pages(page, limit=limit, cursor=cursor)

    rows, next_cursor = read(find)
    print_page([_describe(row) for row in rows], next_cursor, as_json=as_json, columns=_COLUMNS)


@app.command("show")
def show_session(session_id: SessionId, *, as_json: AsJson = False) -> None:
    """Show a hosted connection session. The command shows no session token."""
    _print(read(lambda tx: _find(tx, session_id)), as_json=as_json)


@app.command("cancel")
def cancel_session(session_id: SessionId, *, as_json: AsJson = False) -> None:
    """Cancel a session that has not ended. A session that has ended stays unchanged."""

    async def cancel(installation: Installation) -> ConnectSession:
        async with installation.database.read() as tx:
            session = await _find(tx, session_id)
        actor = operator_actor(session.organization_id)
        return await redirect_mode.cancel(installation, actor, session.id, _record_cancellation)

    _print(run_installed(cancel), as_json=as_json)


async def _record_cancellation(tx: Transaction, session: ConnectSession | None) -> None:
    """Write an event in the transaction of the change. The transaction has locked the session."""
    if session is not None and session.state(system_clock()) == "pending":
        ids = {"session_id": session.id, "organization_id": session.organization_id}
        await record_command(tx, InstallationEventType.HOSTED_CONNECTION_SESSION_CANCELLED, **ids)


async def _find(tx: Transaction, session_id: str) -> ConnectSession:
    session = await sessions.find_by_id(tx, session_id)
    if session is None:
        raise NotFound(f"There is no session {session_id[:64]!r}. `one-runtime sessions list` shows all sessions.")
    return session


def _print(session: ConnectSession, *, as_json: bool) -> None:
    described = _describe(session)
    if as_json:
        print_json(described)
    else:
        print_table([{"field": name, "value": value} for name, value in described.items()])


def _describe(session: ConnectSession) -> dict[str, object]:
    return {
        "id": session.id,
        "organization_id": session.organization_id,
        "status": session.state(system_clock()),
        "end_user_id": session.end_user_id,
        "integration_slug": session.integration_slug,
        "mode": session.mode,
        "return_url": session.return_url,
        "last_error": session.last_error,
        "connection_id": session.connection_id,
        "metadata": dict(session.metadata),
        "created_at": time_text(session.created_at),
        "opened_at": time_text(session.opened_at),
        "expires_at": time_text(session.expires_at),
    }
