"""The audit log: actors with names, filters, pages, and exports as CSV and as JSON lines."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from one_runtime.db.ids import new_id
from one_runtime.tenancy import events
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject
from tests.dashboard.team import Team, TeamBrowser, text_of


async def record(team: Team, kind: EventType, actor: Actor, subject: Subject, *, days_ago: int = 0) -> None:
    """Record an event. Its time is `days_ago` days before now."""
    clock = team.application.clock
    async with team.application.installation.database.write() as tx:
        await events.record(tx, actor, kind, clock() - timedelta(days=days_ago), subject)


def types_of(page: str) -> list[str]:
    """Return the types of the listed events, in the order of the page."""
    return re.findall(r'<th scope="row"><code>([\w.]+)</code>', page)


async def listed(browser: TeamBrowser, **query: str) -> list[str]:
    answer = await browser.get("audit", **query)
    assert answer.status_code == 200, text_of(answer)
    return types_of(answer.text)


async def test_events_name_their_actors(team: Team) -> None:
    owner = await team.browser("owner")
    await team.api.connect("user_1")
    await owner.post("api-keys", {"name": "Backend", "scopes": ["read"]})
    organization = team.organization_id
    await record(
        team, EventType.ORGANIZATION_UPDATED, Actor(organization, "system", "ops"), Subject(data={"changed": ["name"]})
    )
    await record(
        team, EventType.HOSTED_CONNECTION_SESSION_FAILED, Actor(organization, "end_user", "user_1", "192.0.2.9"),
        Subject("user_1", data={"session_id": new_id(), "reason": "consent_denied"}),
    )  # fmt: skip
    text = text_of(await owner.get("audit"))
    assert re.search(r"api_key\.created An API key was created\. owner-\w+@example\.com Member · 127\.0\.0\.1", text)
    assert re.search(
        r"connection\.created An account was connected\. test API key · 127\.0\.0\.1 End user user_1", text
    )
    assert re.search(r"organization\.updated .* ops Operator Changed: name", text)
    assert re.search(
        r"session\.failed The end user, .*, did not allow the access\. user_1 End user · 192\.0\.2\.9", text
    )
    assert re.search(r"api_key\.created An API key was created\. One Runtime", text)
    password = Subject(data={"changed": ["password"]})
    await record(team, EventType.MEMBER_UPDATED, Actor(organization, "member", new_id()), password)
    assert "A member of your team set or changed the own password." in text_of(await owner.get("audit"))
    expiring = Subject(data={"expires_at": "2026-12-02T03:52:09.077Z"})
    await record(team, EventType.MEMBER_INVITED, Actor(organization, "system"), expiring)
    assert "Expires at: 2026-12-02 03:52:09 UTC" in text_of(await owner.get("audit"))


async def test_filters_select_events_by_type_actor_end_user_connection_and_day(team: Team) -> None:
    owner = await team.browser("owner")
    connection = (await team.api.connect("user/1?x=ü"))["id"]
    await team.api.connect("user_2")
    await owner.post("api-keys", {"name": "Backend", "scopes": ["read"]})
    everything = await listed(owner)
    assert sorted(everything) == ["api_key.created"] * 2 + ["connection.created"] * 2
    assert await listed(owner, type="connection.created") == ["connection.created"] * 2
    assert await listed(owner, actor_type="member") == ["api_key.created"]
    assert await listed(owner, actor_type="member", actor=str(owner.member_id)) == ["api_key.created"]
    assert await listed(owner, actor_type="member", actor=new_id()) == []
    assert await listed(owner, end_user="user/1?x=ü") == ["connection.created"]
    assert await listed(owner, connection=connection) == ["connection.created"]
    today = datetime.now(UTC).date()
    assert await listed(owner, since=str(today), until=str(today)) == everything
    assert await listed(owner, since=str(today + timedelta(days=2))) == []
    assert await listed(owner, until=str(today - timedelta(days=2))) == []
    page = (await owner.get("audit", end_user="user/1?x=ü")).text
    assert f"end_user={quote('user/1?x=ü', safe='')}" in page, "each row links to the events of its end user"
    assert 'value="user/1?x=ü"' in page
    assert "No event matches" in text_of(await owner.get("audit", end_user="user_3"))


@pytest.mark.parametrize(
    "query,message",
    [
        ({"type": "everything"}, "must be one of the listed values"),
        ({"actor_type": "everybody"}, "must be one of the listed values"),
        ({"connection": "nothing"}, "must be the id of a connection"),
        ({"since": "yesterday"}, "must be a date such as 2026-11-30"),
        ({"until": "2026-13-01"}, "must be a date such as 2026-11-30"),
    ],
)
async def test_invalid_filter_is_explained(team: Team, query: dict[str, str], message: str) -> None:
    support = await team.browser("support")
    for answer in (
        await support.get("audit", **query),
        await support.post("audit/export", {**query, "format": "csv"}),
    ):
        assert (answer.status_code, message in text_of(answer)) == (422, True), text_of(answer)


async def test_last_possible_day_is_no_error(team: Team) -> None:
    owner = await team.browser("owner")
    assert await listed(owner, until="9999-12-31", since="0001-01-01") == ["api_key.created"]
    assert "must be one of csv, jsonl" in text_of(await owner.post("audit/export", {"format": "pdf"}))


async def test_long_log_has_pages_that_keep_the_filters(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("one_runtime.dashboard.audit.PAGE_SIZE", 2)
    owner = await team.browser("owner")
    for number in range(5):
        await team.api.session(f"user_{number}")
        await team.api.connect(f"user_{number}")  # the filter omits this event, also on later pages
    seen, path = [], "audit?type=hosted_connection_session.created"
    while path:
        page = (await owner.get(path)).text
        seen += re.findall(r"End user <a [^>]*>(\w+)</a>", page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert seen == ["user_4", "user_3", "user_2", "user_1", "user_0"]


async def test_exports_contain_every_event_that_matches(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("one_runtime.dashboard.audit.EXPORT_BATCH", 2)
    owner = await team.browser("owner")
    for number in range(5):
        await team.api.session(f"user_{number}")
    await owner.post("api-keys", {"name": "Backend, new", "scopes": ["read"]})
    exported = await owner.post("audit/export", {"format": "csv"})
    assert exported.headers["content-type"] == "text/csv; charset=utf-8"
    assert re.fullmatch(r'attachment; filename="events-\d{4}-\d\d-\d\d\.csv"', exported.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert [row["type"] for row in rows] == [
        "api_key.created",
        *["hosted_connection_session.created"] * 5,
        "api_key.created",
    ]
    newest = rows[0]
    assert (newest["actor_type"], newest["actor_id"]) == ("member", owner.member_id)
    assert newest["actor_name"].startswith("owner-")
    assert json.loads(newest["data"])["name"] == "Backend, new"
    lines = await owner.post("audit/export", {"format": "jsonl", "end_user": "user_3"})
    (document,) = [json.loads(line) for line in lines.text.splitlines()]
    (through_api,) = (await team.api.get("/v1/events", end_user_id="user_3")).json()["events"]
    assert document.pop("actor").pop("name") == "test"
    del through_api["actor"]
    assert document == through_api


async def test_cell_of_an_export_is_no_formula(team: Team) -> None:
    """An end user can choose an identifier that a spreadsheet would calculate."""
    owner = await team.browser("owner")
    starts = ("=", "+", "-", "@", "\t=", "\r=", " =", "\n=", "\u00a0=", "\uff1d", "\uff0b", "\uff0d", "\uff20")
    for start in starts:
        actor = Actor(team.organization_id, "end_user", f'{start}HYPERLINK("https://evil.example")')
        await record(team, EventType.END_USER_UPDATED, actor, Subject(actor.id, data={"changed": ["=1"]}))
    rows = list(csv.reader(io.StringIO((await owner.post("audit/export", {"format": "csv"})).text)))
    assert len(rows) == len(starts) + 2
    assert [cell for row in rows for cell in row if cell.startswith(starts)] == []
    assert sum(cell.startswith(tuple(f"'{start}HYP" for start in starts)) for row in rows for cell in row) == 26


@pytest.mark.promise("P1")
async def test_events_and_names_of_another_organization_are_not_shown(team: Team, other_name: str) -> None:
    owner = await team.browser("owner")
    elsewhere = await team.application.organization(other_name)
    stranger = await team.browser("owner", elsewhere)
    await stranger.post("api-keys", {"name": "Foreign", "scopes": ["read"]})
    (key,) = re.findall(r"actor=([\w-]+)", (await stranger.get("api-keys")).text)
    # Even an event with the id of a foreign key does not reveal the key's name.
    await record(team, EventType.END_USER_UPDATED, Actor(team.organization_id, "api_key", key), Subject("user_1"))
    for answer in (
        await owner.get("audit"),
        await owner.get("audit", actor=str(stranger.member_id)),
        await owner.post("audit/export", {"format": "jsonl"}),
        await owner.post("audit/export", {"format": "csv", "actor": str(stranger.member_id)}),
    ):
        assert answer.status_code == 200
        assert "Foreign" not in answer.text
        assert other_name not in answer.text
    assert await listed(stranger) == ["api_key.created"]
