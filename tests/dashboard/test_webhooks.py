"""The pages of webhook endpoints, in a browser without JavaScript."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from html import unescape
from typing import Any, Final

import pytest
import pytest_asyncio
from starlette.responses import Response

from one_runtime.settings import Settings
from one_runtime.tenancy.events import EventFilter, list_newest
from tests.application import RunningAcme, started
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.database import ANY_DATABASE
from tests.waiting import eventually
from tests.webhooks.receiver import Receiver

_FILTERS: Final[Sequence[Mapping[str, str]]] = (
    {"status": "delivered"}, {"type": "connection.created"}, {"status": "nonsense"},
)  # fmt: skip
FIRST_ID: Final = "00000000-0000-7000-8000-000000000000"
_SECRET: Final = re.compile(r"whsec_[A-Za-z0-9+/=]+")


@pytest_asyncio.fixture
async def team(settings_with_receiver: Settings, acme: RunningAcme) -> AsyncIterator[Team]:
    """The application with the dashboard and the worker. It may send requests to the receiver."""
    listen = {"dashboard_listen": "127.0.0.1:8003", "dashboard_url": "http://127.0.0.1:8003"}
    async with started(settings_with_receiver.model_copy(update=listen), acme) as application:
        organization_id = await application.organization()
        yield Team(application, organization_id, application.client(await application.key(organization_id)))


async def create(browser: TeamBrowser, receiver: Receiver, *types: str, **fields: Any) -> tuple[str, str]:
    """Create an endpoint with the form. Return the path of its page, and its secret."""
    form = {"kind": "push", "url": receiver.url(), "event_types": list(types or ("*",)), **fields}
    page = await browser.post("webhooks/new", form)
    assert page.status_code == 200, text_of(page)
    (secret,) = set(_SECRET.findall(page.text))
    path = re.search(r'href="(/o/[^"]+/webhooks/[^"/]+)"', page.text)
    assert path is not None
    return path[1], unescape(secret)


async def changes(team: Team, kind: str) -> list[tuple[str | None, Any]]:
    """Return the actor and the changed fields of each event of a type, oldest first."""
    async with team.application.installation.database.read() as tx:
        rows, _ = await list_newest(tx, team.organization_id, EventFilter(kind), limit=50, before=None)
    return [(row.actor_id, row.data.get("changed")) for row in reversed(rows)]


async def test_developer_creates_tests_and_changes_an_endpoint(team: Team, receiver: Receiver) -> None:
    browser = await team.browser("developer")
    assert "There is no webhook endpoint yet" in text_of(await browser.get("webhooks"))
    path, secret = await create(browser, receiver, "connection.created", "connection.deleted", description="Backend")
    for page in ("webhooks", path, f"{path}/settings", f"{path}/replay"):
        shown = await browser.get(page)
        assert shown.status_code == 200
        assert secret not in shown.text, page
    assert "Backend" in text_of(await browser.get("webhooks"))
    await create(browser, receiver, "end_user.deleted")
    listed = text_of(await browser.get("webhooks"))
    assert ("2 types" in listed, "end_user.deleted" in listed) == (True, True)

    answer = await browser.post(f"{path}/test", {"type": "connection.created"})
    assert "The receiver accepted the message." in text_of(answer)
    receiver.at()[-1].verify(secret)
    assert receiver.at()[-1].type == "connection.created"
    receiver.answers["/hook"] = lambda _: Response("not now", 503)
    assert "503" in text_of(await browser.post(f"{path}/test", {"type": "webhook.test"}))
    assert (await browser.post(f"{path}/test", {"type": "nonsense"})).status_code == 422

    saved = await browser.submit(f"{path}/settings", {"event_types": ["*"], "include": "connection", "url": ""})
    assert "The changes are saved." in text_of(saved)
    assert "All" in text_of(await browser.get("webhooks"))
    assert "paused" in text_of(await browser.submit(f"{path}/status", {"status": "paused"}))
    assert "is active" in text_of(await browser.submit(f"{path}/status", {"status": "active"}))
    rotated = await browser.post(f"{path}/settings/secret", {"overlap": "3600"})
    (new_secret,) = set(_SECRET.findall(rotated.text))
    assert unescape(new_secret) != secret
    assert "The old secret is valid until" in text_of(rotated)
    assert "is deleted" in text_of(await browser.submit(f"{path}/delete"))
    assert (await browser.get(path)).status_code == 404
    assert await changes(team, "webhook_endpoint.updated") == [
        (browser.member_id, ["description", "include", "event_types"]),
        (browser.member_id, ["status"]),
        (browser.member_id, ["status"]),
        (browser.member_id, ["secret"]),
    ]
    assert await changes(team, "webhook_endpoint.deleted") == [(browser.member_id, None)]


@ANY_DATABASE
@pytest.mark.parametrize(
    "fields, problem",
    [
        ({"url": ""}, "URL"),
        ({"url": "https://127.0.0.1/hook"}, "must be on the public internet"),
        ({"url": "https://example.com/#x"}, "must not contain a fragment"),
        ({"event_types": []}, "Choose types, or all events"),
        ({"event_types": ["nonsense"]}, "is not an event type"),
        ({"description": "x" * 501}, "at most 500 characters"),
    ],
)
async def test_form_with_an_error_is_shown_again_with_its_values(
    team: Team, receiver: Receiver, fields: dict[str, Any], problem: str
) -> None:
    browser = await team.browser("developer")
    form = {"kind": "push", "url": receiver.url(), "event_types": ["connection.created"], "description": "Mine"}
    page = await browser.post("webhooks/new", form | fields)
    assert (page.status_code, problem in text_of(page)) == (422, True)
    assert ('value="Mine"' in page.text) == ("description" not in fields)
    assert "whsec_" not in page.text


@ANY_DATABASE
async def test_query_of_a_url_is_shown_on_no_page_and_stays_with_an_empty_field(team: Team, receiver: Receiver) -> None:
    browser = await team.browser("developer")
    path, _ = await create(browser, receiver, url=f"{receiver.url()}?token=canary")
    await browser.submit(f"{path}/settings", {"event_types": ["*"], "url": "", "description": "New"})
    for page in ("webhooks", path, f"{path}/settings"):
        assert "canary" not in (await browser.get(page)).text
    await browser.post(f"{path}/test")
    assert receiver.at()[-1].type == "webhook.test"
    endpoints = (await team.api.get("/v1/webhook-endpoints")).json()["webhook_endpoints"]
    one = (await team.api.get(f"/v1/webhook-endpoints/{endpoints[0]['id']}")).json()
    assert (one["url"], one["description"]) == (f"{receiver.url()}?token=canary", "New")


@ANY_DATABASE
async def test_pull_endpoint_has_no_test_and_no_url(team: Team, receiver: Receiver) -> None:
    browser = await team.browser("developer")
    path, _ = await create(browser, receiver, kind="pull")
    page = await browser.get(path)
    assert "Pull: your program fetches the events" in text_of(page)
    assert "Send a test" not in text_of(page)
    assert (await browser.post(f"{path}/test")).status_code == 409


async def test_failed_delivery_is_explained_and_delivered_again(team: Team, receiver: Receiver) -> None:
    browser, support = await team.browser("developer"), await team.browser("support")
    receiver.answers["/hook"] = lambda _: Response("<b>broken</b>", 500)
    path, _ = await create(browser, receiver, "connection.created")
    connection = await team.api.connect("user_1")
    await receiver.wait_for("connection.created")

    async def attempted() -> str:
        page = await support.get(path)
        return page.text if "Failing" in text_of(page) and ">500<" in page.text else ""

    page: str = await eventually(attempted)
    assert re.search(r'data-label="End user"><a href="[^"]+">user_1</a>', page)
    delivery = re.search(r'href="([^"]+/deliveries/[^"]+)"', page)
    assert delivery is not None
    shown = await support.get(delivery[1])
    assert "&lt;b&gt;broken&lt;/b&gt;" in shown.text
    assert connection["id"] in text_of(shown)

    receiver.answers.clear()
    assert (await support.post(f"{delivery[1]}/retry")).status_code == 403
    assert "The delivery is queued" in text_of(await browser.submit(f"{delivery[1]}/retry"))
    await receiver.wait_for("connection.created", count=2)

    async def delivered() -> str:
        page = text_of(await support.get(delivery[1]))
        return page if "Delivered" in page else ""

    now_delivered: str = await eventually(delivered)
    assert "Deliver again" not in now_delivered, "support may not retry"
    unmatched = text_of(await support.get(path, status="failed"))
    assert ("No delivery matches" in unmatched, "older" in unmatched) == (True, False)
    assert "There is no older delivery" in text_of(await support.get(path, before=FIRST_ID))
    for filters in _FILTERS:
        assert delivery[1] in (await support.get(path, **filters)).text
    for hidden in ("Endpoint settings", "Send a test", "Replay"):
        assert f">{hidden}<" not in (await support.get(path)).text


async def test_replay_counts_before_it_sends(team: Team, receiver: Receiver) -> None:
    await team.api.connect("user_1")
    browser = await team.browser("developer")
    path, _ = await create(browser, receiver, "connection.created")
    now = team.application.clock()
    form = {"since": f"{now:%Y-%m-%d}T00:00", "until": f"{now.replace(year=now.year + 1):%Y-%m-%d}T00:00"}
    assert "nothing to deliver" in text_of(await browser.get(f"{path}/replay", **form, status="failed"))
    counted = await browser.get(f"{path}/replay", **form, status="missing")
    assert "1 delivery will be sent again" in text_of(counted)
    assert receiver.at() == []
    assert "The deliveries are queued" in text_of(await browser.submit(f"{path}/replay", {**form, "status": "missing"}))
    await receiver.wait_for("connection.created")

    async def settled() -> str:
        page = text_of(await browser.get(f"{path}/replay", **form, status="all"))
        return page if "1 delivery will be sent again" in page else ""

    counted_again: str = await eventually(settled)
    assert "Deliver again" in counted_again
    for wrong in (
        {"since": "nonsense"},
        {"until": form["since"]},
        {"status": "nonsense"},
        {"since": "2026-02-31T00:00"},
    ):
        values = {**form, "status": "failed", **wrong}
        assert (await browser.get(f"{path}/replay", **values)).status_code == 422, wrong
        assert (await browser.post(f"{path}/replay", values)).status_code == 422, wrong
    await browser.submit(f"{path}/status", {"status": "paused"})
    assert (await browser.post(f"{path}/replay", {**form, "status": "all"})).status_code == 409
