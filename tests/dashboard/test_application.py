"""The dashboard: hosts, sessions, permissions and forms, for every declared page."""

from datetime import timedelta
from typing import Final

import pytest
from sqlalchemy import insert

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import ORGANIZATION, PUBLIC, SIGNED_IN, Pages, PageSpec
from one_runtime.db.ids import new_id
from one_runtime.db.schema import memberships
from one_runtime.tenancy.roles import PERMISSIONS, ROLES, permits
from tests.application import Application
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.promises.stores import query

OF_ORGANIZATIONS: Final = [spec for spec in PAGES if spec.path.startswith(ORGANIZATION)]


def path_of(spec: PageSpec, organization_id: str) -> str:
    """Return a path of the page. All other ids in the path are unknown."""
    names = {"organization_id": organization_id}
    parts = [part.strip("{}") if part.startswith("{") else part for part in spec.path.split("/")]
    known = [names.get(part, new_id() if f"{{{part}}}" in spec.path else part) for part in parts]
    return "/".join(known)


async def send(browser: TeamBrowser, spec: PageSpec, organization_id: str) -> int:
    path = path_of(spec, organization_id)
    answer = await (browser.get(path) if spec.method == "GET" else browser.post(path))
    assert answer.headers["content-security-policy" if answer.status_code not in {303, 405} else "request-id"]
    return answer.status_code


async def test_every_page_follows_the_permission_table(team: Team) -> None:
    other = await team.application.organization("Southwind Traders")
    for role in ROLES:
        browser = await team.browser(role)
        for spec in OF_ORGANIZATIONS:
            assert spec.access in PERMISSIONS
            status = await send(browser, spec, team.organization_id)
            if permits(role, spec.access):
                assert status not in {401, 403, 405, 500}, f"{spec.name} as {role}"
            else:
                assert status == 403, f"{spec.name} as {role}"
            for elsewhere in (other, new_id(), "nonsense"):
                assert await send(browser, spec, elsewhere) == 404, f"{spec.name} of another organization"


async def test_error_in_an_organization_keeps_the_menu_for_its_members(team: Team) -> None:
    other = await team.application.organization("Southwind Traders")
    support, stranger = await team.browser("support"), await team.browser("support", other)
    for path, status in (("playground", 403), (f"connections/{new_id()}", 404)):
        answer = await support.get(path)
        assert answer.status_code == status
        assert '<nav aria-label="Sections">' in answer.text
        assert "Support of Northwind" in text_of(answer)
        outside = await stranger.get(f"/o/{team.organization_id}/{path}")
        assert outside.status_code == 404
        assert "<nav" not in outside.text
        assert "Northwind" not in outside.text
    part = await support.http.get(support.address("playground"), headers={"hx-request": "true"})
    assert "<nav" not in part.text
    assert "<nav" not in (await support.get("/nothing")).text


async def test_every_page_but_the_public_ones_needs_a_session(team: Team) -> None:
    browser = await team.browser(None)
    for spec in PAGES:
        if spec.access is not PUBLIC:
            path = path_of(spec, team.organization_id)
            answer = await (browser.get(path) if spec.method == "GET" else browser.post(path))
            assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/sign-in"), spec.name


async def test_every_form_of_another_site_is_refused(team: Team) -> None:
    browser = await team.browser()
    for spec in PAGES:
        if spec.method != "POST":
            continue
        path = path_of(spec, team.organization_id)
        for headers in ({"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}, {"sec-fetch-site": "none"}):
            assert (await browser.post(path, None, **headers)).status_code == 403, spec.name
        for origin in ({}, {"origin": "null"}, {"origin": "http://127.0.0.1:8000"}):
            answer = await browser.http.post(path, headers=origin)
            assert answer.status_code == 403, spec.name
    assert (await browser.http.post("/sign-out", headers={"origin": "http://127.0.0.1:8003"})).status_code == 303


async def test_session_that_is_idle_or_signed_out_needs_a_new_sign_in(team: Team) -> None:
    idle, leaving = await team.browser(), await team.browser()
    assert "You are signed out" in text_of(await leaving.submit("/sign-out"))
    leaving.http.cookies.clear()
    assert (await leaving.get()).headers["location"] == f"/sign-in?next=/o/{team.organization_id}"
    team.application.clock.ahead = timedelta(hours=11)
    assert (await idle.get()).status_code == 200
    team.application.clock.advance(hours=11)
    assert (await idle.get()).status_code == 200  # the session was used 11 hours ago
    team.application.clock.advance(hours=13)
    assert (await idle.get()).status_code == 303


async def test_first_page_leads_to_the_only_organization_or_lists_all(team: Team) -> None:
    browser = await team.browser("support")
    assert (await browser.get("/")).headers["location"] == f"/o/{team.organization_id}"
    listed = text_of(await browser.get("/organizations"))
    assert "Northwind Support" in listed
    overview = await browser.get()
    assert "Other organizations" not in text_of(overview)
    assert 'href="/organizations"' not in overview.text
    other = await team.application.organization("Southwind Traders")
    now = team.application.clock()
    async with team.application.installation.database.write() as tx:
        membership = {"organization_id": other, "member_id": browser.member_id, "role": "support", "created_at": now}
        await tx.execute(insert(memberships), **membership)
    for page in (await browser.get(), await browser.get(f"/o/{other}")):
        assert "Other organizations" in text_of(page)
        assert 'class="organization" href="/organizations"' in page.text
    query(team.application.installation, f"UPDATE organizations SET display_name = '' WHERE id = '{other}'")
    assert "Other organizations" not in text_of(await browser.get()), "the deletion of an organization empties its row"


async def test_dashboard_answers_only_at_its_own_host(team: Team) -> None:
    browser = await team.browser()
    for host in ("127.0.0.1:8000", "localhost:8003", "attacker.example"):
        answer = await browser.http.get("/", headers={"host": host})
        assert answer.status_code == 404
        assert "answers only at http://127.0.0.1:8003" in text_of(answer)


async def test_public_host_has_no_page_of_the_dashboard(team: Team) -> None:
    for spec in PAGES:
        if spec.path != "/":  # the API has a page of its own there
            answer = await team.api.http.request(spec.method, path_of(spec, team.organization_id))
            assert answer.status_code == 404, spec.name


async def test_without_the_setting_there_is_no_dashboard(application: Application) -> None:
    assert application.app.listeners == {}


async def test_headers_allow_only_this_server(team: Team) -> None:
    answer = await (await team.browser()).get()
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"


async def test_static_files_are_cached_and_unknown_names_are_not_found(team: Team) -> None:
    browser = await team.browser(None)
    page = (await browser.get("/sign-in")).text
    start = page.index("/assets/")
    stylesheet = page[start : page.index('"', start)]
    answer = await browser.get(stylesheet)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    for unknown in (stylesheet + "x", stylesheet.replace("/assets/", "/assets/0"), "/assets/x/../settings.py"):
        assert (await browser.get(unknown)).status_code == 404


async def test_tabs_show_an_icon_the_page_and_the_organization(team: Team) -> None:
    browser = await team.browser("owner")
    for path, title in (
        (f"/o/{team.organization_id}/members", "Members · Northwind"),
        ("/account", "Your account"),
    ):
        page = (await browser.get(path)).text
        assert f"<title>{title} · One Runtime</title>" in page
        icon = await browser.get(page.partition('<link rel="icon" href="')[2].partition('"')[0])
        assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")


async def test_crash_is_a_page_with_the_request_id_and_without_details(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise ValueError("secret detail")

    monkeypatch.setattr("one_runtime.team.dashboard_sessions.workplaces", crash)
    answer = await (await team.browser()).get("/organizations")
    assert answer.status_code == 500
    assert answer.headers["request-id"] in answer.text
    assert "secret detail" not in answer.text


def test_page_of_an_organization_needs_a_permission() -> None:
    pages = Pages()
    for path, access in ((f"{ORGANIZATION}/x", PUBLIC), (f"{ORGANIZATION}/x", SIGNED_IN), ("/x", "read")):
        with pytest.raises(ValueError, match="must be a permission"):
            pages.get(path, access=access)  # type: ignore[arg-type]


async def test_without_a_provider_there_is_no_sign_in_at_a_provider(team: Team) -> None:
    browser = await team.browser(None)
    assert "Sign in with" not in text_of(await browser.get("/sign-in"))
    assert (await browser.post("/sign-in/oidc")).status_code == 404
    assert (await browser.get("/sign-in/oidc/callback")).status_code == 404
