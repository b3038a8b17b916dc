"""The actions on one connection: check, refresh, reconnect link, change and disconnect, with words for the results."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple, TypedDict

from starlette.responses import Response

from one_runtime.connections import connections as stored_connections
from one_runtime.connections.search import FoundConnection
from one_runtime.dashboard.connect_links import LinkRequest, respond_with_link
from one_runtime.dashboard.connection_views import BadgeKind, catalog_of, view
from one_runtime.dashboard.connections import find, render_connection
from one_runtime.dashboard.declarations import ORGANIZATION, Pages
from one_runtime.dashboard.visit import FormErrors, Visit
from one_runtime.dashboard.wording import problem_of
from one_runtime.errors import InvalidInput, NotFound, OneRuntimeError
from one_runtime.lifecycle import disconnect
from one_runtime.lifecycle.disconnect import DisconnectedConnection
from one_runtime.lifecycle.recheck import recheck
from one_runtime.tenancy.end_users import EndUser
from one_runtime.tokens.refresh import ReauthRequired, refresh
from one_runtime.validation.names import check_name

_CONNECTION: Final = f"{ORGANIZATION}/connections/{{connection_id}}"
_REAUTH: Final = "The tokens cannot be refreshed. The end user has to connect again."

pages = Pages()


@pages.post(f"{_CONNECTION}/check", access="connect")
async def check_connection(visit: Visit) -> Response:
    """Ask the provider whether the credential works."""
    connection_id = visit.parameter("connection_id")
    try:
        result = await recheck(visit.installation, visit.actor, connection_id)
    except NotFound:
        raise
    except OneRuntimeError as error:
        return await render_connection(
            visit, status=error.status, problem=f"The check has no result. {problem_of(error)}"
        )
    is_retried = result.outcome == "refused" and result.connection.status == "active"
    return visit.redirect("connections", connection_id, done="possibly_refused" if is_retried else result.outcome)


@pages.post(f"{_CONNECTION}/refresh", access="connect")
async def refresh_connection(visit: Visit) -> Response:
    """Refresh the tokens at the provider."""
    async with visit.installation.database.read() as tx:
        found = await find(visit, tx)
    try:
        await refresh(visit.installation, found.connection.key)
    except NotFound:
        raise
    except ReauthRequired as error:
        return await render_connection(visit, status=error.status, problem=_REAUTH)
    except OneRuntimeError as error:
        return await render_connection(visit, status=error.status, problem=f"The refresh failed. {problem_of(error)}")
    return visit.redirect("connections", found.id, done="refreshed")


@pages.post(f"{_CONNECTION}/link", access="connect")
async def create_link(visit: Visit) -> Response:
    """Create a link with which the end user connects this connection again."""
    async with visit.installation.database.read() as tx:
        found = await find(visit, tx)
        shown = view(visit, await catalog_of(visit, tx, [found]), found)
    connection = found.connection
    end_user = EndUser(connection.end_user_id, found.end_user_name, found.email, visit.now, visit.now)
    request = LinkRequest(end_user, connection.integration_slug, shown.integration_name, connection.id, connection.name)
    try:
        return await respond_with_link(visit, request)
    except NotFound:
        raise
    except OneRuntimeError as error:
        return await render_connection(visit, status=error.status, problem=f"There is no link. {problem_of(error)}")


@pages.post(f"{_CONNECTION}/rename", access="connect")
async def rename_connection(visit: Visit) -> Response:
    """Store a name. Without a name, the connection has the name of its account."""
    text = str((await visit.form()).get("name", ""))
    try:
        name = check_name("name", text) if text.strip() else None
    except InvalidInput as error:
        return await render_connection(visit, status=422, name=text, errors=FormErrors.of(error, ["name"]))
    return await _update(visit, "renamed", {"name": name})


@pages.post(f"{_CONNECTION}/default", access="connect")
async def set_default(visit: Visit) -> Response:
    """Make the connection the end user's default connection, or an ordinary one again."""
    is_default = (await visit.form()).get("is_default") == "yes"
    return await _update(visit, "default" if is_default else "ordinary", {"is_default": is_default})


class _Update(TypedDict, total=False):
    """The values that a member changes. A missing value stays as it is."""

    name: str | None
    is_default: bool


async def _update(visit: Visit, done: str, changed: _Update) -> Response:
    """Store the change, and show the connection with a message."""
    async with visit.installation.database.write() as tx:
        connection = await stored_connections.get_to_change(tx, visit.organization_id, visit.parameter("connection_id"))
        await stored_connections.update_connection(
            tx,
            visit.installation.catalogs,
            visit.actor,
            connection,
            visit.now,
            name=changed.get("name", connection.name),
            metadata=connection.metadata,
            is_default=changed.get("is_default", connection.is_default),
        )
    return visit.redirect("connections", connection.id, done=done)


@pages.post(f"{_CONNECTION}/disconnect", access="connect")
async def disconnect_connection(visit: Visit) -> Response:
    """Delete the connection, revoke its tokens, and show the result for each token."""
    async with visit.installation.database.read() as tx:
        found = await find(visit, tx)
        shown = view(visit, await catalog_of(visit, tx, [found]), found)
    deleted = await disconnect.delete_connection(visit.installation, visit.actor, found.id)
    return visit.render(
        "disconnected.html",
        title="Disconnected",
        sentence=f"The connection of {found.connection.end_user_id} with {shown.integration_name} is deleted.",
        outcome=summarize([deleted], [found]),
        back=visit.end_user_path(found.connection.end_user_id),
        back_text="Go to the end user",
    )


_SHOWN: Final = 100
_TOKENS: Final = {"access_token": "Access token", "refresh_token": "Refresh token", None: "Credential"}
_OUTCOMES: Final[dict[str, tuple[str, BadgeKind]]] = {
    "revoked": ("Revoked at the provider", "good"),
    "failed": ("Not revoked", "bad"),
    "not_supported": ("Deleted here", "plain"),
}
_NOT_SUPPORTED: Final = "One Runtime cannot revoke this credential at the provider."


class RevocationRow(NamedTuple):
    """The result for one token."""

    connection: str
    token: str
    outcome: str
    kind: BadgeKind
    reason: str | None


class RevocationSummary(NamedTuple):
    """The results for the tokens of deleted connections. `counts`: the number of results by outcome in words.

    `rows`: the first results. `deleted`: the number of deleted connections.
    """

    deleted: int
    rows: list[RevocationRow]
    counts: dict[str, int]

    @property
    def is_complete(self) -> bool:
        """Return True if the rows contain all results."""
        return len(self.rows) == sum(self.counts.values())


def summarize(deleted: Sequence[DisconnectedConnection], before: Sequence[FoundConnection]) -> RevocationSummary:
    """Return the results in words. `before`: connections that were read before their deletion, for their names."""
    names = {row.id: row.connection.name for row in before}
    rows = [
        RevocationRow(
            names.get(each.connection.id, each.connection.id),
            _TOKENS[result.token],
            *_OUTCOMES[result.outcome],
            result.reason or (_NOT_SUPPORTED if result.outcome == "not_supported" else None),
        )
        for each in deleted
        for result in each.revocations
    ]
    return RevocationSummary(len(deleted), rows[:_SHOWN], dict(Counter(row.outcome for row in rows)))
