"""The suggestions of the playground: recent end users, integrations and paths, also without JavaScript."""

import re
from html import unescape

import pytest

from one_runtime.catalog.loader import load_catalog
from one_runtime.dashboard.suggestions import Suggestion, _suggest_paths, sample_path
from tests.dashboard.team import Team


def options(page: str, field: str) -> dict[str, str]:
    """Return the suggestions of a field: texts by value."""
    found = re.search(rf'list="l-{field}".*?<datalist id="l-{field}">(.*?)</datalist>', page, re.DOTALL)
    pairs = re.findall(r'<option value="([^"]*)">([^<]*)</option>', found[1]) if found else []
    return {unescape(value): unescape(text) for value, text in pairs}


async def test_forms_suggest_recent_end_users_integrations_and_paths(team: Team) -> None:
    browser = await team.browser("developer")
    assert options((await browser.get("playground")).text, "end_user_id") == {}
    await team.api.session("user_1", end_user_name="Ada <b>")
    await team.api.connect("user_1")
    await team.api.connect("user_2")
    other = await team.application.organization("Southwind")
    await team.application.client(await team.application.key(other)).connect("stranger")
    for path in ("playground", "playground/sessions", "playground/calls"):
        people = options((await browser.get(path)).text, "end_user_id")
        assert people == {"user_2": "user_2", "user_1": "Ada <b>"}, path
    page = (await browser.get("playground/calls")).text
    assert options(page, "integration_slug") == {"acme": "Acme CRM"}
    assert options(page, "path") == {"/v1/me": "Acme CRM"}
    enabled = options((await browser.get("playground/sessions")).text, "integration_slug")
    assert enabled["hubspot"] == "HubSpot"
    await browser.submit("integrations/hubspot/disable")
    assert "hubspot" not in options((await browser.get("playground/sessions")).text, "integration_slug")


async def test_connection_leads_to_a_call_that_works_at_once(team: Team) -> None:
    connection = await team.api.connect("user_1")
    developer, support = await team.browser("developer"), await team.browser("support")
    path = f"connections/{connection['id']}"
    assert "Call the provider" not in (await support.get(path)).text
    [link] = re.findall(r'<a class="button" href="([^"]+)">Call the provider</a>', (await developer.get(path)).text)
    form = (await developer.http.get(unescape(link))).text
    fields = dict(re.findall(r'<input id="f-[a-z_]+" name="([a-z_]+)" type="text" value="([^"]*)"', form))
    assert fields == {"end_user_id": "user_1", "integration_slug": "acme", "path": "/v1/me"}
    assert "200 from the provider" in (await developer.post("playground/calls", {**fields, "method": "GET"})).text


@pytest.mark.parametrize(
    "slug,path",
    [
        ("github", "/user"),
        ("linear", None),  # the check posts to /graphql
        ("airtable", "/meta/whoami"),
    ],
)
def test_sample_path_is_that_of_a_check_which_only_reads(slug: str, path: str | None) -> None:
    integration = load_catalog().get(slug)
    assert integration is not None
    assert sample_path(integration) == path


def test_most_integrations_have_a_sample_path_without_placeholders() -> None:
    paths = [sample_path(each) for each in load_catalog().integrations]
    known = [path for path in paths if path is not None]
    assert len(known) > len(paths) / 2
    assert all(path.startswith("/") and path.isascii() and not set(path) & set("{} ") for path in known)


def test_path_of_several_integrations_is_suggested_once() -> None:
    catalog = load_catalog()
    chosen = [integration for slug in ("github", "linear", "airtable", "github") if (integration := catalog.get(slug))]
    assert _suggest_paths(chosen)[0] == Suggestion("/user", "GitHub, GitHub")
    assert len(_suggest_paths(chosen)) == 2
