"""Metrics of requests by route, errors, egress, checks, sessions, events and tasks, with bounded labels."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

import pytest

from one_runtime.context import Installation
from one_runtime.demo.acme import GLOBEX
from one_runtime.encryption.vault import KeyNotInRing, SealBroken, SealContext, Sealed
from one_runtime.errors import Unavailable
from one_runtime.jobs.worker import PeriodicTask, run
from one_runtime.settings import Settings
from one_runtime.telemetry import metrics
from one_runtime.tenancy.event_types import EventType
from one_runtime.tenancy.events import Actor, Subject, record
from tests.application import ACME_KEYS, JSON, Application, Client, RunningAcme, settings_for, started
from tests.waiting import eventually

pytestmark = pytest.mark.worker

KEY: Final = ACME_KEYS[GLOBEX]
LISTEN: Final = "127.0.0.1:9464"
"""Address in the settings that enables timing of requests. Only `serve` opens the listener."""


def value(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


class Growth:
    """Growth of a sample since this object was created. All tests of the process share the values."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = value(name, **labels)

    def __call__(self) -> float:
        return value(self._name, **self._labels) - self._before


def all_labels() -> list[dict[str, str]]:
    return [sample.labels for family in metrics.REGISTRY.collect() for sample in family.samples]


@pytest.fixture
def settings(database_url: str, acme: RunningAcme) -> Settings:
    return settings_for(database_url, acme, metrics_listen=LISTEN)


def requests(method: str, route: str, status: str) -> Growth:
    return Growth("one_runtime_http_request_duration_seconds_count", method=method, route=route, status=status)


def update_gauges(application: Application) -> None:
    """Update the gauges, as the application does every second."""
    application.app.observer.update_gauges(application.installation.database.connections())


async def test_requests_are_timed_by_route_and_not_by_address(application: Application, client: Client) -> None:
    counted: dict[Growth, Callable[[], Awaitable[object]]] = {
        requests("GET", "/v1/integrations", "2xx"): lambda: client.get("/v1/integrations", end_user_id="u"),
        requests("GET", "/v1/integrations", "4xx"): lambda: client.get("/v1/integrations"),
        requests("DELETE", "/v1/end-users/{end_user_id}", "4xx"): lambda: client.send(
            "DELETE", "/v1/end-users/canary@example.com"
        ),
        requests("GET", "/healthz", "2xx"): lambda: client.get("/healthz"),
        requests("POST", "/connect/session", "4xx"): lambda: client.popup("", "none"),
        requests("PATCH", "/healthz", "4xx"): lambda: client.send("PATCH", "/healthz"),
        requests("GET", "unmatched", "4xx"): lambda: client.get("/canary@example.com"),
        requests("other", "unmatched", "4xx"): lambda: client.send("CANARY", "/nothing"),
    }
    for _ in range(2):
        for ask in counted.values():
            await ask()
    assert [growth() for growth in counted] == [2] * len(counted)
    assert "canary" not in str(all_labels()).lower()


async def test_request_duration_is_measured(application: Application, client: Client) -> None:
    seconds = Growth("one_runtime_http_request_duration_seconds_sum", method="GET", route="/readyz", status="2xx")
    under = Growth(
        "one_runtime_http_request_duration_seconds_bucket", method="GET", route="/readyz", status="2xx", le="30.0"
    )
    assert (await client.get("/readyz")).status_code == 200
    assert under() == 1
    assert 0 < seconds() < 30


async def test_requests_in_flight_are_counted(application: Application, client: Client) -> None:
    rest = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"{"
        await rest.wait()
        yield b"}"

    def in_flight() -> float:
        update_gauges(application)
        return value("one_runtime_http_requests_in_flight")

    asking = asyncio.create_task(client.http.post("/v1/disconnect", content=body(), headers=JSON))
    await eventually(lambda: in_flight() == 1)
    rest.set()
    assert (await asking).status_code == 422
    await eventually(lambda: in_flight() == 0)


async def test_requests_are_not_timed_without_a_metrics_listener(database_url: str, acme: RunningAcme) -> None:
    counted = requests("GET", "/readyz", "2xx")
    async with started(settings_for(database_url, acme), acme) as application:
        assert (await application.client().get("/readyz")).status_code == 200
    assert counted() == 0


async def test_errors_are_counted_by_their_code(application: Application, client: Client) -> None:
    growths = {code: Growth("one_runtime_errors_total", code=code) for code in ("unauthenticated", "not_found")}
    await application.client().get("/v1/connections")
    await application.client("oru_junk").get("/v1/integrations", end_user_id="u")
    await client.get("/v1/connections/0")
    assert {code: growth() for code, growth in growths.items()} == {"unauthenticated": 2, "not_found": 1}


async def test_events_checks_and_requests_of_a_connection_are_counted(client: Client, acme: RunningAcme) -> None:
    names = ("connection.created", "connection.needs_reauth", "connection.recovered", "connection.deleted")
    growths = {name: Growth("one_runtime_events_total", type=name, integration="acme") for name in names}
    results = {
        result: Growth("one_runtime_credential_checks_total", integration="acme", result=result)
        for result in ("accepted", "credentials_refused", "provider_unavailable")
    }
    sent = {
        outcome: Growth("one_runtime_egress_requests_total", integration="acme", outcome=outcome)
        for outcome in ("2xx", "4xx", "5xx")
    }
    timed = Growth("one_runtime_egress_request_duration_seconds_count", integration="acme")
    connection = await client.connect()
    check = f"/v1/connections/{connection['id']}/check"
    acme.acme.revoke(KEY)
    assert (await client.post(check)).json()["working"] is False
    acme.acme.fail_with(503)
    assert (await client.post(check)).status_code == 502
    acme.acme.fail_with(None)
    acme.acme.restore(KEY)
    assert (await client.post(check)).json()["working"] is True
    assert (await client.send("DELETE", f"/v1/connections/{connection['id']}")).status_code == 200
    assert {name: growth() for name, growth in growths.items()} == dict.fromkeys(names, 1)
    assert {name: growth() for name, growth in results.items()} == {
        "accepted": 2,
        "credentials_refused": 1,
        "provider_unavailable": 1,
    }
    assert {name: growth() for name, growth in sent.items()} == {"2xx": 2, "4xx": 1, "5xx": 1}
    assert timed() == 4


@pytest.mark.slow
async def test_sessions_are_counted_by_final_state(client: Client) -> None:
    states = ("created", "connected", "failed", "cancelled")
    growths = {state: Growth("one_runtime_hosted_connection_sessions_total", state=state) for state in states}
    tokens = [(await client.session(f"user_{number}"))["session_token"] for number in range(3)]
    assert (await client.type_key(tokens[0], KEY)).status_code == 200
    assert (await client.popup("/cancel", tokens[1])).status_code == 204
    for _ in range(10):
        assert (await client.type_key(tokens[2], "acme_wrong0123456789")).status_code == 422
    assert {state: growth() for state, growth in growths.items()} == {
        "created": 3,
        "connected": 1,
        "failed": 1,
        "cancelled": 1,
    }


async def test_event_of_a_rolled_back_transaction_is_not_counted(application: Application) -> None:
    growth = Growth("one_runtime_events_total", type="organization.updated", integration="")
    actor, database = Actor(await application.organization(), "system"), application.installation.database
    before = growth()
    with suppress(Unavailable):
        async with database.write() as tx:
            await record(tx, actor, EventType.ORGANIZATION_UPDATED, application.clock(), Subject())
            raise Unavailable("made up")
    assert growth() == before
    async with database.write() as tx:
        await record(tx, actor, EventType.ORGANIZATION_UPDATED, application.clock(), Subject())
        assert growth() == before, "an uncommitted event is not counted"
    assert growth() == before + 1


def test_first_custom_integrations_have_labels_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_custom_slugs", set())
    slugs = [f"x-crm-{number}" for number in range(metrics.CUSTOM_SLUGS + 2)]
    first, further = slugs[: metrics.CUSTOM_SLUGS], slugs[metrics.CUSTOM_SLUGS :]
    assert [metrics.integration_label(slug) for slug in slugs] == [*first, *(metrics.OTHER for _ in further)]
    assert [metrics.integration_label(slug) for slug in first] == first
    assert metrics.integration_label("hubspot") == "hubspot", "built-in integrations always have their own label"


async def test_periodic_tasks_are_counted_and_timed(application: Application) -> None:
    async def work(_: Installation) -> int:
        return 7

    async def fail(_: Installation) -> int:
        raise Unavailable("made up")

    done = Growth("one_runtime_worker_done_total", task="counted")
    taken = Growth("one_runtime_worker_task_duration_seconds_count", task="counted", result="done")
    failed = Growth("one_runtime_worker_task_duration_seconds_count", task="failing", result="failed")
    loop = asyncio.ensure_future(
        run(application.installation, (PeriodicTask("counted", 3600.0, work), PeriodicTask("failing", 3600.0, fail)))
    )
    await eventually(lambda: failed() == 1)
    loop.cancel()
    assert (done(), taken()) == (7, 1)
    assert value("one_runtime_worker_last_success_timestamp_seconds", task="counted") > 0
    never = metrics.REGISTRY.get_sample_value("one_runtime_worker_last_success_timestamp_seconds", {"task": "failing"})
    assert never == 0, "an alert needs a sample before the first success"


async def test_unreadable_secrets_are_counted(application: Application) -> None:
    vault, place = application.installation.vault, SealContext("credentials", "row", 1)
    sealed = vault.seal(vault.key_ids[0], "organization", b"secret", place)
    codes = ("seal_broken", "key_not_in_ring")
    growths = {code: Growth("one_runtime_vault_failures_total", code=code) for code in codes}
    with pytest.raises(SealBroken):
        vault.open("organization", Sealed(sealed.key_id, sealed.data[:-1] + b"\0\0"), place)
    with pytest.raises(KeyNotInRing):
        vault.open("organization", Sealed("0" * 32, sealed.data), place)
    assert {code: growth() for code, growth in growths.items()} == dict.fromkeys(codes, 1)


@pytest.mark.only_database("postgresql")
async def test_connections_of_the_postgresql_pool_are_measured(application: Application) -> None:
    def seen(name: str, **labels: str) -> float:
        return value(f"one_runtime_database_{name}", **labels)

    def in_use() -> float:
        update_gauges(application)
        return seen("connections", state="in_use")

    await eventually(lambda: in_use() == 0)  # the first periodic tasks have finished
    async with application.installation.database.write():
        await eventually(lambda: in_use() == 1)  # a periodic task may use a connection too
    await eventually(lambda: in_use() == 0)
    assert seen("connections", state="idle") >= 1
    assert seen("connections_max") == application.installation.settings.database_pool_size
    assert seen("waiting") == 0
