"""The probe: verdicts about catalog entries, against providers built from the entries."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from one_runtime.catalog.model import Integration, dump
from one_runtime.doctor.catalog_probe import Probed, probe, table
from one_runtime.egress.client import Egress
from tests.catalog.entries import ENTRIES
from tests.catalog.stand_in import StandIn
from tests.catalog.test_stand_in import answer_as, provider_network, raw_auth, values_of
from tests.egress.upstream import Upstream, answer

NOW = datetime(2026, 11, 26, 7, 30, tzinfo=UTC)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[tuple[Upstream, Egress]]:
    async with provider_network() as pair:
        yield pair


def entry(slug: str) -> Integration:
    return next(integration for integration in ENTRIES if integration.slug == slug)


async def ask(egress: Egress, *entries: Integration) -> list[Probed]:
    progress: list[Probed] = []
    rows = await probe(entries, egress, lambda: NOW, progress.append)
    assert sorted(progress, key=repr) == sorted(rows, key=repr)
    return rows


def alive(upstream: Upstream, integration: Integration, auth_type: str) -> None:
    auth = integration.auth_of(auth_type)
    assert auth is not None
    answer_as(upstream, StandIn(raw_auth(integration, auth), values_of(auth)))


@pytest.mark.slow
async def test_refused_key_or_unknown_client_means_alive(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    close = entry("close")
    alive(upstream, close, "api_key")
    check = (await ask(egress, close.model_copy(update={"auth": close.auth[:1]})))[0]
    assert (check.slug, check.auth_type, check.what, check.verdict) == ("close", "api_key", "check", "alive")
    assert check.got == "refused: This is not known here."
    alive(upstream, close, "oauth2")
    token = (await ask(egress, close.model_copy(update={"auth": close.auth[1:]})))[0]
    assert (token.what, token.verdict, token.at) == ("token", "alive", NOW)
    assert token.got.startswith("client_refused: ")


@pytest.mark.parametrize(
    "response,got",
    [
        (answer(200, body=b'{"id": "user_1"}'), "accepted a made-up credential"),
        (answer(404, body=b"gone"), "answered 404"),
        (answer(200, body=b"<html>Welcome</html>"), "answered 200"),
        (answer(200, body=b'{"access_token": "t"}'), "gave tokens to a made-up client"),
    ],
)
async def test_unexpected_response_means_wrong(world: tuple[Upstream, Egress], response: bytes, got: str) -> None:
    upstream, egress = world
    upstream.anything = response
    rows = await ask(egress, entry("close"))
    assert [row.verdict for row in rows] == ["wrong", "wrong"]
    assert any(got in row.got for row in rows), rows


async def test_403_for_an_invented_key_means_wrong_unless_the_entry_lists_403(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    upstream.anything = answer(403, body=b'{"error": "Forbidden"}')
    rows = [
        await ask(egress, item.model_copy(update={"auth": item.auth[:1]})) for item in map(entry, ("close", "figma"))
    ]
    assert [(row.verdict, row.got.partition(":")[0]) for (row,) in rows] == [
        ("wrong", "permission missing"),
        ("alive", "refused"),
    ]


async def test_silent_provider_is_unreachable_and_not_wrong(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    text = json.dumps(dump(entry("close"))).replace("api.close.com", "no-certificate-for-this.close.com")
    rows = await ask(egress, Integration.model_validate_json(text))
    assert {row.verdict for row in rows} == {"unreachable"}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_outage_is_not_wrong(world: tuple[Upstream, Egress], status: int) -> None:
    upstream, egress = world
    upstream.anything = answer(status, body=b"not now")
    assert {row.verdict for row in await ask(egress, entry("close"))} == {"unreachable"}


async def test_refused_address_is_wrong(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    text = json.dumps(dump(entry("close"))).replace("api.close.com", "metadata.google.internal")
    rows = await ask(egress, Integration.model_validate_json(text))
    assert {row.verdict for row in rows} == {"wrong"}
    assert all("Nothing was stored" not in row.got for row in rows)


async def test_hosts_that_customers_enter_are_not_probed(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    rows = await ask(egress, entry("zendesk"))
    assert {row.verdict for row in rows} == {"not_probed"}
    assert rows[0].got == "the host depends on subdomain, which each customer enters"
    assert upstream.requests == []


async def test_invented_values_differ_between_requests(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    for _ in range(2):
        await ask(egress, entry("close"))
    bodies = [request.body for request in upstream.requests if request.body]
    assert len(set(bodies)) == len(bodies) == 2


def test_table_has_a_dated_line_for_each_probe() -> None:
    row = Probed("close", "api_key", "check", "refused", "refused: a | b", "alive", NOW)
    assert table([row]).splitlines()[2] == (
        "| close | api_key | check | refused | refused: a \\| b | alive | 2026-11-26 07:30 |"
    )


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_every_entry_is_probed_or_has_a_reason(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    upstream.anything = answer(401, [("Content-Type", "application/json")], b'{"error": "invalid_client"}')
    rows = await ask(egress, *ENTRIES)
    assert {row.slug for row in rows} >= {
        integration.slug for integration in ENTRIES if {"api_key", "oauth2"} & set(integration.auth_types)
    } - {integration.slug for integration in ENTRIES if all(auth.check is None for auth in integration.auth)}
    odd = [row for row in rows if row.verdict not in ("alive", "not_probed") and "401" not in row.got]
    assert odd == []
    assert sum(row.verdict == "alive" for row in rows) > len(rows) / 2


async def test_auth_type_without_a_check_is_listed_with_its_reason(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    without = next(
        integration for integration in ENTRIES for auth in integration.auth if auth.fields and auth.check_missing
    )
    (auth, *_) = (candidate for candidate in without.auth if candidate.check_missing)
    rows = await ask(egress, without.model_copy(update={"auth": (auth,)}))
    assert [(row.what, row.verdict, row.got) for row in rows] == [("check", "not_probed", auth.check_missing)]
