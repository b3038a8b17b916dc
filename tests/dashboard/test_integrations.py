"""The list of integrations: search, filters, enabling, and its cost."""

import gzip
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import ClauseElement

from one_runtime.catalog.auth_types import Auth
from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.loader import load_catalog
from one_runtime.catalog.oauth2 import ClientRegistration
from one_runtime.dashboard.integrations import PAGE_SIZE
from one_runtime.db.compiled import CompiledStatement, StatementCompiler
from one_runtime.demo.acme import INITECH
from one_runtime.tenancy import organizations
from tests.application import ACME_KEYS, RunningAcme, settings_for, started
from tests.billing import register
from tests.dashboard.team import Team, text_of
from tests.dashboard.test_overview import add_calls
from tests.promises.stores import query


async def enabled(team: Team) -> tuple[str, tuple[str, ...]]:
    """Return the stored mode and the stored slugs."""
    async with team.application.installation.database.read() as tx:
        organization = await organizations.get(tx, team.organization_id)
    return organization.integrations_mode, organization.integrations_slugs


async def test_list_shows_the_state_of_each_integration(team: Team) -> None:
    await team.api.connect("user_1")
    broken = await team.api.connect("user_2", ACME_KEYS[INITECH])
    team.application.acme.acme.revoke(ACME_KEYS[INITECH])
    await team.api.post(f"/v1/connections/{broken['id']}/check")
    await register(team.api)
    browser = await team.browser("developer")
    page = text_of(await browser.get("integrations"))
    custom, acme = page.index("Billing Accounting"), page.index("Acme CRM CRM")
    assert max(custom, acme) < page.index("Airtable"), "custom and connected integrations are first"
    partly = (
        "Acme CRM CRM · API key, OAuth Ready Possible now: API key. Register a client for OAuth 2 1 to connect again"
    )
    assert f"{partly} The provider refused the credential in a check." in page
    assert "Billing Accounting · API key Ready 0 – Disable" in page
    assert "Missing" not in page


async def test_search_and_filters_select_integrations(team: Team) -> None:
    await team.api.connect()
    await team.api.send(
        "PUT", "/v1/integrations/hubspot/oauth-client", {"client_id": "ours", "client_secret": "s" * 20}
    )
    browser = await team.browser("support")
    found = text_of(await browser.get("integrations", search="hubsopt"))
    assert "1 integration " in found
    assert "HubSpot CRM · API key, OAuth Ready With your OAuth client." in found
    connected = text_of(await browser.get("integrations", show="connected"))
    assert "1 integration " in connected
    missing = text_of(await browser.get("integrations", show="client_missing", search="hubspot"))
    assert "No integration matches" in missing
    crm = text_of(await browser.get("integrations", category="CRM", show="enabled"))
    assert "Salesforce" in crm
    assert "Slack Communication" not in crm
    ready = text_of(await browser.get("integrations", show="ready"))
    assert ready.index("Acme CRM CRM") < ready.index("HubSpot CRM") < ready.index("Airtable")
    assert "Needs an OAuth client" not in ready
    everything = text_of(await browser.get("integrations", category="no category", show="nothing", page="x"))
    assert f"1 to {PAGE_SIZE} shown" in everything


async def test_pages_contain_every_integration_once(team: Team) -> None:
    browser, slugs, number = await team.browser("support"), list[str](), 1
    while True:
        page = await browser.get("integrations", page=str(number))
        slugs += re.findall(rf'<a href="/o/{team.organization_id}/integrations/([^"/#]+)">', page.text)
        if 'rel="next"' not in page.text:
            break
        number += 1
    assert sorted(slugs) == sorted(each.slug for each in team.application.installation.catalog.integrations)
    assert "No integration matches" in text_of(await browser.get("integrations", page="9999"))


async def test_developer_enables_and_disables_in_each_mode(team: Team) -> None:
    browser = await team.browser("developer")
    answer = await browser.submit("integrations/hubspot/disable", {"list": "search=hub&page=2&bad=1"})
    assert str(answer.url).endswith("/integrations?search=hub&page=2&done=disabled")
    assert "Existing connections stay" in text_of(answer)
    assert await enabled(team) == (
        "all_but",
        ("hubspot",),
    )
    page = await browser.submit("integrations/hubspot/enable", {"list": ""})
    assert "Enabled: all integrations. Change" in text_of(page)
    await browser.submit("integrations/hubspot/disable")
    page = await browser.submit("integrations/slack/disable", {"list": ""})
    assert "Enabled: all integrations except 2. Change" in text_of(page)
    page = await browser.submit("integrations/hubspot/enable")
    assert "The integration is enabled" in text_of(page)
    assert await enabled(team) == ("all_but", ("slack",))
    await browser.submit("integrations", {"mode": "listed", "slugs": "HubSpot, slack\r\nhubspot"})
    assert await enabled(team) == ("listed", ("hubspot", "slack"))
    await browser.submit("integrations/hubspot/disable")
    await browser.submit("integrations/airtable/enable")
    assert await enabled(team) == ("listed", ("slack", "airtable"))
    assert "Enabled: 2 integrations." in text_of(await browser.get("integrations"))
    page = await browser.submit("integrations/slack/disable", {"list": ""})
    assert "Enabled: 1 integration." in text_of(page)
    page = await browser.submit("integrations/airtable/disable", {"list": ""})
    assert "Enabled: no integrations." in text_of(page)
    await browser.submit("integrations", {"mode": "all", "slugs": "slack"})
    assert await enabled(team) == ("all", ())
    events = (await team.api.get("/v1/events", type="organization.updated")).json()["events"]
    assert {event["actor"]["type"] for event in events} == {"member"}
    assert len(events) == 11


async def test_wrong_mode_or_slug_is_an_error_of_the_form(team: Team) -> None:
    browser = await team.browser("developer")
    unknown = await browser.post("integrations", {"mode": "listed", "slugs": "hubspot nonsense"})
    assert unknown.status_code == 422
    assert "There is no integration 'nonsense'" in text_of(unknown)
    assert "hubspot nonsense" in unknown.text, "the form keeps the typed text"
    assert (await browser.post("integrations", {"mode": "some"})).status_code == 422
    empty = await browser.post("integrations", {"mode": "listed", "slugs": " ,\r\n"})
    assert empty.status_code == 422
    assert "an empty list disables all integrations. Enter a slug, or choose another option" in text_of(empty)
    assert await enabled(team) == ("all", ())
    assert (await browser.post("integrations/nonsense/disable")).status_code == 404


async def test_integration_that_the_operator_disabled_is_marked(team: Team) -> None:
    team.application.installation.disabled.slugs = frozenset({"hubspot"})
    browser = await team.browser("support")
    assert "HubSpot CRM · API key, OAuth Disabled by the operator" in text_of(
        await browser.get("integrations", search="hubspot")
    )
    assert "Ask the operator to enable it" in text_of(await browser.get("integrations/hubspot"))


async def test_support_sees_no_forms(team: Team) -> None:
    page = (await (await team.browser("support")).get("integrations")).text
    assert "/disable" not in page
    assert 'name="mode"' not in page


@contextmanager
def counted_statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the SQL statements that run until the block ends."""
    statements, compile_statement = list[str](), StatementCompiler.compile

    def count(self: StatementCompiler, statement: ClauseElement) -> CompiledStatement:
        compiled = compile_statement(self, statement)
        statements.append(compiled.text)
        return compiled

    with monkeypatch.context() as patched:
        patched.setattr(StatementCompiler, "compile", count)
        yield statements


@pytest.mark.slow
async def test_pages_are_small_and_need_few_statements(
    database_url: str, acme: RunningAcme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole built-in catalog, as in a new installation."""
    settings = settings_for(database_url, acme, dashboard_listen="127.0.0.1:8003")
    async with started(settings, acme, load_catalog(), worker=False) as application:
        organization_id = await application.organization()
        team = Team(application, organization_id, application.client(await application.key(organization_id)))
        await register(team.api)
        client = {"client_id": "ours", "client_secret": "s" * 20}
        await team.api.send("PUT", "/v1/integrations/hubspot/oauth-client", client)
        browser = await team.browser("owner")
        for path in (
            "integrations",
            "integrations?search=a&show=enabled",
            "integrations/hubspot",
            "custom-integrations",
        ):
            address = browser.address(path)
            await browser.http.get(address)  # the process caches the organization's own catalog
            with counted_statements(monkeypatch) as statements:
                answer = await browser.http.get(address)
            assert answer.status_code == 200
            assert len(statements) <= 4, (path, statements)
            assert len(gzip.compress(answer.content, 4)) < 30_000, path
        for slug in different_slugs():
            answer = await browser.get(f"integrations/{slug}")
            assert answer.status_code == 200, slug
            assert len(gzip.compress(answer.content, 4)) < 30_000, slug


def different_slugs() -> list[str]:
    """Return integrations of the whole catalog that differ in the parts that their pages show."""
    by_shape = {repr(list(map(_shape, each.auth))): each.slug for each in load_catalog().integrations}
    return list(by_shape.values())


def _shape(auth: Auth) -> tuple[object, ...]:
    client = auth.client if isinstance(auth, OAuth2Auth) else ClientRegistration()
    has_options = any(param.options for param in auth.params)
    return auth.type, bool(auth.params), has_options, bool(auth.fields), client.owner, bool(client.fields)


async def test_last_failure_is_in_words_and_links_to_its_details(team: Team) -> None:
    connection = await team.api.connect("user_1")
    error = '{"code": "invalid_grant", "message": "revoked", "at": "2026-11-30T00:00:00.000Z"}'
    query(
        team.application.installation,
        f"UPDATE connections SET status = 'needs_reauth', error = '{error}' WHERE id = '{connection['id']}'",
    )
    await add_calls(team, 30, integration_slug="hubspot")
    await add_calls(team, 10, integration_slug="hubspot", status=500)
    browser = await team.browser("support")
    page = await browser.get("integrations", search="acme")
    assert "1 to connect again The provider refused the refresh token" in text_of(page)
    assert browser.address(f"connections/{connection['id']}") in page.text
    page = await browser.get("integrations", search="hubspot")
    assert re.search(r"10 of 40 calls failed in 24 hours\. \d\d:00 to \d\d:59 UTC", text_of(page))
    assert f'{browser.address("requests")}?integration=hubspot&amp;outcome=failed"' in page.text
