"""Find the runs of agents in the request log.

A run is a program of an agent, with all its calls. The calls of a program have the same `run_id`. A call that an agent
makes with another tool is a run of one call, and its `run_id` is null. The request log has no index for runs. So a page
reads a limited number of calls, and finds the other calls of their runs with the index for end users.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Text, and_, bindparam, cast, func, literal_column, or_, select, true

from one_runtime.agents import paused_runs
from one_runtime.db.engine import Transaction
from one_runtime.db.id_lists import in_list
from one_runtime.db.ids import is_id, later_id, time_of
from one_runtime.db.scanning import within
from one_runtime.db.schema import agent_runs
from one_runtime.db.schema import requests as rows
from one_runtime.errors import NotFound
from one_runtime.proxy import request_log, usage
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter

SCANNED: Final = 3_000
"""Maximum number of calls that one page compares with the filters."""

READ: Final = 200
"""Maximum number of calls that one page groups."""

SPAN: Final = timedelta(hours=50)
"""Time after the start of a run in which its calls are searched: two pauses of the maximum length, and some time."""

FOUND_WITHIN: Final = timedelta(minutes=10)
"""Time after the start of a run in which its first call is searched, among at most `_MAX_OTHERS` other calls."""
_MAX_OTHERS: Final = 20_000


@dataclass(frozen=True, slots=True)
class AgentRun:
    """A run. `newest`: its newest call that matches the filters of the list.

    - `run_id`: None for a single call.
    - `calls`, `failures`: numbers of its calls, and of those that failed.
    - `started_at`, `ended_at`: start of the program or of the call, and end of the last call.
    - `paused`: `waiting` or `running` if the program has paused and not ended, otherwise None.
    """

    run_id: str | None
    newest: LoggedRequest
    calls: int
    failures: int
    started_at: datetime
    ended_at: datetime
    paused: str | None = None

    @property
    def duration_ms(self) -> int:
        """Return the time from the start to the end of the last call, in milliseconds."""
        return max(0, round((self.ended_at - self.started_at) / timedelta(milliseconds=1)))


class AgentRunPage(NamedTuple):
    """Runs, newest first. `next_cursor`: the id of a call, before which the next page begins, or None at the end."""

    runs: list[AgentRun]
    next_cursor: str | None


class RunDetails(NamedTuple):
    """A run with a page of its calls, oldest first. `has_more`: True if the run has later calls."""

    run: AgentRun | None
    calls: list[LoggedRequest]
    has_more: bool
    paused: paused_runs.ListedRun | None


class _TotalsRow(NamedTuple):
    run_id: str
    calls: int
    failures: int
    ended_at: datetime
    newest_matching: str | None
    paused: str | None


_MINE: Final = rows.c.organization_id == bindparam("organization")
_AFTER_START: Final = and_(rows.c.id >= bindparam("first"), rows.c.id < bindparam("last"))
_OF_RUNS: Final = and_(_MINE, in_list(rows.c.end_user_id, "end_users"), in_list(rows.c.run_id, "runs"), _AFTER_START)
_IS_PAUSED: Final = or_(*(agent_runs.c.status == literal_column(f"'{status}'") for status in ("waiting", "running")))
_COLUMNS: Final = tuple(rows.c[name] for name in LoggedRequest.__dataclass_fields__)
_others = (
    select(rows.c.run_id, rows.c.end_user_id)
    .where(_MINE, rows.c.id >= bindparam("run"), rows.c.id < bindparam("found_before"))
    .order_by(rows.c.id)
    .limit(literal_column(str(_MAX_OTHERS)))
    .subquery()
)
_first_call = (
    select(_others.c.end_user_id)
    .where(_others.c.run_id == bindparam("run"))
    .limit(literal_column("1"))
    .scalar_subquery()
)
_paused_owner = (
    select(agent_runs.c.end_user_id)
    .where(agent_runs.c.organization_id == bindparam("organization"), agent_runs.c.id == bindparam("run"))
    .scalar_subquery()
)
_CALLS: Final = (
    select(*_COLUMNS)
    .where(
        _MINE,
        rows.c.end_user_id == func.coalesce(_paused_owner, _first_call, type_=Text()),
        rows.c.run_id == bindparam("run"),
        rows.c.id > bindparam("after"),
        rows.c.id < bindparam("last"),
    )
    .order_by(rows.c.id)
    .limit(bindparam("limit"))
)


async def list_page(
    tx: Transaction, organization_id: str, matching: RequestFilter, now: datetime, *, limit: int, before: str | None
) -> AgentRunPage:
    """Return at most `limit` runs with a call that matches the filters. The run with the newest such call is first.

    With `before`, omit the runs with a matching call at or after this id, because an earlier page shows them.
    """
    calls, cursor = await request_log.list_newest(
        tx, organization_id, matching, limit=READ, before=before, scanned=SCANNED
    )
    groups = dict[str, list[LoggedRequest]]()
    for index, call in enumerate(calls):
        key = call.run_id or call.id
        if len(groups) == limit and key not in groups:
            cursor = calls[index - 1].id
            break
        groups.setdefault(key, []).append(call)
    totals = await _read_totals(tx, organization_id, matching, [group[0] for group in groups.values()], now)
    runs = [_run(group, totals.get(key)) for key, group in groups.items()]
    if before is not None:
        shown = {each.run_id for each in totals.values() if (each.newest_matching or "") >= before}
        runs = [run for run in runs if run.run_id is None or run.run_id not in shown]
    return AgentRunPage(runs, cursor)


async def find(
    tx: Transaction, organization_id: str, run_id: str, now: datetime, *, limit: int, after: str | None
) -> RunDetails:
    """Return a run with at most `limit` calls. With `after`, return only calls after this id.

    Raises: NotFound for a run without a call in the request log that does not wait.
    """
    calls, paused = list[LoggedRequest](), None
    if is_id(run_id):
        calls = await tx.all(
            _CALLS,
            LoggedRequest,
            organization=organization_id,
            run=run_id,
            after=after or run_id,
            last=later_id(run_id, SPAN),
            found_before=later_id(run_id, FOUND_WITHIN),
            limit=limit + 1,
        )
        paused = await paused_runs.find(tx, organization_id, run_id, now)
    if not calls and paused is None:
        raise NotFound(
            "There is no call of such a run. One Runtime deletes old calls, stores nothing about a program without a "
            "call, and does not group the calls of deleted end users."
        )
    totals = await _read_totals(tx, organization_id, RequestFilter(), calls[:1], now)
    run = _run(calls[:1], totals.get(run_id)) if calls else None
    return RunDetails(run, calls[:limit], len(calls) > limit, paused)


def _run(calls: Sequence[LoggedRequest], totals: _TotalsRow | None) -> AgentRun:
    """Return a run. `calls`: the calls that the caller knows, newest first. `totals`: the numbers of all calls."""
    call = calls[0]
    started_at = call.at - timedelta(milliseconds=call.duration_ms)
    if call.run_id is not None:
        started_at = time_of(call.run_id)
    if totals is None:
        return AgentRun(call.run_id, call, len(calls), sum(map(usage.is_failure, calls)), started_at, call.at)
    return AgentRun(call.run_id, call, totals.calls, totals.failures, started_at, totals.ended_at, totals.paused)


async def _read_totals(
    tx: Transaction, organization_id: str, matching: RequestFilter, calls: Sequence[LoggedRequest], now: datetime
) -> Mapping[str, _TotalsRow]:
    """Return the numbers of the calls' runs, by run. Omit the runs of deleted end users."""
    found = {call.run_id: call.end_user_id for call in calls if call.run_id and call.end_user_id}
    if not found:
        return {}
    indexed, searched = matching.split(organization_id)
    conditions = matching.conditions(rows.c, [*indexed, *searched])
    conditions += within(rows.c.id, matching.since, matching.until)
    counted = (
        select(
            rows.c.run_id,
            func.count().label("calls"),
            func.count().filter(usage.failure_condition(rows.c)).label("failures"),
            func.max(rows.c.at).label("ended_at"),
            func.max(cast(rows.c.id, Text)).filter(and_(true(), *conditions)).label("newest_matching"),
        )
        .where(_OF_RUNS)
        .group_by(rows.c.run_id)
        .subquery()
    )
    statement = select(counted, agent_runs.c.status.label("paused")).outerjoin_from(
        counted, agent_runs, and_(agent_runs.c.id == counted.c.run_id, _IS_PAUSED, agent_runs.c.due_at > now)
    )
    listed = await tx.all(
        statement,
        _TotalsRow,
        organization=organization_id,
        end_users=sorted(set(found.values())),
        runs=list(found),
        first=min(found),
        last=later_id(max(found), SPAN),
    )
    return {row.run_id: row for row in listed}
