"""The pages for sign-in and for the account of a member, without JavaScript."""

import base64
import html
import re
from typing import Any

import httpx2
import pytest
from sqlalchemy import select

from one_runtime.dashboard.account import describe_browser
from one_runtime.dashboard.cookies import SESSION
from one_runtime.db.schema import dashboard_sessions as sessions_table
from one_runtime.team import invitations
from one_runtime.team.sign_in import totp
from one_runtime.tenancy.events import Actor
from tests.application import RunningAcme, settings_for, started
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.team.sign_in.members import begin_period

PASSWORD = "seven quiet herons"
_KEY = re.compile(r"<code>((?:[A-Z2-7]{4} ?){8})</code>")


async def open_link(team: Team, email: str = "ada@example.com") -> TeamBrowser:
    """Return the browser of a new member, who has just used the link of an invitation."""
    begin_period(team.application)
    async with team.application.installation.database.write() as tx:
        actor = Actor(team.organization_id, "system")
        _, token = await invitations.create(tx, actor, email, "developer", team.application.clock())
    browser = await team.browser(None)
    answer = await browser.post("/invitation", {"token": token.secret})
    assert answer.headers["location"] == f"/welcome?next=%2Fo%2F{team.organization_id}"
    return browser


def code_of(team: Team, page: httpx2.Response, periods: int = 0) -> str:
    """Return the code of the app that has read the key on a page."""
    found = _KEY.search(page.text)
    assert found is not None
    step = int(team.application.clock().timestamp()) // totp.PERIOD + periods
    return totp.code_of(base64.b32decode(found[1].replace(" ", "")), step)


async def set_up(team: Team, browser: TeamBrowser, **fields: str) -> httpx2.Response:
    """Set a password and an authenticator app. Return the page with the key of the app."""
    await browser.submit("/account/password", {"password": PASSWORD, **fields})
    page = await browser.post("/account/authenticator", fields)
    assert page.status_code == 200
    done = await browser.submit("/account/authenticator/confirm", {"code": code_of(team, page, -1), **fields})
    assert "Your authenticator app is set up" in text_of(done)
    return page


async def test_filled_button_of_the_first_page_is_the_next_step(database_url: str, acme: RunningAcme) -> None:
    settings = settings_for(
        database_url, acme, dashboard_listen="127.0.0.1:8003", dashboard_url="http://localhost:8003"
    )
    async with started(settings, acme, worker=False) as application:
        organization_id = await application.organization()
        team = Team(application, organization_id, application.client(await application.key(organization_id)))
        browser = await open_link(team)
        for step in ("Add a passkey", "Set up an authenticator app"):
            page = await browser.get("/welcome")
            assert re.findall(r'<button class="primary">(.*?)</button>', page.text) == [step]
            await browser.post("/account/password", {"password": PASSWORD, "next": "/"})


async def password_page(browser: TeamBrowser, next_path: str, **fields: str) -> httpx2.Response:
    """Enter the password. Return the page of the second step."""
    form = {"email": "ada@example.com", "password": PASSWORD, "next": next_path, **fields}
    return await browser.submit("/sign-in", form)


async def test_new_member_chooses_a_password_and_signs_in_with_a_code(team: Team) -> None:
    first, home = await open_link(team), f"/o/{team.organization_id}"
    welcome = text_of(await first.get("/welcome", next=home))
    assert "With a password and an authenticator app" in welcome
    assert "Skip this step" in welcome
    refused = await first.post("/account/password", {"password": "too short", "next": home})
    assert refused.status_code == 422
    assert "must have at least 12 characters" in text_of(refused)
    assert "too short" not in refused.text
    page = await set_up(team, first, next=home)
    assert "You can sign in again" in text_of(await first.get("/welcome", next=home))
    await first.submit("/sign-out")

    browser = await team.browser(None)
    wrong = await browser.post("/sign-in", {"email": "ada@example.com", "password": "wrong <password>", "next": home})
    assert wrong.status_code == 422
    assert "The e-mail address or the password is wrong" in text_of(wrong)
    assert 'value="ada@example.com"' in wrong.text
    assert "wrong <password>" not in html.unescape(wrong.text)
    second = await password_page(browser, home)
    assert "Code of your authenticator app" in text_of(second)
    refused = await browser.post("/sign-in/second-step", {"code": "000000", "next": home})
    assert refused.status_code == 422
    assert "is wrong, or was used before" in text_of(refused)
    code = code_of(team, page)
    answer = await browser.post("/sign-in/second-step", {"code": code, "next": home})
    assert (answer.status_code, answer.headers["location"]) == (303, home)
    assert "or_session=ords_" in answer.headers["set-cookie"]
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert (await browser.get("/account")).status_code == 200
    await password_page(browser, home)
    used = await browser.post("/sign-in/second-step", {"code": code, "next": home})
    assert used.status_code == 422


async def test_known_browser_signs_in_again_although_strangers_tried_too_often(team: Team) -> None:
    """Security L3."""
    page, known, stranger = (
        await set_up(team, await open_link(team)),
        await team.browser(None),
        await team.browser(None),
    )
    await password_page(known, "/")
    answer = await known.post("/sign-in/second-step", {"code": code_of(team, page), "next": "/"})
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith("or_known_browser="))
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    await known.submit("/sign-out")
    statuses = []
    for _ in range(11):
        refused = await stranger.post("/sign-in", {"email": "ada@example.com", "password": "a wrong one", "next": "/"})
        statuses.append(refused.status_code)
    assert statuses == [422] * 10 + [429]
    assert (await stranger.post("/sign-in", {"email": "ada@example.com", "password": PASSWORD})).status_code == 429
    assert "Code of your authenticator app" in text_of(await password_page(known, "/"))
    team.application.clock.advance(seconds=30)  # the next code of the app, while the network's minute goes on
    answer = await known.post("/sign-in/second-step", {"code": code_of(team, page), "next": "/"})
    assert answer.status_code == 303, text_of(answer)


async def test_password_without_its_second_step_opens_nothing(team: Team) -> None:
    await set_up(team, await open_link(team))
    browser = await team.browser(None)
    await password_page(browser, "/account")
    for path in ("/account", "/", f"/o/{team.organization_id}"):
        assert (await browser.get(path)).headers["location"].startswith("/sign-in")
    browser.http.cookies.clear()
    expired = await browser.http.get((await browser.get("/sign-in/second-step")).headers["location"])
    assert 'class="problem" role="status">The sign-in took too long' in expired.text
    answer = await browser.post("/sign-in/second-step", {"code": "000000"})
    assert answer.headers["location"] == "/sign-in?done=expired"


async def test_sign_in_leads_only_to_pages_of_the_dashboard(team: Team) -> None:
    page = await set_up(team, await open_link(team))
    browser = await team.browser(None)
    for hostile in ("//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)"):
        shown = (await browser.get("/sign-in", next=hostile)).text
        assert 'name="next" value="/"' in shown
        assert "evil" not in shown
    second = await password_page(browser, "//evil.example")
    assert 'name="next" value="/"' in second.text
    answer = await browser.post("/sign-in/second-step", {"code": code_of(team, page), "next": "//evil.example"})
    assert answer.headers["location"] == "/"


async def test_account_lists_and_ends_sessions(team: Team) -> None:
    browser = await open_link(team)
    member = await member_of(team, browser)
    others = [await team.browser(None) for _ in range(3)]
    for other in others:
        await team.sign_in(other.http, member)
    page = await browser.get("/account")
    assert text_of(page).count("last seen") == 4
    assert text_of(page).count("This session") == 1
    ends = re.findall(r'action="(/account/sessions/[^"]+/end)"', page.text)
    assert len(ends) == 3
    foreign = await team.browser("owner")
    assert (await foreign.post(ends[0])).status_code == 404
    assert "The session has ended" in text_of(await browser.submit(ends[0]))
    assert (await browser.post(ends[0])).status_code == 404
    assert sorted([(await other.get("/account")).status_code for other in others]) == [200, 200, 303]
    assert "All other sessions have ended" in text_of(await browser.submit("/account/sessions/end-others"))
    assert [(await other.get("/account")).status_code for other in others] == [303] * 3
    assert (await browser.get("/account")).status_code == 200


async def member_of(team: Team, browser: TeamBrowser) -> str:
    async with team.application.installation.database.read() as tx:
        (row,) = await tx.all(select(sessions_table.c.member_id))
    return str(row.member_id)


async def test_methods_change_only_after_a_recent_authentication(team: Team) -> None:
    browser = await open_link(team)
    page = await set_up(team, browser)
    actions: dict[str, dict[str, str]] = {
        "/account/password": {"password": "eight quiet herons"},
        "/account/password/remove": {},
        "/account/authenticator": {},
        "/account/authenticator/confirm": {"code": "000000"},
        "/account/authenticator/remove": {},
        "/account/passkeys/options": {},
        "/account/passkeys": {"credential": "{}"},
        "/account/passkeys/x/remove": {},
    }
    team.application.clock.advance(minutes=10)
    shown = await browser.get("/account")
    assert "confirm that it is you" in text_of(shown)
    for path, fields in actions.items():
        assert f'action="{path}"' not in shown.text
        answer = await browser.post(path, fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in/again?next=/account"), path
    again = {"password": PASSWORD, "code": code_of(team, page), "next": "/account"}
    for wrong in ({"password": "wrong password"}, {"code": "000000"}):
        assert (await browser.post("/sign-in/again", {**again, **wrong})).status_code == 422
    old = browser.http.cookies[SESSION]
    confirmed = await browser.submit("/sign-in/again", again)
    assert "Change the password" in text_of(confirmed)
    last = await browser.post("/account/password/remove")
    assert last.status_code == 409
    assert "This is your last way to sign in" in text_of(last)
    thief = await team.browser(None)
    thief.http.cookies.set(SESSION, old, domain="127.0.0.1", path="/")
    answer = await thief.get("/account")
    assert answer.headers["location"].startswith("/sign-in?"), "the confirmation must not help a copied cookie"


async def test_link_session_without_methods_needs_a_new_invitation(team: Team) -> None:
    browser = await open_link(team)
    team.application.clock.advance(minutes=10)
    assert "Ask an owner for a new invitation" in text_of(await browser.get("/welcome"))
    assert "Ask an owner for a new invitation" in text_of(await browser.get("/sign-in/again"))


async def test_name_and_its_errors(team: Team) -> None:
    browser = await open_link(team)
    assert "Your name is saved" in text_of(await browser.submit("/account/name", {"name": " Ada <Lovelace> "}))
    assert 'value="Ada &lt;Lovelace&gt;"' in (await browser.get("/account")).text
    for name in ("x" * 101, "a\u202eb"):
        refused = await browser.post("/account/name", {"name": name})
        assert refused.status_code == 422, name
    await browser.submit("/account/name", {"name": ""})
    assert 'value="Ada' not in (await browser.get("/account")).text


async def test_set_up_of_an_app_that_takes_too_long_starts_again(team: Team) -> None:
    browser = await open_link(team)
    page = await browser.post("/account/authenticator")
    refused = await browser.post("/account/authenticator/confirm", {"code": "000000"})
    assert refused.status_code == 422
    assert _KEY.search(refused.text), "the app can still read the key"
    assert _KEY.search(refused.text)[1] == _KEY.search(page.text)[1]  # type: ignore[index]
    browser.http.cookies.delete("or_totp")
    expired = await browser.submit("/account/authenticator/confirm", {"code": "1"})
    assert 'class="problem" role="status">The set-up took too long' in expired.text


async def test_too_many_attempts_answer_429_with_the_time_to_wait(team: Team) -> None:
    browser = await team.browser(None)
    for _ in range(10):
        await browser.post("/sign-in", {"email": "ada@example.com", "password": "wrong password"})
    answer = await browser.post("/sign-in", {"email": "ada@example.com", "password": "wrong password"})
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert "There were too many attempts to sign in" in text_of(answer)


async def test_malformed_passkey_forms_are_refused(team: Team) -> None:
    """At an IP address, browsers offer no passkeys, so there is nothing to register or to check."""
    browser = await open_link(team)
    for path in ("/sign-in/passkey", "/sign-in/passkey/options", "/account/passkeys", "/account/passkeys/options"):
        answer = await browser.post(path, {"credential": "[" * 20_000})
        assert answer.status_code == 404
        assert "host name with https" in text_of(answer)


@pytest.mark.parametrize(
    "user_agent, name",
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:149.0) Gecko/20100101 Firefox/149.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537 Chrome/149 Safari/537 Edg/149", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19 Safari/604", "Safari on iPhone"),
        ("curl/8", "Unknown browser"),
        (None, "Unknown browser"),
    ],
)
def test_browser_of_a_session_has_a_name(user_agent: Any, name: str) -> None:
    assert describe_browser(user_agent) == name
