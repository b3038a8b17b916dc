"""Limits of what a browser can send: media types, characters, slow forms, and unusual addresses."""

from collections.abc import AsyncIterator
from typing import Final
from urllib.parse import urlencode

import httpx2
import pytest
from sqlalchemy import delete

from one_runtime.db.schema import memberships
from one_runtime.tenancy import organizations
from tests.dashboard.team import FORM, Team, text_of

MULTIPART: Final = "multipart/form-data; boundary=XX"
BODY: Final = b'--XX\r\nContent-Disposition: form-data; name="email"\r\n\r\n-aaaa9\r\n--XX--\r\n'


def headers(media_type: str) -> dict[str, str]:
    return {**FORM, "content-type": media_type}


@pytest.mark.parametrize("charset", ["punycode", "idna", "utf-7", "undefined"])
async def test_form_that_names_a_character_set_is_refused_before_it_is_decoded(team: Team, charset: str) -> None:
    browser = await team.browser(None)
    for path in ("/sign-in", "/invitation", "/sign-in/oidc"):
        answer = await browser.http.post(path, content=BODY, headers=headers(f"{MULTIPART}; charset={charset}"))
        assert answer.status_code == 400
        assert "UTF-8" in text_of(answer)
    assert (await browser.http.post("/sign-in", content=b"{}", headers=headers("application/json"))).status_code == 400
    sent = await browser.http.post("/sign-in", content=BODY, headers=headers(MULTIPART))
    assert sent.status_code == 422, "browsers send this form without a character set"


async def test_form_that_ends_after_the_removal_of_the_member_changes_nothing(team: Team) -> None:
    """A browser can hold a form open. Its end arrives after the check of the session, without this guard."""
    browser, database = await team.browser("admin"), team.application.installation.database
    fields = {"display_name": "Stolen", "allowed_origins": "https://attacker.example"}
    body = urlencode(fields).encode()

    async def held() -> AsyncIterator[bytes]:
        yield body[:10]
        async with database.write() as tx:
            await tx.execute(delete(memberships).where(memberships.c.member_id == browser.member_id))
        yield body[10:]

    answer = await browser.http.post(browser.address("settings"), content=held(), headers=FORM)
    assert answer.status_code == 404
    async with database.read() as tx:
        organization = await organizations.get(tx, team.organization_id)
    assert organization.display_name == "Northwind"


async def test_long_query_of_a_page_is_refused(team: Team) -> None:
    browser = await team.browser()
    assert (await browser.get(f"connections?a={'x' * 32_000}")).status_code == 200
    answer = await browser.get(f"connections?a={'x' * 33_000}")
    assert answer.status_code == 413
    assert "32 kB" in text_of(answer)


async def test_character_that_the_database_cannot_store_is_an_error_of_the_request(team: Team) -> None:
    browser = await team.browser()
    for path in ("members?after=%00", "connections?end_user=%00", "integrations/%00", "audit?actor=a%00"):
        assert (await browser.get(path)).status_code == 400, path
    for answer in (await browser.get("end-users/~AA"), await browser.post("end-users/~YQBi/forget")):
        assert answer.status_code == 404, "the encoded identifier contains a NUL"
    forms = {
        "settings": "display_name",
        "members/invitations": "email",
        "/sign-in": "email",
        "integrations/%00/check": "x",
    }
    for path, name in forms.items():
        answer = await browser.post(path, {name: "a\x00b"})
        assert answer.status_code == 400, path
        assert "cannot be stored" in text_of(answer)


async def test_unusual_values_in_addresses_are_no_crash(team: Team) -> None:
    browser = await team.browser()
    assert (await browser.get("requests?until=9999-12-31T23:59")).status_code == 200
    assert (await browser.get("integrations?page=" + "9" * 5000)).status_code == 200
    rows = "&".join(f"x{number}=1" for number in range(12))
    assert (await browser.post("integrations/acme/disable", {"list": rows})).status_code == 303


async def test_wrong_method_is_a_page_with_the_headers_of_all_pages(team: Team) -> None:
    browser = await team.browser(None)
    answers: list[httpx2.Response] = [
        await browser.http.request("DELETE", "/sign-in", headers=FORM),
        await browser.get("/sign-out"),
    ]
    for answer in answers:
        assert answer.status_code == 405
        assert "default-src 'none'" in answer.headers["content-security-policy"]
