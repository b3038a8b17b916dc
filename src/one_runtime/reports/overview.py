"""Read the numbers of an organization, the items that need attention, and the first steps, for the dashboard.

One statement reads the numbers, and one reads the items. Their cost has a bound that does not depend on the number of
connections, calls and events. So a count ends at a maximum, and the list has only a few items of each kind.

The oldest events of an organization show which first steps its people have done. The demo creates data of its own, and
its events have no person as actor, so they do not count.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Subquery,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    union_all,
)

from one_runtime.db.engine import Transaction
from one_runtime.db.schema import (
    ID,
    TIME,
    connections,
    credentials,
    end_users,
    events,
    oauth_clients,
    organizations,
    usage_hours,
    webhook_endpoints,
)
from one_runtime.proxy import usage
from one_runtime.tenancy.event_types import EventType
from one_runtime.webhooks.endpoints import without_query

PERIOD: Final = timedelta(days=30)
"""Time after the creation of an organization for which the organization is new."""

SEARCHED: Final = 2_000
"""Number of the oldest events that are compared."""

_CHANGED: Final = events.c.data.op("->>", return_type=Text())(literal_column("'changed'"))


class DoneSteps(NamedTuple):
    """The first steps. A field is True if a person has done the step.

    - `integration`: changed the list of enabled integrations, registered an OAuth client, or added a custom
      integration.
    - `api_key`: created an API key.
    - `connection`: connected an account.
    - `link`: created a link to connect again, in the dashboard.
    - `invitation`: invited a colleague, in the dashboard.
    """

    integration: bool
    api_key: bool
    connection: bool
    link: bool
    invitation: bool


def done_steps() -> Subquery:
    """Return one row: the column `is_new`, and the columns of `DoneSteps` with 1 for each step that was done.

    Parameters: `organization`, and `new_since`. An organization that was created before this time is not new. Then the
    statement reads no event.
    """
    organization = bindparam("organization", type_=ID)
    created_at = select(organizations.c.created_at).where(organizations.c.id == organization).scalar_subquery()
    is_new = created_at >= bindparam("new_since", type_=TIME)
    oldest = (
        select(events.c.type, events.c.actor_type, events.c.actor_id, events.c.connection_id, _CHANGED.label("changed"))
        .where(events.c.organization_id == organization, is_new)
        .order_by(events.c.id)
        .limit(SEARCHED)
        .subquery()
    )
    columns, by_person = oldest.c, oldest.c.actor_id.is_not(None)

    def is_type(*kinds: EventType) -> ColumnElement[bool]:
        return or_(*(columns.type == kind for kind in kinds))

    by_member = columns.actor_type == "member"
    enabled = and_(is_type(EventType.ORGANIZATION_UPDATED), columns.changed.contains("integrations_"))
    steps = {
        "integration": and_(
            by_person, or_(enabled, is_type(EventType.OAUTH_CLIENT_UPDATED, EventType.CUSTOM_INTEGRATION_CREATED))
        ),
        "api_key": and_(by_person, is_type(EventType.API_KEY_CREATED)),
        "connection": is_type(EventType.CONNECTION_CREATED),
        "link": and_(
            by_member, is_type(EventType.HOSTED_CONNECTION_SESSION_CREATED), columns.connection_id.is_not(None)
        ),
        "invitation": and_(by_member, is_type(EventType.MEMBER_INVITED)),
    }
    flags = [func.coalesce(func.max(case((steps[name], 1), else_=0)), 0).label(name) for name in DoneSteps._fields]
    return select(case((is_new, 1), else_=0).label("is_new"), *flags).subquery()


COUNTED: Final = 10_000
"""Highest number of end users and of connections that a count returns."""

SCANNED: Final = 12_000
"""Approximate number of connections among which connected end users are counted."""

SHOWN: Final = 5
"""Maximum number of items of one kind."""

MIN_CALLS: Final = 20
"""With fewer calls, the share of failures says little."""

FAILING_SHARE: Final = 10
"""An integration needs attention if at least one of this number of calls failed."""

SAMPLED: Final = 200
"""Number of credentials of an OAuth client that are compared with the client, because no index finds refused clients.

If a provider refuses a client, all refreshes with this client fail. So after some hours, nearly all credentials show
the refusal.
"""

AttentionKind: TypeAlias = Literal["connection", "webhook_endpoint", "integration", "oauth_client"]


class BoundedCount(NamedTuple):
    """A number of rows. `is_exact`: False if there can be more rows."""

    value: int
    is_exact: bool


@dataclass(frozen=True, slots=True)
class OverviewNumbers:
    """Numbers of an organization.

    - `end_users`: end users with an active connection.
    - `needs_reauth`: connections whose end user has to connect again.
    - `webhook_endpoints`: endpoints that are not paused. `failing_endpoints`: those that fail or are disabled.
    - `steps`: the first steps that people have done, or None if the organization is not new.
    """

    end_users: BoundedCount
    needs_reauth: BoundedCount
    webhook_endpoints: int
    failing_endpoints: int
    steps: DoneSteps | None


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that a member of the organization has to repair.

    - `id`: the id of the connection, the webhook endpoint or the OAuth client. None for an integration.
    - `subject`: the slug of the integration, or the URL of the webhook endpoint without its query. None for an endpoint
      of the kind `pull`.
    - `code`, `message`: the error of a connection. `code` is also the reason why an endpoint is disabled, or None.
    - `since`: time of the last change of a connection, or of the first failed attempt at an endpoint. None otherwise.
    - `calls`, `failures`: calls of an integration, or failed attempts at an endpoint. 0 otherwise.
    """

    kind: AttentionKind
    id: str | None
    subject: str | None
    end_user_id: str | None
    end_user_name: str | None
    end_user_email: str | None
    code: str | None
    message: str | None
    since: datetime | None
    calls: int
    failures: int


class _NumbersRow(NamedTuple):
    end_users: int
    is_complete: bool
    needs_reauth: int
    webhook_endpoints: int
    failing_endpoints: int
    is_new: bool
    integration: bool
    api_key: bool
    connection: bool
    link: bool
    invitation: bool


def _mine(table: Table) -> ColumnElement[bool]:
    return table.c.organization_id == bindparam("organization", type_=ID)


# A literal and not a parameter, because a generic plan of PostgreSQL uses a partial index only for a literal.
_NEEDS_REAUTH: Final = and_(_mine(connections), connections.c.status == literal_column("'needs_reauth'"))
_FAILS: Final = or_(
    webhook_endpoints.c.status == "disabled",
    and_(webhook_endpoints.c.status == "active", webhook_endpoints.c.failing_since.is_not(None)),
)


def _numbers() -> Select[Any]:
    def number(table: Any, *conditions: ColumnElement[bool]) -> Any:
        return select(func.count()).select_from(table).where(*conditions).scalar_subquery()

    # The index yields the end users in order. So the databases compare each row only with the row before, if the
    # condition limits the rows. A limit of the rows themselves would cost a sort.
    end_user, rows = connections.c.end_user_id, select(connections.c.end_user_id).where(_mine(connections))
    edge = select(rows.order_by(end_user).limit(1).offset(SCANNED).scalar_subquery().label("end_user_id")).cte("edge")
    edge_or_last = func.coalesce(
        select(edge.c.end_user_id).scalar_subquery(),
        select(func.max(end_user)).where(_mine(connections)).scalar_subquery(),
    )
    connected = (
        rows.where(connections.c.status == "active", end_user <= edge_or_last).distinct().limit(COUNTED + 1).subquery()
    )
    refused = select(connections.c.id).where(_NEEDS_REAUTH).limit(COUNTED + 1).subquery()
    steps = done_steps()
    is_used = or_(*(webhook_endpoints.c.status == status for status in ("active", "disabled")))
    return select(
        number(connected).label("end_users"),
        select(edge.c.end_user_id.is_(None)).scalar_subquery().label("is_complete"),
        number(refused).label("needs_reauth"),
        number(webhook_endpoints, _mine(webhook_endpoints), is_used).label("webhook_endpoints"),
        number(webhook_endpoints, _mine(webhook_endpoints), _FAILS).label("failing_endpoints"),
        *steps.c,
    ).select_from(steps)


_TEXTS: Final = ("subject", "end_user_id", "end_user_name", "end_user_email", "code", "message")


def _items(kind: AttentionKind, source: FromClause, **columns: ColumnElement[Any]) -> Select[Any]:
    """Select the items of one kind. A column without a value is null or 0."""
    values: dict[str, ColumnElement[Any]] = {
        "id": cast(null(), ID),
        **dict.fromkeys(_TEXTS, cast(null(), Text)),
        "since": cast(null(), TIME),
        **dict.fromkeys(("calls", "failures"), cast(0, BigInteger)),
        **columns,
    }
    text: ColumnElement[str] = literal_column(f"'{kind}'", Text)
    return select(text.label("kind"), *(value.label(name) for name, value in values.items())).select_from(source)


def _refused_clients() -> Select[Any]:
    sample = (
        select(credentials.c.refused_client_version)
        .where(credentials.c.oauth_client_id == oauth_clients.c.id)
        .limit(SAMPLED)
        .correlate(oauth_clients)
        .subquery()
    )
    client = (
        select(oauth_clients.c.id, oauth_clients.c.integration_slug)
        .where(
            _mine(oauth_clients),
            oauth_clients.c.retired_at.is_(None),
            exists().where(sample.c.refused_client_version == oauth_clients.c.version),
        )
        .limit(SHOWN)
        .subquery()
    )
    return _items("oauth_client", client, id=client.c.id, subject=client.c.integration_slug)


def _failing_integrations() -> Select[Any]:
    calls, failures = func.sum(usage_hours.c.calls), func.sum(usage_hours.c.failures)
    integration = (
        usage.BY_INTEGRATION.having(calls >= MIN_CALLS, failures * FAILING_SHARE >= calls)
        .order_by(failures.desc())
        .limit(SHOWN)
        .subquery()
    )
    numbers = {"calls": integration.c.calls, "failures": integration.c.failures}
    return _items("integration", integration, subject=integration.c.integration_slug, **numbers)


def _failing_endpoints() -> Select[Any]:
    endpoint = (
        select(webhook_endpoints)
        .where(_mine(webhook_endpoints), _FAILS)
        .order_by(webhook_endpoints.c.id.desc())
        .limit(SHOWN)
        .subquery()
    )
    return _items(
        "webhook_endpoint",
        endpoint,
        id=endpoint.c.id,
        subject=endpoint.c.url,
        code=endpoint.c.disabled_reason,
        since=endpoint.c.failing_since,
        failures=endpoint.c.failed_attempts,
    )


def _refused_connections() -> Select[Any]:
    connection = (
        select(
            connections.c.id,
            connections.c.integration_slug,
            connections.c.end_user_id,
            _error("code").label("code"),
            _error("message").label("message"),
            connections.c.updated_at,
        )
        .where(_NEEDS_REAUTH)
        .order_by(connections.c.id.desc())
        .limit(SHOWN)
        .subquery()
    )
    person = and_(_mine(end_users), end_users.c.end_user_id == connection.c.end_user_id)
    return _items(
        "connection",
        connection.outerjoin(end_users, person),
        id=connection.c.id,
        subject=connection.c.integration_slug,
        end_user_id=connection.c.end_user_id,
        end_user_name=end_users.c.name,
        end_user_email=end_users.c.email,
        code=connection.c.code,
        message=connection.c.message,
        since=connection.c.updated_at,
    )


def _error(name: str) -> ColumnElement[str]:
    # `->>` and its right side are the same text in PostgreSQL and in SQLite.
    return connections.c.error.op("->>", return_type=Text())(literal_column(f"'{name}'"))


_NUMBERS: Final = _numbers()
_ITEMS: Final = union_all(_refused_clients(), _failing_integrations(), _failing_endpoints(), _refused_connections())
_ORDER: Final[tuple[AttentionKind, ...]] = ("oauth_client", "integration", "webhook_endpoint", "connection")


async def read_numbers(tx: Transaction, organization_id: str, *, new_since: datetime) -> OverviewNumbers:
    """Return the numbers of an organization. `new_since`: an organization that was created later is new."""
    row = await tx.one(_NUMBERS, _NumbersRow, organization=organization_id, new_since=new_since)
    assert row is not None  # noqa: S101 - an aggregate returns one row
    end_users = BoundedCount(min(row.end_users, COUNTED), row.is_complete and row.end_users <= COUNTED)
    needs_reauth = BoundedCount(min(row.needs_reauth, COUNTED), row.needs_reauth <= COUNTED)
    steps = DoneSteps(*map(bool, row[-len(DoneSteps._fields) :])) if row.is_new else None
    return OverviewNumbers(end_users, needs_reauth, row.webhook_endpoints, row.failing_endpoints, steps)


async def list_attention_items(tx: Transaction, organization_id: str, since: datetime) -> list[AttentionItem]:
    """Return at most `SHOWN` items of each kind. Items that concern many end users are first.

    - the OAuth clients that the provider refuses.
    - the integrations with the most failed calls since the hour of `since`.
    - the webhook endpoints that fail or are disabled.
    - the newest connections whose end user has to connect again.
    """
    start = usage.start_of_hour(since)
    items = await tx.all(_ITEMS, AttentionItem, organization=organization_id, since=start)
    return sorted(map(_with_public_url, items), key=lambda item: _ORDER.index(item.kind))


def _with_public_url(item: AttentionItem) -> AttentionItem:
    """Return an endpoint without the query of its URL, which can contain a secret."""
    if item.kind != "webhook_endpoint" or item.subject is None:
        return item
    return replace(item, subject=without_query(item.subject))
