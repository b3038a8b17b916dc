"""Lists of accounts that a provider divides into pages."""

import re
from string import ascii_lowercase
from typing import Any, Final

import httpx2
import pytest

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.request import ConnectionValues
from one_runtime.connecting.account_lookup import (
    MAX_ACCOUNTS,
    MAX_PAGES,
    MAX_SECONDS,
    AccountSelectionRequired,
    look_up_account,
)
from one_runtime.egress.client import Egress
from one_runtime.egress.limits import Limits
from one_runtime.egress.response import Response
from one_runtime.egress.target import AllowList
from tests.connecting.acme import PAGES, WITH_WORKSPACES, AcmeAuthorizing, with_pages
from tests.documentation import ROOT

WARNING: Final = "Acme CRM has more accounts than the"
LINK: Final = pytest.mark.parametrize("entry_changes", [with_pages(PAGES["link"])], ids=["link"])
ALL: Final = pytest.mark.parametrize("entry_changes", [with_pages(pages) for pages in PAGES.values()], ids=list(PAGES))


async def selection(runtime: AcmeAuthorizing) -> tuple[httpx2.Response, str, list[str]]:
    """Go on until the browser shows the accounts. Return the page, the cookie and the accounts' labels."""
    session = await runtime.session()
    attempt = await runtime.authorize(session["session_token"])
    page = await runtime.call_back(await runtime.allow(attempt), attempt.cookie)
    assert (page.status_code, "Which Acme CRM account?" in page.text) == (200, True), page.text
    return page, attempt.cookie, re.findall(r'class="row-title">([^<]*)<', page.text)


def many(runtime: AcmeAuthorizing, count: int, page_size: int | None) -> list[str]:
    """Make this number of workspaces. Return the names of the workspaces."""
    slugs = [f"{first}{second}{third}" for first in "abc" for second in ascii_lowercase for third in ascii_lowercase]
    runtime.workspaces.names = {slug: f"Workspace {slug}" for slug in slugs[:count]}
    runtime.workspaces.page_size = page_size
    return list(runtime.workspaces.names.values())


@ALL
async def test_every_page_is_requested_and_an_account_of_the_last_page_can_be_selected(
    runtime: AcmeAuthorizing,
) -> None:
    names = many(runtime, 7, 3)
    page, cookie, labels = await selection(runtime)
    assert (labels, WARNING in page.text, runtime.workspaces.offsets) == (names, False, [0, 3, 6])
    assert (await runtime.select(page, cookie, 6)).status_code == 200
    (connection,) = await runtime.connections()
    assert connection["account"]["id"] == "aag"


@pytest.mark.slow
@ALL
async def test_number_of_pages_is_bounded_and_the_end_user_is_warned(runtime: AcmeAuthorizing) -> None:
    names = many(runtime, MAX_PAGES + 5, 1)
    page, _, labels = await selection(runtime)
    assert labels == names[:MAX_PAGES]
    assert f"{WARNING} {MAX_PAGES} in this list" in page.text
    assert len(runtime.workspaces.offsets) == MAX_PAGES


@pytest.mark.parametrize("entry_changes", [WITH_WORKSPACES, with_pages(PAGES["link"])], ids=["one page", "link"])
async def test_number_of_accounts_is_bounded_and_the_end_user_is_warned(runtime: AcmeAuthorizing) -> None:
    names = many(runtime, MAX_ACCOUNTS + 1, None)
    page, _, labels = await selection(runtime)
    assert labels == names[:MAX_ACCOUNTS]
    assert f"{WARNING} {MAX_ACCOUNTS} in this list" in page.text


@pytest.mark.docs
def test_limits_are_documented() -> None:
    text = (ROOT / "docs" / "adding-an-integration.md").read_text(encoding="utf-8")
    assert f"requests at most {MAX_PAGES} pages, and shows at most {MAX_ACCOUNTS} accounts" in text
    assert f"All pages together take at most {MAX_SECONDS:.0f} seconds" in text


class RecordingEgress(Egress):
    """An outbound network that records the time limit of each request."""

    def __init__(self, allow: AllowList) -> None:
        super().__init__(allow=allow)
        self.seconds: list[float] = []

    async def request(self, method: str, url: str, **options: Any) -> Response:
        limits: Limits = options["limits"] or Limits()
        self.seconds.append(limits.total)
        return await super().request(method, url, **options)


@LINK
async def test_all_pages_share_one_limit_of_time(runtime: AcmeAuthorizing) -> None:
    many(runtime, 4, 1)
    installation = runtime.application.installation
    integration = installation.catalog.get("acme")
    assert integration is not None
    (auth,) = (auth for auth in integration.auth if isinstance(auth, OAuth2Auth))
    assert auth.lookup is not None
    async with RecordingEgress(installation.settings.egress_allow) as egress:
        values = ConnectionValues({}, {"access_token": "t"})
        with pytest.raises(AccountSelectionRequired):
            await look_up_account(egress, integration, auth, auth.lookup, values)
    assert len(egress.seconds) == 4
    assert [MAX_SECONDS, *egress.seconds] == sorted([MAX_SECONDS, *egress.seconds], reverse=True)


@LINK
async def test_end_user_is_warned_and_can_select_if_a_further_page_fails(runtime: AcmeAuthorizing) -> None:
    names = many(runtime, 5, 1)
    runtime.workspaces.fails_at = 1
    page, cookie, labels = await selection(runtime)
    assert (labels, f"{WARNING} 1 in this list" in page.text) == (names[:1], True)
    assert (await runtime.select(page, cookie, 0)).status_code == 200


@LINK
async def test_end_user_is_warned_if_a_further_page_is_on_another_host(runtime: AcmeAuthorizing) -> None:
    names = many(runtime, 5, 3)
    runtime.workspaces.next_host = runtime.acme.url
    page, _, labels = await selection(runtime)
    assert (labels, WARNING in page.text, runtime.workspaces.offsets) == (names[:3], True, [0])


@ALL
async def test_each_page_is_requested_only_once(runtime: AcmeAuthorizing) -> None:
    names = many(runtime, 7, 2)
    runtime.workspaces.loops = True
    page, _, labels = await selection(runtime)
    assert (labels, WARNING in page.text, runtime.workspaces.offsets) == (names[:4], True, [0, 2])
