"""The probe tells entries that are alive from wrong ones, against providers made of their own data."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from one_runtime.catalog.model import Integration, dump
from one_runtime.doctor.catalog_probe import Probed, probe, table
from one_runtime.egress import Egress
from tests.catalog.entries import ENTRIES
from tests.catalog.stand_in import StandIn
from tests.catalog.test_stand_in import play, raw_auth, the_world, values_of
from tests.egress.upstream import Upstream, answer

NOW = datetime(2026, 11, 26, 7, 30, tzinfo=UTC)


@pytest_asyncio.fixture
async def world() -> AsyncIterator[tuple[Upstream, Egress]]:
    async with the_world() as made:
        yield made


def entry(slug: str) -> Integration:
    return next(one for one in ENTRIES if one.slug == slug)


async def ask(egress: Egress, *entries: Integration) -> list[Probed]:
    heard: list[Probed] = []
    told = await probe(entries, egress, lambda: NOW, heard.append)
    assert sorted(heard, key=repr) == sorted(told, key=repr)
    return told


def alive(upstream: Upstream, one: Integration, auth_type: str) -> None:
    auth = one.auth_of(auth_type)
    assert auth is not None
    play(upstream, StandIn(raw_auth(one, auth), values_of(auth)))


async def test_a_key_that_is_refused_and_a_client_that_is_unknown_are_alive(world: tuple[Upstream, Egress]) -> None:
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
    "said,got",
    [
        (answer(200, body=b'{"id": "user_1"}'), "accepted a made-up credential"),
        (answer(404, body=b"gone"), "answered 404"),
        (answer(200, body=b"<html>Welcome</html>"), "answered 200"),
        (answer(200, body=b'{"access_token": "t"}'), "gave tokens to a made-up client"),
    ],
)
async def test_what_answers_otherwise_is_wrong(world: tuple[Upstream, Egress], said: bytes, got: str) -> None:
    upstream, egress = world
    upstream.anything = said
    told = await ask(egress, entry("close"))
    assert [one.verdict for one in told] == ["wrong", "wrong"]
    assert any(got in one.got for one in told), told


async def test_who_does_not_answer_is_unreachable_and_not_wrong(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    text = json.dumps(dump(entry("close"))).replace("api.close.com", "no-certificate-for-this.close.com")
    told = await ask(egress, Integration.model_validate_json(text))
    assert {one.verdict for one in told} == {"unreachable"}


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_an_outage_is_not_called_wrong(world: tuple[Upstream, Egress], status: int) -> None:
    upstream, egress = world
    upstream.anything = answer(status, body=b"not now")
    assert {one.verdict for one in await ask(egress, entry("close"))} == {"unreachable"}


async def test_an_address_that_may_never_be_reached_is_wrong(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    text = json.dumps(dump(entry("close"))).replace("api.close.com", "metadata.google.internal")
    told = await ask(egress, Integration.model_validate_json(text))
    assert {one.verdict for one in told} == {"wrong"}
    assert all("Nothing was stored" not in one.got for one in told)


async def test_hosts_that_customers_enter_are_not_probed(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    told = await ask(egress, entry("zendesk"))
    assert {one.verdict for one in told} == {"not_probed"}
    assert told[0].got == "the host depends on subdomain, which each customer enters"
    assert upstream.seen == []


async def test_nothing_that_was_made_up_is_the_same_twice(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    for _ in range(2):
        await ask(egress, entry("close"))
    bodies = [one.body for one in upstream.seen if one.body]
    assert len(set(bodies)) == len(bodies) == 2


def test_the_table_has_a_line_for_each_with_its_date() -> None:
    one = Probed("close", "api_key", "check", "refused", "refused: a | b", "alive", NOW)
    assert table([one]).splitlines()[2] == (
        "| close | api_key | check | refused | refused: a \\| b | alive | 2026-11-26 07:30 |"
    )


@pytest.mark.slow
@pytest.mark.timeout(200)
async def test_every_entry_is_probed_or_says_why_not(world: tuple[Upstream, Egress]) -> None:
    upstream, egress = world
    upstream.anything = answer(401, [("Content-Type", "application/json")], b'{"error": "invalid_client"}')
    told = await ask(egress, *ENTRIES)
    assert {one.slug for one in told} >= {
        one.slug for one in ENTRIES if {"api_key", "oauth2"} & set(one.auth_types)
    } - {one.slug for one in ENTRIES if all(auth.check is None for auth in one.auth)}
    odd = [one for one in told if one.verdict not in ("alive", "not_probed") and "401" not in one.got]
    assert odd == []
    assert sum(one.verdict == "alive" for one in told) > len(told) / 2


async def test_a_way_without_a_check_is_in_the_table_with_the_reason(world: tuple[Upstream, Egress]) -> None:
    _, egress = world
    without = next(one for one in ENTRIES for auth in one.auth if auth.fields and auth.check_missing)
    (auth, *_) = (one for one in without.auth if one.check_missing)
    told = await ask(egress, without.model_copy(update={"auth": (auth,)}))
    assert [(one.what, one.verdict, one.got) for one in told] == [("check", "not_probed", auth.check_missing)]
