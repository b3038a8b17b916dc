"""Exports: their number, browsers that stop reading, and members who lose the access meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlencode

import pytest
from sqlalchemy import delete
from starlette.types import Message

from one_runtime.dashboard.cookies import SESSION
from one_runtime.dashboard.exports import MAX_EXPORTS
from one_runtime.db.schema import dashboard_sessions, memberships
from tests.dashboard.team import FORM, Team, TeamBrowser, text_of
from tests.waiting import eventually

FIELDS: Final = {"format": "csv"}


async def export(team: Team, browser: TeamBrowser, send: Callable[[Message], Awaitable[None]]) -> None:
    """Request an export. `send`: reads the response."""
    cookie = f"or_session={browser.http.cookies[SESSION]}"
    headers = {**FORM, "host": "127.0.0.1:8003", "cookie": cookie}
    path, body = browser.address("audit/export"), urlencode(FIELDS).encode()
    scope = {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "POST",
        "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 50000), "server": ("127.0.0.1", 8003),
    }  # fmt: skip

    requested: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        if not requested:
            await asyncio.Event().wait()  # the browser does not close the connection
        return requested.pop()

    await team.application.app(scope, receive, send)


@asynccontextmanager
async def waiting_exports(team: Team, browser: TeamBrowser, number: int) -> AsyncIterator[list[Message]]:
    """Run exports whose browsers read only the first part. Yield the messages that they have received."""
    received, go_on = list[Message](), asyncio.Event()

    async def send(message: Message) -> None:
        received.append(message)
        await go_on.wait()

    tasks = [asyncio.create_task(export(team, browser, send)) for _ in range(number)]
    await eventually(lambda: len(received) == number)
    yield received
    go_on.set()
    await asyncio.gather(*tasks)


async def test_few_exports_of_an_organization_run_at_once(team: Team) -> None:
    browser = await team.browser("support")
    stranger = await team.browser("support", await team.application.organization("Southwind"))
    async with waiting_exports(team, browser, MAX_EXPORTS):
        refused = await (await team.browser("owner")).post("audit/export", FIELDS)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "10")
        assert f"has {MAX_EXPORTS} exports in progress" in text_of(refused)
        assert "content-disposition" not in refused.headers
        assert (await stranger.post("audit/export", FIELDS)).status_code == 200
    assert (await browser.post("audit/export", FIELDS)).status_code == 200


@pytest.mark.promise("P14")
@pytest.mark.parametrize("table", [memberships, dashboard_sessions], ids=lambda table: table.name)
async def test_export_stops_when_the_member_loses_the_access(
    team: Team, monkeypatch: pytest.MonkeyPatch, table: type[object]
) -> None:
    monkeypatch.setattr("one_runtime.dashboard.audit.EXPORT_BATCH", 2)
    browser, parts = await team.browser("support"), list[Message]()
    for number in range(6):
        await team.api.session(f"user_{number}")

    async def send(message: Message) -> None:
        parts.append(message)
        if b"user_4" in message.get("body", b""):
            async with team.application.installation.database.write() as tx:
                await tx.execute(delete(table).where(table.c.member_id == browser.member_id))  # type: ignore[attr-defined]

    await export(team, browser, send)
    content = b"".join(part.get("body", b"") for part in parts)
    assert b"user_5" in content
    assert b"user_4" in content
    assert b"user_3" not in content
    assert parts[-1]["more_body"], "the response has no end, so the browser does not take the file for complete"
    visitor = await team.browser("support")
    assert "user_0" in (await visitor.post("audit/export", FIELDS)).text


async def test_browser_that_stops_reading_keeps_no_export_forever(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("one_runtime.dashboard.exports.SEND_TIMEOUT", 0.01)
    browser = await team.browser("support")

    async def never(_: Message) -> None:
        await asyncio.Event().wait()

    for _ in range(MAX_EXPORTS + 1):
        await asyncio.wait_for(export(team, browser, never), 10)
