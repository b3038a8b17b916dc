"""Actions that need a recent sign-in: the documented list, and the page after the confirmation."""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import ORGANIZATION, SIGNED_IN
from one_runtime.db.ids import new_id
from tests.dashboard.team import Team, text_of
from tests.documentation import ROOT, Page

RECENT: Final = [spec for spec in PAGES if spec.recent]
FIELDS: Final = {
    f"POST {ORGANIZATION}/api-keys": {"name": "Key", "scopes": "admin"},
    f"POST {ORGANIZATION}/members/invitations": {"email": "eve@example.com", "role": "owner"},
}
PAGES_AFTER: Final = {
    "members/invitations": "members?email=eve%40example.com&role=owner",
    "members/x/role": "members/x",
    "members/x/remove": "members/x",
    "members/invitations/x/revoke": "members",
    "api-keys": "api-keys?name=Key&scopes=admin",
    "integrations/x/oauth-client": "integrations/x",
    "integrations/x/oauth-client/delete": "integrations/x",
    "settings": "settings",
    "webhooks/x/settings/secret": "webhooks/x/settings",
    "end-users/x/forget": "end-users/x",
}
"""The page with the form of each action in an organization."""


def test_documentation_lists_the_actions_that_need_a_recent_sign_in() -> None:
    page = Page(ROOT / "docs" / "dashboard.md", (ROOT / "docs" / "dashboard.md").read_text())
    rows = page.table("Actions that need a recent sign-in", level=3)
    prefix = f"{ORGANIZATION}/"
    declared = {spec.path.removeprefix(prefix).replace("{end_user_id:path}", "{end_user_id}") for spec in RECENT}
    assert sorted(path.strip("`") for _, path in rows) == sorted(declared)


def test_actions_of_administrators_need_a_recent_sign_in_unless_they_change_only_looks() -> None:
    others = [spec.path for spec in PAGES if spec.method == "POST" and spec.access in {"admin", "own"}]
    exceptions = [path for path in others if path not in {spec.path for spec in RECENT}]
    assert exceptions == [f"{ORGANIZATION}/settings/branding", f"{ORGANIZATION}/settings/branding/preview"]


async def test_each_such_action_asks_for_a_sign_in_and_returns_to_its_page(team: Team) -> None:
    browser, prefix = await team.browser("owner"), f"/o/{team.organization_id}/"
    team.application.clock.advance(minutes=11)
    for spec in RECENT:
        path = re.sub(r"\{[^}]*\}", "x", spec.path.replace("{organization_id}", team.organization_id))
        answer = await browser.post(path, FIELDS.get(spec.name), referer="http://[bad")
        location = urlsplit(answer.headers.get("location", ""))
        assert (answer.status_code, location.path) == (303, "/sign-in/again"), spec.name
        (after,) = parse_qs(location.query)["next"]
        page = "/account" if spec.access == SIGNED_IN else prefix + PAGES_AFTER[path.removeprefix(prefix)]
        assert after == page, spec.name
        assert (await browser.get(after)).status_code in {200, 404}, "404: the ids are unknown"


async def test_form_has_its_values_again_after_the_confirmation(team: Team) -> None:
    browser = await team.browser("owner")
    page = (await browser.get("members", email="eve@example.com", role="admin")).text
    assert 'value="eve@example.com"' in page
    assert re.findall(r'name="role" value="(\w+)" checked', page) == ["admin"]


async def test_pages_with_long_forms_say_before_that_a_confirmation_is_necessary(team: Team) -> None:
    await team.api.connect("user_1")
    browser = await team.browser("owner")
    pages = {"settings": "save", "integrations/hubspot": "register a client", "end-users/user_1": "forget"}
    for path, action in pages.items():
        assert f"To {action}" not in text_of(await browser.get(path))
    team.application.clock.advance(minutes=11)
    for path, action in pages.items():
        answer = await browser.get(path)
        assert f"To {action}" in text_of(answer), path
        assert f'href="/sign-in/again?next=/o/{team.organization_id}/{path}"' in answer.text


async def test_action_of_an_ended_session_returns_to_its_page(team: Team) -> None:
    visitor = await team.browser(None)
    answer = await visitor.post(f"/o/{team.organization_id}/members/{new_id()}/remove", None, referer="http://[bad")
    assert answer.headers["location"].startswith(f"/sign-in?next=/o/{team.organization_id}/members/")
    assert not answer.headers["location"].endswith("remove")
