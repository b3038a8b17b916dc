"""Runs of agents: calls of the request log, grouped by program."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from one_runtime.agents import runs
from one_runtime.agents.runs import AgentRun, AgentRunPage
from one_runtime.db.ids import lowest_id, new_id
from one_runtime.errors import NotFound
from one_runtime.proxy.request_log import LoggedRequest, RequestFilter
from tests.application import Application
from tests.promises.stores import query
from tests.proxy.test_usage import call

OF_AGENTS = RequestFilter(of_agents=True)


async def add(application: Application, organization_id: str, *calls: dict[str, Any]) -> list[LoggedRequest]:
    """Log calls of the end user `user_1` in this order. The duration of each call is 100 ms."""
    client = application.client(await application.key(organization_id))
    for end_user_id in {str(each.get("end_user_id", "user_1")) for each in calls}:
        await client.session(end_user_id)
    log, now, entries = application.app.services.request_log, application.clock(), list[LoggedRequest]()
    for values in calls:
        named: dict[str, Any] = {"end_user_id": "user_1", "duration_ms": 100, "at": now} | values
        entries.append(replace(call(organization_id), id=named.pop("id", None) or new_id(), **named))
        log.note(entries[-1])
    await log.flush()
    return entries


async def page_of(
    application: Application,
    organization_id: str,
    matching: RequestFilter = OF_AGENTS,
    *,
    limit: int = 50,
    before: str | None = None,
) -> AgentRunPage:
    async with application.installation.database.read() as tx:
        return await runs.list_page(tx, organization_id, matching, application.clock(), limit=limit, before=before)


async def all_runs(application: Application, organization_id: str, limit: int) -> list[AgentRun]:
    found, cursor = list[AgentRun](), None
    while True:
        page = await page_of(application, organization_id, limit=limit, before=cursor)
        found += page.runs
        cursor = page.next_cursor
        if cursor is None:
            return found


def numbers(found: Sequence[AgentRun]) -> list[tuple[str | None, int, int]]:
    return [(run.run_id, run.calls, run.failures) for run in found]


async def test_calls_of_a_program_are_one_run_and_other_calls_of_agents_are_single(application: Application) -> None:
    organization_id, token = await application.organization(), new_id()
    first, second = new_id(), new_id()
    entries = await add(
        application,
        organization_id,
        {"run_id": first},
        {},  # not a call of an agent
        {"run_id": second, "status": 500},
        {"end_user_token_id": token, "status": 404},
        {"run_id": first, "error": "upstream_timeout", "status": 504},
        {"end_user_token_id": token},
    )
    page = await page_of(application, organization_id)
    assert page.next_cursor is None
    assert numbers(page.runs) == [(None, 1, 0), (first, 2, 1), (None, 1, 1), (second, 1, 1)]
    assert [run.newest for run in page.runs] == [entries[5], entries[4], entries[3], entries[2]]
    assert page.runs[0].duration_ms == 100
    failed = await page_of(application, organization_id, replace(OF_AGENTS, outcome="failed"))
    assert numbers(failed.runs) == [(first, 2, 1), (None, 1, 1), (second, 1, 1)]
    assert numbers((await page_of(application, organization_id, replace(OF_AGENTS, end_user_id="user_9"))).runs) == []
    other = await application.organization("Southwind Traders")
    assert (await page_of(application, other)).runs == []
    await add(application, other, {"run_id": first})  # the same run id, which cannot happen
    assert numbers((await page_of(application, organization_id)).runs) == numbers(page.runs)


async def test_each_run_is_on_one_page_with_all_its_calls(application: Application) -> None:
    """The calls of programs that run at the same time are mixed, so the calls of a run are on several pages."""
    organization_id, names = await application.organization(), [new_id() for _ in range(7)]
    mixed = [
        {"run_id": name, "end_user_id": f"user_{number % 2}"} for _ in range(3) for number, name in enumerate(names)
    ]
    await add(application, organization_id, *mixed, {"run_id": names[0], "end_user_id": "user_0"})
    expected = [(names[0], 4, 0), *((name, 3, 0) for name in reversed(names[1:]))]
    for limit in (1, 2, 3, 7, 50):
        assert numbers(await all_runs(application, organization_id, limit)) == expected, limit


async def test_run_is_on_the_page_of_its_newest_call_that_matches(application: Application) -> None:
    organization_id, run_id = await application.organization(), new_id()
    calls: list[dict[str, Any]] = [{"run_id": run_id, "status": 500}, {"end_user_token_id": new_id(), "status": 500}]
    await add(application, organization_id, *calls, {"run_id": run_id})
    failed, found, cursor = replace(OF_AGENTS, outcome="failed"), list[AgentRun](), None
    for _ in range(2):
        page = await page_of(application, organization_id, failed, limit=1, before=cursor)
        found, cursor = [*found, *page.runs], page.next_cursor
    assert numbers(found) == [(None, 1, 1), (run_id, 2, 1)]


async def test_calls_outside_the_period_do_not_hide_a_run(application: Application) -> None:
    organization_id, run_id, now = await application.organization(), lowest_id(application.clock()), application.clock()
    ids = [lowest_id(now + timedelta(seconds=seconds)) for seconds in (1, 2, 3)]
    calls: list[dict[str, Any]] = [{"run_id": run_id}, {"end_user_token_id": new_id()}, {"run_id": run_id}]
    await add(application, organization_id, *({"id": row_id, **each} for row_id, each in zip(ids, calls, strict=True)))
    early = replace(OF_AGENTS, until=now + timedelta(seconds=3))
    page = await page_of(application, organization_id, early, limit=1)
    following = await page_of(application, organization_id, early, limit=1, before=page.next_cursor)
    assert numbers([*page.runs, *following.runs]) == [(None, 1, 0), (run_id, 2, 0)]


async def test_calls_of_a_deleted_end_user_are_counted_by_page(application: Application) -> None:
    organization_id, run_id = await application.organization(), new_id()
    await add(application, organization_id, {"run_id": run_id}, {"run_id": run_id, "status": 500})
    query(application.installation, "UPDATE requests SET end_user_id = NULL")
    page = await page_of(application, organization_id)
    assert numbers(page.runs) == [(run_id, 2, 1)]
    async with application.installation.database.read() as tx:
        with pytest.raises(NotFound, match="deleted end users"):
            await runs.find(tx, organization_id, run_id, application.clock(), limit=2, after=None)


async def test_search_without_a_match_in_the_newest_calls_continues(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization_id, run_id = await application.organization(), new_id()
    await add(application, organization_id, {"run_id": run_id}, {}, {}, {}, {}, {})
    monkeypatch.setattr(runs, "SCANNED", 3)
    page = await page_of(application, organization_id)
    assert (page.runs, page.next_cursor is None) == ([], False)
    assert numbers(await all_runs(application, organization_id, 50)) == [(run_id, 1, 0)]


async def test_run_has_its_calls_in_order_and_pages(application: Application) -> None:
    organization_id, run_id = await application.organization(), new_id()
    entries = await add(application, organization_id, *[{"run_id": run_id}, {"run_id": new_id()}] * 3)
    own = [entry for entry in entries if entry.run_id == run_id]
    async with application.installation.database.read() as tx:
        found = await runs.find(tx, organization_id, run_id, application.clock(), limit=2, after=None)
        rest = await runs.find(tx, organization_id, run_id, application.clock(), limit=2, after=own[1].id)
        assert (found.calls, found.has_more, rest.calls, rest.has_more) == (own[:2], True, own[2:], False)
        assert found.run is not None
        assert (found.run.calls, found.paused) == (3, None)
        other = await application.organization("Southwind Traders")
        for organization, unknown in (
            (other, run_id),
            (organization_id, new_id()),
            (organization_id, "nonsense"),
            (organization_id, "f" * 8 + "-ffff" * 3 + "-" + "f" * 12),
        ):
            with pytest.raises(NotFound):
                await runs.find(tx, organization, unknown, application.clock(), limit=2, after=None)


async def test_calls_after_a_pause_belong_to_the_run(application: Application) -> None:
    organization_id, now = await application.organization(), application.clock()
    run_id = lowest_id(now - timedelta(hours=30))
    times = [now - timedelta(hours=30) + timedelta(seconds=1), now - timedelta(hours=6)]
    calls = [{"run_id": run_id, "at": at, "id": lowest_id(at)} for at in times]
    await add(application, organization_id, *calls)
    async with application.installation.database.read() as tx:
        found = await runs.find(tx, organization_id, run_id, now, limit=9, after=None)
    assert len(found.calls) == 2
    (run,) = (await page_of(application, organization_id)).runs
    assert (run.calls, round(run.duration_ms / 3_600_000)) == (2, 24)
