"""P8, P12: the tables of docs/connections.md, cell by cell: what becomes of a connection after a provider's answer."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final, Literal, TypeAlias

import pytest
import pytest_asyncio

from one_runtime.connections.credentials import ConnectionKey
from one_runtime.lifecycle.recheck import recheck_queued
from one_runtime.tokens.refresh import fresh_credentials, refresh
from one_runtime.tokens.refresh_due import refresh_due
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.documentation import page
from tests.tokens.answering import (
    BODIES,
    CLIENT_ID,
    CLIENT_SECRET,
    SLUG,
    AnsweringApplication,
    Scripted,
    answering_application,
)
from tests.waiting import eventually

pytestmark = [pytest.mark.promise("P8"), pytest.mark.promise("P12"), ANY_DATABASE]

STATES: Final = ("live", "expired", "revoked", "rotated")
CODES: Final = tuple(body for body in BODIES if "`" in body)
Endpoint: TypeAlias = Literal["token endpoint", "API"]
STATUSES: Final[dict[Endpoint, tuple[int, ...]]] = {
    "token endpoint": (200, 400, 401, 403, 404, 500),
    "API": (400, 401, 403, 404, 500),
}
ANSWERS: Final = tuple(
    (endpoint, status, state) for endpoint, statuses in STATUSES.items() for status in statuses for state in STATES
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table: the endpoint that sends the answer, the state of the tokens, and the result."""

    endpoint: Endpoint
    answer: Scripted
    state: str
    result: str


@cache
def cells(endpoint: Endpoint) -> tuple[Cell, ...]:
    """Return the cells of a table of the documentation."""
    text = page("docs/connections.md").text.partition(f"### Answers of the {endpoint}\n")[2].partition("\n#")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == ["status", "body", *STATES]
    return tuple(
        Cell(endpoint, Scripted(int(status), body.strip()), state, result)
        for statuses, bodies, *results in rows[2:]
        for status, body in product(statuses.split(","), bodies.split(", "))
        for state, result in zip(STATES, results, strict=True)
    )


@pytest.mark.parametrize("endpoint", ["token endpoint", "API"])
def test_the_table_has_one_cell_for_each_answer_and_no_cell_without_an_end(endpoint: Endpoint) -> None:
    bodies = BODIES if endpoint == "token endpoint" else [body for body in BODIES if body not in CODES]
    named = Counter((cell.answer.status, cell.answer.body, cell.state) for cell in cells(endpoint))
    assert named == Counter(product(STATUSES[endpoint], bodies, STATES))
    defined = re.findall(r"^\| ([a-z ]+) \| [a-z]", page("docs/connections.md").text, re.MULTILINE)
    assert {cell.result for cell in cells(endpoint)} <= RESULTS.keys() & {*defined}


@pytest_asyncio.fixture
async def app(database_url: str, acme: RunningAcme) -> AsyncIterator[AnsweringApplication]:
    """The application with the answering provider."""
    async with answering_application(database_url, acme) as app:
        yield app


@pytest.mark.slow
@pytest.mark.parametrize("endpoint,status,state", ANSWERS, ids=str)
async def test_the_connection_becomes_what_the_table_says(
    app: AnsweringApplication, endpoint: Endpoint, status: int, state: str
) -> None:
    for cell in cells(endpoint):
        if (cell.answer.status, cell.state) == (status, state):
            try:
                await RESULTS[cell.result](Attempt(app, cell, await prepare(app, cell)))
            except AssertionError as error:
                raise AssertionError(f"{cell}: {error}") from error


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection in the state of a cell."""

    app: AnsweringApplication
    cell: Cell
    connection: str

    async def call(self) -> tuple[int, str | None]:
        """Call the API through the proxy. Return the status, and the code of an error of One Runtime."""
        answer = await self.app.call(self.connection)
        return answer.status_code, answer.headers.get("one-runtime-error")

    async def work(self, seconds: float = 0.0) -> None:
        """Run the worker's tasks after some seconds, in a new process: the recheck queue has a cooldown."""
        self.app.application.clock.advance(seconds=seconds)
        process = self.app.another_process
        await refresh_due(process)
        await recheck_queued(process)

    async def status(self) -> str:
        return str((await self.app.look(self.connection))["status"])

    async def fails(self) -> None:
        """Fail the test if the connection works, or needs the end user."""
        assert (await self.call()) != (200, None)
        assert await self.status() == "active"

    async def needs_the_end_user(self) -> None:
        """Fail the test if the connection does not need the end user."""
        await recheck_queued(self.app.application.installation)
        assert await self.status() == "needs_reauth"
        assert await self.call() == (409, "connect_required")


async def prepare(app: AnsweringApplication, cell: Cell) -> str:
    """Return a connection in the state of the cell. The provider answers as the cell says."""
    provider, clock = app.provider, app.application.clock
    provider.behave()
    connection = await app.connect(f"user_{len(provider.requests)}")
    if cell.endpoint == "token endpoint":
        provider.behave(cell.answer, always=cell.state == "live")
    else:
        provider.behave(Scripted(400), cell.answer, always=False)
    if cell.state == "rotated":
        await (rotate_during_refresh if cell.endpoint == "token endpoint" else rotate_during_call)(app, connection)
    elif cell.state == "live" and cell.endpoint == "token endpoint":
        clock.advance(minutes=56)
    elif cell.state == "live":
        provider.behave(None, cell.answer, always=True)
    else:
        provider.revoke()
        clock.advance(hours=2 if cell.state == "expired" else 0)
    return connection


async def rotate_during_refresh(app: AnsweringApplication, connection: str) -> None:
    """Exchange the refresh token by another process, while a process whose lease has ended sends the same token."""
    provider, clock = app.provider, app.application.clock
    key = ConnectionKey(await app.organization_id(), connection)
    provider.hold = hold = asyncio.Event()
    clock.advance(hours=2)
    flight = asyncio.create_task(app.call(connection))
    await eventually(lambda: provider.waiting)
    clock.advance(seconds=61)
    await fresh_credentials(app.another_process, key)
    hold.set()
    await flight


async def rotate_during_call(app: AnsweringApplication, connection: str) -> None:
    """Exchange the tokens by another process during a call with the old access token, which becomes invalid."""
    provider = app.provider
    old = set(provider.access)

    async def rotate() -> None:
        await refresh(app.another_process, ConnectionKey(await app.organization_id(), connection))
        provider.access -= old

    provider.before_answer = rotate
    await app.call(connection)


async def works(attempt: Attempt) -> None:
    for seconds in (0, 61, 61):
        assert await attempt.call() == (200, None)
        await attempt.work(seconds)
    assert await attempt.status() == "active"


async def passes(attempt: Attempt) -> None:
    for seconds in (0, 61, 61):
        assert await attempt.call() == (attempt.cell.answer.status, None)
        await attempt.work(seconds)
    assert await attempt.status() == "active"


async def outage(attempt: Attempt) -> None:
    for seconds in (0, 61, 86_400, 61):
        await attempt.fails()
        await attempt.work(seconds)
    await attempt.fails()
    await restore(attempt)
    attempt.app.application.clock.advance(minutes=11)
    assert await attempt.call() == (200, None)


async def client(attempt: Attempt) -> None:
    for seconds in (0, 61, 86_400):
        assert await attempt.call() == (409, "client_refused")
        await attempt.work(seconds)
    assert await attempt.status() == "active"
    await restore(attempt)
    body = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    await attempt.app.client.send("PUT", f"/v1/integrations/{SLUG}/oauth-client", body)
    assert await attempt.call() == (200, None)


async def restore(attempt: Attempt) -> None:
    """End the outage. The refresh tokens are valid again."""
    attempt.app.provider.behave()
    attempt.app.provider.refresh |= attempt.app.provider.issued


async def reconnect(attempt: Attempt) -> None:
    await attempt.call()
    await attempt.needs_the_end_user()


async def after_a_minute(attempt: Attempt) -> None:
    await attempt.fails()
    await attempt.work(30)
    await attempt.fails()
    await attempt.work(61)
    await attempt.call()  # a refused call starts the recheck of a token that has not expired
    await attempt.needs_the_end_user()


async def after_a_day(attempt: Attempt) -> None:
    for seconds in (0, 61, 43_200):
        await attempt.fails()
        await attempt.work(seconds)
    await attempt.fails()
    await attempt.work(43_200)
    await attempt.needs_the_end_user()


RESULTS: Final[dict[str, Callable[[Attempt], Awaitable[None]]]] = {
    "works": works,
    "passes": passes,
    "outage": outage,
    "client": client,
    "reconnect": reconnect,
    "after a minute": after_a_minute,
    "after a day": after_a_day,
}
"""The tests of the results. The names are the names in the documentation."""
