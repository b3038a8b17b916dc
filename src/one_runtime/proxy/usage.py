"""Count the proxy calls of each hour, by organization, integration and source (docs/decisions/0048-usage-hours.md).

The request log adds the calls of a batch in the transaction that stores the batch. Further rows count the calls of all
integrations in each hour and in each day, so that a plot of 30 days reads 30 rows. The counts contain no end user. No
task deletes the rows of past hours.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import ColumnElement, Select, bindparam, case, func, literal_column, or_, select, tuple_

from one_runtime.clock import rfc3339
from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.schema import organizations, usage_hours
from one_runtime.db.upsert import insert

if TYPE_CHECKING:  # `request_log` imports this module
    from one_runtime.proxy.request_log import LoggedRequest

Source: TypeAlias = Literal["proxy", "agent", "hour", "day"]

ALL: Final = "*"
"""Value of `integration_slug` in the rows with totals. Their `source` is the length of the period: `hour` or `day`."""

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UsageHour:
    """Counts of one organization's calls in one hour, with one integration, from one source. Or a total (`ALL`).

    - `hour`: start of the hour in UTC, in which the calls ended. For the total of a day, start of the day.
    - `source`: `agent` for the calls with an end-user token, otherwise `proxy`.
    - `failures`: calls that `is_failure` selects.
    - `duration_ms_sum`, `duration_ms_max`: sum and maximum of the durations, in milliseconds.
    """

    organization_id: str
    hour: datetime
    integration_slug: str
    source: Source
    calls: int
    failures: int
    duration_ms_sum: int
    duration_ms_max: int
    request_bytes: int
    response_bytes: int


class Usage(NamedTuple):
    """Counts of the calls in a period. `start`: start of the period in UTC. Durations are in milliseconds."""

    start: datetime
    calls: int = 0
    failures: int = 0
    duration_ms_sum: int = 0
    duration_ms_max: int = 0

    @property
    def average_ms(self) -> float:
        """Return the average duration of a call, or 0 without calls."""
        return self.duration_ms_sum / self.calls if self.calls else 0.0


class Totals(NamedTuple):
    """Counts of all calls by hour and by day, oldest first. The last hour and the last day are the present ones."""

    hours: list[Usage]
    days: list[Usage]


class _Total(NamedTuple):
    source: Source
    start: datetime
    calls: int
    failures: int
    duration_ms_sum: int
    duration_ms_max: int


class IntegrationUsage(NamedTuple):
    """Counts of the calls with one integration."""

    integration_slug: str
    calls: int
    failures: int


_COUNTED: Final = ("calls", "failures", "duration_ms_sum", "request_bytes", "response_bytes")
_KEY: Final = ("organization_id", "hour", "integration_slug", "source")
_COLUMNS: Final = tuple(UsageHour.__dataclass_fields__)
# The statement inserts nothing for a deleted organization. Otherwise, the foreign key would refuse the whole batch.
_ROW: Final = (
    select(*(bindparam(f"new_{name}", type_=usage_hours.c[name].type) for name in _COLUMNS))
    .select_from(organizations)
    .where(organizations.c.id == bindparam("new_organization_id", type_=organizations.c.id.type))
    .with_for_update(read=True, key_share=True, of=organizations)
)
_INSERT: Final = insert(usage_hours).from_select(list(_COLUMNS), _ROW)
_STORED, _NEW = usage_hours.c.duration_ms_max, _INSERT.excluded.duration_ms_max
_ADD: Final = _INSERT.on_conflict_do_update(
    index_elements=[usage_hours.c[name] for name in _KEY],
    set_={
        **{name: usage_hours.c[name] + _INSERT.excluded[name] for name in _COUNTED},
        "duration_ms_max": case((_NEW > _STORED, _NEW), else_=_STORED),
    },
)


def _sum(column: ColumnElement[int]) -> ColumnElement[int]:
    return func.sum(column).label(column.key)


_MINE: Final = usage_hours.c.organization_id == bindparam("organization")
_SINCE: Final = usage_hours.c.hour >= bindparam("since")
_IS_TOTAL: Final = usage_hours.c.integration_slug == literal_column(f"'{ALL}'")
# The list of starts makes the databases look up each total. With a range, they would read the rows of all integrations.
_TOTALS: Final[Select[Any]] = select(
    usage_hours.c.source,
    usage_hours.c.hour.label("start"),
    *(usage_hours.c[name] for name in ("calls", "failures", "duration_ms_sum", "duration_ms_max")),
).where(_MINE, in_list(usage_hours.c.hour, "starts"), _IS_TOTAL)
BY_INTEGRATION: Final[Select[Any]] = (
    select(usage_hours.c.integration_slug, _sum(usage_hours.c.calls), _sum(usage_hours.c.failures))
    .where(_MINE, _SINCE, ~_IS_TOTAL)
    .group_by(usage_hours.c.integration_slug)
)
"""Counts of each integration. Parameters: `organization`, and `since`, the start of the first hour."""

_ORDER: Final = tuple(usage_hours.c[name] for name in ("hour", "integration_slug", "source"))
_PAGE: Final[Select[Any]] = (
    select(*(usage_hours.c[name] for name in _COLUMNS))
    .where(
        _MINE,
        ~_IS_TOTAL,
        tuple_(*_ORDER) > tuple_(*(bindparam(column.key, type_=column.type) for column in _ORDER)),
    )
    .order_by(*_ORDER)
    .limit(bindparam("limit"))
)
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Earlier than every row."""


def is_failure(call: "LoggedRequest") -> bool:
    """Return True for a call with an HTTP status of 400 or above, or with an error of One Runtime.

    A call that the caller cancelled has the status 0 and no error. Such a call is not a failure.
    """
    return call.status >= 400 or call.error is not None


def failure_condition(columns: Any) -> ColumnElement[bool]:
    """Return the same condition in SQL. `columns`: the columns `status` and `error` of calls."""
    return or_(columns.status >= 400, columns.error.is_not(None))


def count(calls: Iterable["LoggedRequest"]) -> list[UsageHour]:
    """Return the counts of the calls in the order of the primary key, with totals.

    Because of the order, two transactions that add counts cannot wait for each other (a deadlock).
    """
    counts: dict[tuple[str, datetime, str, Source], list[int]] = {}
    for call in calls:
        source: Source = "proxy" if call.end_user_token_id is None else "agent"
        hour, failed = start_of_hour(call.at), is_failure(call)
        places: tuple[tuple[datetime, str, Source], ...] = (
            (hour, call.integration_slug, source),
            (hour, ALL, "hour"),
            (hour.replace(hour=0), ALL, "day"),
        )
        for place in places:
            key = (call.organization_id, *place)
            numbers = counts.get(key)
            if numbers is None:
                numbers = counts[key] = [0, 0, 0, 0, 0, 0]
            numbers[0] += 1
            numbers[1] += failed
            numbers[2] += call.duration_ms
            numbers[3] = max(numbers[3], call.duration_ms)
            numbers[4] += call.request_bytes
            numbers[5] += call.response_bytes
    return [UsageHour(*key, *numbers) for key, numbers in sorted(counts.items())]


async def add(tx: Transaction, calls: Iterable["LoggedRequest"]) -> None:
    """Add calls to the counts of their hours. Omit the calls of organizations that were deleted after the call."""
    rows = [{f"new_{name}": getattr(row, name) for name in _COLUMNS} for row in count(calls)]
    await tx.execute_many(_ADD, rows)


async def read_totals(tx: Transaction, organization_id: str, now: datetime, *, hours: int, days: int) -> Totals:
    """Return the counts of the last hours and of the last days in UTC, also of those without calls."""
    hour = start_of_hour(now)
    hour_starts = [hour - index * HOUR for index in reversed(range(hours))]
    day_starts = [hour.replace(hour=0) - index * DAY for index in reversed(range(days))]
    starts = [rfc3339(start) for start in {*hour_starts, *day_starts}]
    rows = await tx.all(_TOTALS, _Total, organization=organization_id, starts=starts)
    found = {(source, start): Usage(start, *counts) for source, start, *counts in rows}
    return Totals(
        [found.get(("hour", start), Usage(start)) for start in hour_starts],
        [found.get(("day", start), Usage(start)) for start in day_starts],
    )


async def read_integrations(tx: Transaction, organization_id: str, since: datetime) -> list[IntegrationUsage]:
    """Return the counts of each integration with calls, from the hour that contains `since`."""
    return await tx.all(BY_INTEGRATION, IntegrationUsage, organization=organization_id, since=start_of_hour(since))


async def list_page(tx: Transaction, organization_id: str, *, limit: int, after: UsageHour | None) -> list[UsageHour]:
    """Return at most `limit` rows of an organization, oldest first, without the rows for all calls.

    `after`: return only the rows behind this row, unless None.
    """
    hour, slug, source = (_START, "", "") if after is None else (after.hour, after.integration_slug, after.source)
    key = {"organization": organization_id, "hour": hour, "integration_slug": slug, "source": source}
    return await tx.all(_PAGE, UsageHour, **key, limit=limit)


def start_of_hour(moment: datetime) -> datetime:
    """Return the start of the hour in UTC."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def total(usage: Sequence[Usage]) -> Usage:
    """Return the counts of several periods together. `usage`: at least one period, oldest first."""
    return Usage(
        usage[0].start,
        sum(period.calls for period in usage),
        sum(period.failures for period in usage),
        sum(period.duration_ms_sum for period in usage),
        max(period.duration_ms_max for period in usage),
    )
