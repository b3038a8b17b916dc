"""The pages of end users: the search, the page of one end user, the link to connect, and the deletion."""

import re
from html import unescape
from typing import Final

import pytest

from one_runtime.dashboard.end_user_paths import identifier_of, path_part
from tests.application import ACME_KEYS
from tests.dashboard.team import Team, TeamBrowser, text_of
from tests.in_one_test import in_one_test

HOSTILE: Final = (
    "..",
    ".",
    "...",
    "a/../b",
    "/",
    "//evil.example/x",
    "team/42",
    "a/forget",
    "a/link",
    "with space",
    "ünï/cödé ✓",
    "%2e%2e",
    "%",
    "a?b=c&d#e",
    "~Lg",
    "~",
    "a\\b",
    "<script>alert(1)</script>",
    '"><img src=x>',
    "x" * 255,
    "auth0|507f1f77bcf86cd799439020",
    "ada+test@example.com",
    "line\nbreak",
)


@in_one_test(HOSTILE, name=repr)
def test_path_of_an_end_user_is_one_part_that_no_browser_changes(end_user_id: str) -> None:
    part = path_part(end_user_id)
    assert identifier_of(part) == end_user_id
    assert re.fullmatch(r"[A-Za-z0-9~_.@|:+-]+", part)
    assert part.strip(".")


def test_path_that_a_person_writes_is_the_identifier() -> None:
    for text in ("team/42", "..", "~not base64", "~", "~Lg==", "ünï"):
        assert identifier_of(text) == ("." if text == "~Lg" else text)


async def find(browser: TeamBrowser, **query: str) -> list[str]:
    """Return the names or identifiers on the page of the list."""
    page = (await browser.get("end-users", **query)).text
    return [unescape(each) for each in re.findall(r'<th scope="row"><a href="[^"]+">([^<]*)</a>', page)]


async def test_list_shows_numbers_of_connections_and_is_searched(team: Team) -> None:
    people = (("u1", "Ada Lovelace", "ada@lovelace.example"), ("u2", "Grace Hopper", "GRACE@hopper.example"))
    for end_user_id, name, email in people:
        await team.api.session(end_user_id, end_user_name=name, end_user_email=email)
    for key in ACME_KEYS.values():
        await team.api.connect("u1", key, multiple=True)
    team.application.acme.acme.revoke(ACME_KEYS["acc_initech"])
    newest = (await team.api.get("/v1/connections", end_user_id="u1")).json()["connections"][0]
    await team.api.post(f"/v1/connections/{newest['id']}/check")
    browser = await team.browser("developer")
    text = text_of(await browser.get("end-users"))
    assert "Ada Lovelace u1 ada@lovelace.example 2 1 must connect again" in text
    assert "Grace Hopper u2 GRACE@hopper.example 0" in text
    ada, grace = "Ada Lovelace", "Grace Hopper"
    for query, expected in (
        ("", [ada, grace]),
        ("u1", [ada]),
        ("U", [ada, grace]),
        ("ADA@lovelace.example", [ada]),
        ("GRACE@hopper.example", [grace]),
        ("grace@HOPPER.example", [grace]),
        ("hopper", [grace]),
        ("  lovelace ", [ada]),
        ("_", []),
        ("%", []),
        ("x\x00", []),
        ("x" * 1000, []),
    ):
        assert await find(browser, q=query) == expected, query
    assert await find(browser, after="u1") == [grace]
    other = await team.browser("owner", await team.application.organization("Southwind Traders"))
    assert await find(other) == []
    assert await find(other, q="u1") == []


async def test_long_list_has_pages(team: Team) -> None:
    for number in range(60):
        await team.api.connect(f"user_{number:02}", check=False)
    browser, seen, path = await team.browser("support"), list[str](), "end-users"
    while path:
        page = (await browser.get(path)).text
        seen += re.findall(r'<th scope="row"><a href="[^"]+">([^<]*)</a>', page)
        following = re.search(r'href="([^"]+)" rel="next"', page)
        path = unescape(following[1]) if following else ""
    assert seen == [f"user_{number:02}" for number in range(60)]


async def test_every_identifier_has_a_page_with_working_forms(team: Team) -> None:
    browser = await team.browser("admin")
    for each in HOSTILE:
        await team.api.connect(each, check=False)
    page, paths = await browser.get("end-users"), dict[str, str]()
    for path, shown in re.findall(r'<th scope="row"><a href="([^"]+)">([^<]*)</a>', page.text):
        paths[unescape(shown)] = unescape(path)
    assert set(paths) == set(HOSTILE)
    for end_user_id, path in paths.items():
        shown = await browser.get(path)
        assert shown.status_code == 200, end_user_id
        assert shown.text.count("<script") == 2, end_user_id  # the two of every page
        assert "<img src=x>" not in shown.text
        assert (await browser.post(f"{path}/link")).status_code == 200, end_user_id
        refused = await browser.post(f"{path}/forget", {"confirmation": "something else"})
        assert refused.status_code == 422, end_user_id
        assert "This is not the identifier" in text_of(refused)
        forgotten = await browser.post(f"{path}/forget", {"confirmation": end_user_id})
        assert forgotten.status_code == 200, end_user_id
        assert (await browser.get(path)).status_code == 404, end_user_id
    assert (await team.api.get("/v1/end-users")).json()["end_users"] == []


async def test_page_shows_the_connections_and_one_timeline_of_all(team: Team) -> None:
    await team.api.session("user_1", mode="link", end_user_name="Ada Lovelace", end_user_email="ada@lovelace.example")
    both = [await team.api.connect("user_1", key, multiple=True) for key in ACME_KEYS.values()]
    await team.api.connect("user_2")
    for connection in both:
        await team.api.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-connection": connection["id"]})
    await team.application.app.services.request_log.flush()
    browser = await team.browser("developer")
    text = text_of(await browser.get("end-users/user_1"))
    for words in ("Ada Lovelace", "ada@lovelace.example", "Globex Corporation", "Initech"):
        assert words in text
    timeline = text[text.index("Timeline") :]
    assert [timeline.count(words) for words in ("GET /v1/me", "Connected", "Session created")] == [2, 2, 1]
    assert timeline.index("GET /v1/me") < timeline.index("Connected") < timeline.index("Session created")
    assert "Forget this end user" not in text
    assert (await browser.post("end-users/user_1/forget", {"confirmation": "user_1"})).status_code == 403


async def test_link_to_connect_belongs_to_the_end_user(team: Team) -> None:
    await team.api.session("user_1", mode="link", end_user_name="Ada Lovelace", end_user_email="ada@lovelace.example")
    browser = await team.browser("support")
    for slug, name in (("", "your account"), (" ACME ", "your Acme CRM account")):
        answer = await browser.post("end-users/user_1/link", {"integration": slug})
        assert f"Please connect {name} to Northwind." in text_of(answer)
    await team.api.session("user_2", end_user_email="grace@hopper.example")
    test_user = f"dashboard:{browser.member_id}"
    await team.api.session(test_user)
    for end_user_id, sentence in (
        ("user_2", "With the link, g…@hopper.example connects an account."),
        (test_user, "With the link, you connect your test account."),
    ):
        assert sentence in text_of(await browser.post(f"end-users/{path_part(end_user_id)}/link"))
    sessions = (await team.api.get("/v1/hosted-connection-sessions", end_user_id="user_1")).json()["sessions"]
    assert [each["integration_slug"] for each in sessions] == ["acme", None, "acme"]
    assert {each["mode"] for each in sessions} == {"link"}
    read = (await team.api.get("/v1/end-users/user_1")).json()
    assert (read["name"], read["email"]) == ("Ada Lovelace", "ada@lovelace.example")


@pytest.mark.parametrize("slug, words", [("nope", "must be the slug of an integration"), ("dropbox", "OAuth client")])
async def test_link_that_cannot_work_is_refused_at_the_field(team: Team, slug: str, words: str) -> None:
    await team.api.connect("user_1")
    answer = await (await team.browser("support")).post("end-users/user_1/link", {"integration": slug})
    assert answer.status_code == 422
    assert 'class="field invalid"' in answer.text
    assert words in text_of(answer)


async def test_forget_deletes_everything_and_shows_the_revocations(team: Team) -> None:
    await team.api.connect("user_1")
    browser = await team.browser("admin")
    text = text_of(await browser.post("end-users/user_1/forget", {"confirmation": " user_1 "}))
    assert "The end user user_1 is deleted, with all connections, credentials and sessions." in text
    assert "Globex Corporation Credential Deleted here" in text
    assert (await team.api.get("/v1/connections", end_user_id="user_1")).json()["connections"] == []
    event = (await team.api.get("/v1/events", type="end_user.deleted")).json()["events"][0]
    assert (event["actor"]["type"], event["actor"]["id"]) == ("member", browser.member_id)


async def test_end_user_of_another_organization_is_not_found(team: Team) -> None:
    await team.api.connect("user_1")
    browser = await team.browser("owner", await team.application.organization("Southwind Traders"))
    assert (await browser.get("end-users/user_1")).status_code == 404
    for action in ("link", "forget"):
        assert (await browser.post(f"end-users/user_1/{action}", {"confirmation": "user_1"})).status_code == 404
    assert (await team.api.get("/v1/end-users/user_1")).status_code == 200
