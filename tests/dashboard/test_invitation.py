"""The page of an invitation link: first sign-in, used and expired links, and links for other people."""

import asyncio
from datetime import timedelta

import httpx2

from one_runtime.dashboard.cookies import SESSION
from one_runtime.team import invitations
from one_runtime.team.invitations import link_url
from one_runtime.tenancy.events import Actor
from one_runtime.tenancy.roles import Role
from tests.dashboard.team import Team, TeamBrowser, text_of


async def link(team: Team, email: str = "ada@example.com", role: Role = "owner", maker: str | None = None) -> str:
    """Return the path of a new link. `maker`: the member who makes the link, or None for the operator."""
    actor = Actor(team.organization_id, "member" if maker else "system", maker)
    async with team.application.installation.database.write() as tx:
        _, token = await invitations.create(tx, actor, email, role, team.application.clock())
    return link_url("", token)


async def accept(browser: TeamBrowser, path: str) -> httpx2.Response:
    address, _, token = path.partition("?token=")
    return await browser.post(address, {"token": token})


async def test_first_owner_opens_the_link_joins_and_is_signed_in(team: Team) -> None:
    browser, path = await team.browser(None), await link(team)
    for _ in range(2):  # opening the page, as scanners of links do, does not use the link
        shown = text_of(await browser.get(path))
        assert "Join Northwind" in shown
        assert "ada@example.com" in shown
    answer = await accept(browser, path)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/welcome?next=%2Fo%2F{team.organization_id}")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Owner of Northwind" in text_of(await browser.get())


async def test_link_that_is_used_expired_replaced_or_unknown_is_one_sentence(team: Team) -> None:
    browser = await team.browser(None)
    replaced, used = await link(team), await link(team)
    await accept(browser, used)
    expired = await link(team, "grace@example.com")
    other = await team.browser(None)
    team.application.clock.ahead = timedelta(hours=25)
    cases = {
        replaced: "does not work",
        used: "was used already",
        expired: "has expired",
        "/invitation?token=x": "not work",
    }
    for path, sentence in cases.items():
        for answer in (await other.get(path), await accept(other, path)):
            assert answer.status_code in {404, 409}
            assert sentence in text_of(answer), path
            assert "set-cookie" not in answer.headers


async def test_link_signs_in_one_of_two_browsers_that_use_it_at_once(team: Team) -> None:
    path = await link(team)
    browsers = [await team.browser(None) for _ in range(2)]
    answers = await asyncio.gather(*(accept(browser, path) for browser in browsers))
    assert sorted(answer.status_code for answer in answers) == [303, 409]


async def test_link_of_a_member_does_not_sign_in_a_member_of_another_organization(team: Team) -> None:
    other = await team.application.organization("Southwind")
    stranger, admin = await team.browser("owner", other), await team.member("admin")
    email = text_of(await stranger.get(f"/o/{other}")).partition("Account of ")[2].split()[0]
    path, attacker = await link(team, email, "support", admin), await team.browser(None)
    assert "first" in text_of(await attacker.get(path))
    refused = await accept(attacker, path)
    assert refused.status_code == 409
    assert "set-cookie" not in refused.headers
    joined = await accept(stranger, path)
    assert joined.headers["location"] == f"/o/{team.organization_id}"
    assert (await stranger.get(f"/o/{other}")).status_code == 200, "the old session is still valid"


async def test_sign_in_by_a_link_ends_the_session_of_the_browser_before(team: Team) -> None:
    browser = await team.browser("support")
    old = browser.http.cookies[SESSION]
    path = await link(team)
    assert "instead" in text_of(await browser.get(path))
    await accept(browser, path)
    assert browser.http.cookies[SESSION] != old
    thief = await team.browser(None)
    thief.http.cookies.set(SESSION, old, domain="127.0.0.1", path="/")
    assert (await thief.get()).headers["location"].startswith("/sign-in")


async def test_link_for_a_member_offers_a_sign_in_instead_of_joining(team: Team) -> None:
    owner, visitor = await team.browser(), await team.browser(None)
    email = text_of(await owner.get()).partition("Account of ")[2].split()[0]
    path = await link(team, email, "support")
    stranger = text_of(await visitor.get(path))
    assert "Sign in to Northwind" in stranger
    assert f"{email} is already a member of Northwind, with the role owner ." in stranger
    assert "If you can still sign in" in stranger
    assert "Join" not in stranger
    shown = await owner.get(path)
    assert "You are signed in, and do not need the link." in text_of(shown)
    assert f'href="/o/{team.organization_id}"' in shown.text
    assert "<form" not in shown.text


async def test_link_renews_an_old_session_of_a_member_without_a_sign_in_method(team: Team) -> None:
    browser = await team.browser(None)
    await accept(browser, await link(team))
    old, path = browser.http.cookies[SESSION], await link(team)
    team.application.clock.advance(minutes=11)
    assert (await browser.get("members")).status_code == 200
    assert "Sign in with the link" in text_of(await browser.get(path))
    answer = await accept(browser, path)
    assert answer.headers["location"].startswith("/welcome")
    assert browser.http.cookies[SESSION] != old
    assert "Ten minutes have passed" not in text_of(await browser.get("/welcome"))


async def test_link_to_a_higher_role_says_so(team: Team) -> None:
    support = await team.browser("support")
    email = text_of(await support.get()).partition("Account of ")[2].split()[0]
    path = await link(team, email, "admin")
    assert "The link changes the role to admin ." in text_of(await support.get(path))
    assert "Take the new role" in text_of(await support.get(path))
    await accept(support, path)
    assert "Admin of Northwind" in text_of(await support.get())
