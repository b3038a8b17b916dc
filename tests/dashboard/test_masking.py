"""Masked e-mail addresses: members with the role `support` see no address of an end user, in any page."""

import re
import time
from collections.abc import Iterable, Mapping
from html import unescape
from typing import Final
from urllib.parse import quote

import pytest

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.masking import Whole, mask, mask_output
from one_runtime.dashboard.rendering import breakable
from one_runtime.tenancy.roles import PERMISSIONS, permits
from tests.application import RunningAcme, settings_for, started
from tests.dashboard.served import fill, sample_paths
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.in_one_test import in_one_test
from tests.promises.stores import query

pytestmark = pytest.mark.slow

CANARY: Final = "zelda.canary+x@hidden.example"
FORMS: Final = (CANARY, quote(CANARY), quote(CANARY, safe="+"), CANARY.replace("@", "&#64;"))
MASKED: Final = "z…@hidden.example"

ERROR: Final = '{{"code": "nonsense", "message": "{0} is unknown", "at": "2026-11-30T00:00:00.000Z"}}'
LISTED: Final = '{{"contact": "{0}", "list": ["{0}"]}}'
CHANGES: Final = (
    f"UPDATE end_users SET email = '{{0}}', metadata = '{LISTED}'",
    f"UPDATE connections SET name = '{{0}}', account_label = '{{0}}', account_id = '{{0}}', metadata = '{LISTED}'",
    f"UPDATE connections SET error = '{ERROR}' WHERE error IS NOT NULL",
    "UPDATE requests SET path = '/v1/users/{1}/messages?to={0}'",
    "UPDATE end_user_tokens SET name = 'Agent of {0}'",
    "UPDATE approval_requests SET path = '/v1/users/{0}'",
    f"UPDATE hosted_connection_sessions SET last_error = '{ERROR}'",
    "UPDATE webhook_attempts SET excerpt = 'no mailbox {0}'",
)


@in_one_test(
    (
        ("ada@example.com", "a…@example.com"),
        ("Write to <ada.l+x@mail.example.co.uk>, or bo@x.", "Write to <a…@mail.example.co.uk>, or b…@x."),
        ("/users/ada%40example.com/ada%2Bx%40example.com", "/users/a…%40example.com/a…%40example.com"),
        ("mailto:ada@example.com?subject=x", "mailto:a…@example.com?subject=x"),
        ('{"to": "ünï@exämple.de"}', '{"to": "ü…@exämple.de"}'),
        ("100 % of a@b@c.example", "100 % of a…@b@c.example"),
        ("grace(work)@customer.example (a(b)c(at home)@x.example)", "g…@customer.example (a…@x.example)"),
        ('to "ada b"@x.example, (ada)@x.example', "to a…@x.example, a…@x.example"),
        ('{"a": "b", "c": "ada@x.example"} (x) "y" @', '{"a": "b", "c": "a…@x.example"} (x) "y" @'),
        ("no address: user_42, 50%40, @handle", "no address: user_42, 50%40, @handle"),
    ),
    name=lambda case: case[0],
)
def test_addresses_in_texts_are_masked(case: tuple[str, str]) -> None:
    text, masked = case
    assert mask(text) == masked


def test_output_of_templates_is_masked_but_whole_texts_are_not() -> None:
    assert mask_output(["ada@example.com"]) == "['a…@example.com']"
    assert mask_output(Whole("ada@example.com")) == "ada@example.com"
    assert mask_output(None) == "None"
    assert mask_output(42) == 42
    assert mask_output(breakable("ada@x.example <b>")) == "ada@<wbr>x<wbr>.example &lt;b&gt;"


def test_time_grows_linearly_with_the_text() -> None:
    for text in ("a" * 20_000, "a(b)" * 5_000, "(" * 20_000, '"' * 20_000, "(a" * 10_000, '"a' * 10_000, "a(" * 10_000):
        begin = time.perf_counter()
        assert mask(text + " @") == text + " @"
        assert time.perf_counter() - begin < 1, text[:10]


async def prepare(team: Team) -> tuple[str, dict[str, str]]:
    """Put the canary address into each kind of data. Return the id of a connection, and the paths of all pages."""
    await fill(team.application, team.api)
    connection = await team.api.connect(CANARY)
    headers = {"one-runtime-connection": connection["id"]}
    await team.api.http.get("/v1/proxy/acme/v1/contacts", headers=headers)
    await team.api.http.get("/v1/proxy/acme/v1/missing", headers=headers)
    await team.application.app.services.request_log.flush()
    paths = await sample_paths(team.api, team.organization_id, await team.member("support"))
    for change in CHANGES:
        query(team.application.installation, change.format(CANARY, quote(CANARY)))
    return connection["id"], paths


async def open_all(browser: TeamBrowser, paths: Iterable[str]) -> dict[str, str]:
    """Return the pages by path."""
    return {path: (await browser.get(path)).text for path in paths}


def links_in(pages: Mapping[str, str]) -> set[str]:
    """Return the paths to which the pages link, but not the pages of other integrations."""
    links = {unescape(link) for page in pages.values() for link in re.findall(r'href="(/o/[^"#]+)', page)}
    return {link for link in links if "/integrations" not in link} - set(pages)


async def test_support_sees_no_address_in_any_page(team: Team) -> None:
    connection_id, paths = await prepare(team)
    support, developer = await team.browser("support"), await team.browser("developer")
    lists = [
        paths[spec.name]
        for spec in PAGES
        if spec.method == "GET" and spec.access in PERMISSIONS and permits("support", spec.access)
    ]
    pages = await open_all(support, lists)
    pages |= await open_all(support, links_in(pages))
    assert len(pages) > 2 * len(lists)
    for path, text in pages.items():
        assert not [form for form in FORMS if form in text or form in path], path
    shown = [path for path, text in pages.items() if MASKED in text]
    for section in ("end-users", "connections", "requests", "audit", "agents"):
        assert [path for path in shown if f"/{section}" in path], section
    for path in (f"connections/{connection_id}", "end-users", "audit", "requests"):
        assert CANARY in (await developer.get(path)).text, path


async def test_support_works_with_end_users_whose_identifiers_are_addresses(team: Team) -> None:
    connection_id, _ = await prepare(team)
    support = await team.browser("support")
    listed = await support.get("end-users", q=CANARY)
    (path,) = {unescape(each) for each in re.findall(r'<th scope="row"><a href="([^"]+)">z…@', listed.text)}
    assert text_of(await support.get(path)).count(MASKED) > 3
    for action in (f"{path}/link", f"connections/{connection_id}/link", f"connections/{connection_id}/check"):
        answer = await support.post(action)
        assert answer.status_code in {200, 303, 422}, action
        assert not [form for form in FORMS if form in answer.text], action
    assert "Write an e-mail (without an address)" in text_of(await support.post(f"connections/{connection_id}/link"))
    renamed = await support.get(f"connections/{connection_id}")
    assert 'name="name" type="text" value=""' in renamed.text, "the form would store the masked name"
    for kind in ("csv", "jsonl"):
        export = await support.post("audit/export", {"format": kind})
        assert (CANARY in export.text, MASKED in export.text) == (False, True)
        assert CANARY in (await (await team.browser("developer")).post("audit/export", {"format": kind})).text
    missing = await support.get(f"integrations/{quote(CANARY)}")
    assert (missing.status_code, CANARY in missing.text, MASKED in missing.text) == (404, False, True)
    deleted = await support.post(f"connections/{connection_id}/disconnect")
    assert (CANARY in deleted.text, MASKED in deleted.text) == (False, True)


async def test_support_finds_an_end_user_by_the_whole_address_only(team: Team) -> None:
    await team.api.session("user_1", end_user_name="Zelda", end_user_email=CANARY)
    await team.api.connect("user_1")
    support, developer = await team.browser("support"), await team.browser("developer")
    for text, found in ((CANARY, True), (CANARY.upper(), True), ("zelda.can", False), ("hidden.example", False)):
        for path, name in (("end-users", "q"), ("connections", "end_user")):
            assert ("Zelda" in text_of(await support.get(path, **{name: text}))) == found, text
            assert "Zelda" in text_of(await developer.get(path, **{name: text}))
    for browser, rule in ((support, "or by the whole e-mail address."), (developer, "of the e-mail address or of")):
        assert rule in text_of(await browser.get("end-users", q="nobody")), rule
    page = await support.get("end-users", q=CANARY)
    assert f'value="{CANARY}"' in page.text, "the form keeps the typed text"
    assert page.text.count(CANARY) == 1
    assert "Zelda" in text_of(await support.get("end-users", q="zelda"))


async def test_support_finds_no_part_of_an_address_in_a_name_or_identifier(team: Team) -> None:
    """Security L9."""
    people = {
        "user_1": CANARY,
        "user_2": f"Zelda <{CANARY}>",
        CANARY: "The person",
        quote(CANARY): "The encoded person",
        "user_5": "Plain Zelda",
    }
    for end_user_id, name in people.items():
        await team.api.session(end_user_id, end_user_name=name)
        await team.api.connect(end_user_id)
    support, developer = await team.browser("support"), await team.browser("developer")
    shown = {"user_1": MASKED, "user_2": f"Zelda <{MASKED}>", CANARY: "The person", "user_5": "Plain Zelda"}

    async def found(browser: TeamBrowser, text: str, path: str, name: str) -> set[str]:
        page = text_of(await browser.get(path, **{name: text}))
        return {end_user_id for end_user_id, words in shown.items() if words in page}

    for path, name in (("end-users", "q"), ("connections", "end_user")):
        for text in ("zelda.can", "canary", "hidden.example", "elda.canary+x@hidden.example", "%40hidden", "@"):
            assert await found(support, text, path, name) == set(), (path, text)
            assert "user_1" in text_of(await developer.get(path, **{name: text})) or "%40" in text, (path, text)
        assert await found(support, "zelda", path, name) == {"user_5"}, path
    assert CANARY in await found(support, CANARY, "end-users", "q"), "the whole identifier"


async def test_support_sees_the_addresses_of_colleagues(team: Team) -> None:
    await (await team.browser("admin")).post("api-keys", {"name": "Backend", "scopes": ["read"]})
    support = await team.browser("support")
    for path in ("members", "audit", f"members/{support.member_id}", ""):
        assert re.search(r"(support|admin)-[0-9a-f]{6}@example\.com", text_of(await support.get(path))), path
    assert "@<wbr>example<wbr>.com</a>" in (await support.get("audit")).text, "a line breaks at these places"


async def test_setting_shows_the_addresses_to_all_roles(database_url: str, acme: RunningAcme) -> None:
    settings = settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003", dashboard_mask_end_users=False)
    async with started(settings, acme, worker=False) as application:
        organization_id = await application.organization()
        team = Team(application, organization_id, application.client(await application.key(organization_id)))
        await team.api.session("user_1", end_user_email=CANARY)
        assert CANARY in (await (await team.browser("support")).get("end-users")).text
