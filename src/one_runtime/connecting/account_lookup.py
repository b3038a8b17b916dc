"""Look up the account of a new token, or the accounts from which the end user selects one.

A provider can divide the list of accounts into pages. One Runtime requests a limited number of pages. If the list is
longer, the page for the selection warns the end user.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.lookup import AccountChoices, LookupRequest
from one_runtime.catalog.lookup_pages import NextPage, next_page
from one_runtime.catalog.model import Integration
from one_runtime.catalog.request import ConnectionValues, OutboundRequest, build_request
from one_runtime.catalog.response import UnexpectedValue, look_up, read_lookup, text_of
from one_runtime.connecting.provider_request import send_request
from one_runtime.connections.credentials import ProviderUnavailable
from one_runtime.egress.client import Egress
from one_runtime.egress.errors import TargetRefused
from one_runtime.egress.limits import Limits
from one_runtime.egress.provider_text import printable
from one_runtime.egress.response import Response
from one_runtime.errors import Conflict
from one_runtime.explanations.event_reasons import SESSION_FAILED

MAX_ACCOUNTS: Final = 200
"""Maximum number of accounts from which an end user can select."""

MAX_PAGES: Final = 10
"""Maximum number of pages that One Runtime requests."""

MAX_SECONDS: Final = 20.0
"""Maximum time for the requests of all pages together, because the end user waits."""


@dataclass(frozen=True, slots=True)
class AccountOption:
    """One of several accounts to which a token gives access. `params`: the connection's values for this account."""

    label: str
    params: Mapping[str, str]


class AccountSelectionRequired(Conflict):
    """The token gives access to several accounts, and the end user has to select an account.

    `has_more`: True if the provider has more accounts than `accounts` contains.
    """

    code = "several_accounts"
    documentation = SESSION_FAILED["several_accounts"]

    def __init__(self, detail: str, accounts: tuple[AccountOption, ...], *, has_more: bool = False) -> None:
        super().__init__(detail)
        self.accounts, self.has_more = accounts, has_more


@dataclass(frozen=True, slots=True)
class _Provider:
    """The provider of a look-up. All requests must end at the deadline."""

    egress: Egress
    integration: Integration
    deadline: float

    async def send(self, request: OutboundRequest) -> Response:
        """Send a request. Raises: TargetRefused; ProviderUnavailable."""
        limits = Limits(total=max(self.deadline - time.monotonic(), 0.001))
        return await send_request(self.egress, self.integration, request, limits)


async def look_up_account(
    egress: Egress, integration: Integration, auth: OAuth2Auth, lookup: LookupRequest, values: ConnectionValues
) -> dict[str, str]:
    """Send the look-up, and return the received values.

    Raises: ProviderUnavailable; TargetRefused; AccountSelectionRequired; UnexpectedValue.
    """
    provider = _Provider(egress, integration, time.monotonic() + MAX_SECONDS)
    request = build_request(auth, lookup, values)
    response = await provider.send(request)
    document = read_lookup(lookup, response.status, response.body)
    if document is None:
        raise ProviderUnavailable(f"{integration.name} answered {response.status} to the request for the account.")
    if lookup.choices is None:
        return auth.read_received("lookup", document)
    items = _items(lookup.choices, document)
    if not items:
        raise UnexpectedValue(f"{integration.name} lists no account for this token")
    page = next_page(lookup, request, request, response.headers, document)
    more_items, has_more = await _further_pages(provider, lookup, request, page, len(items))
    items += more_items
    has_more = has_more or len(items) > MAX_ACCOUNTS
    accounts = _account_options(auth, lookup.choices, items[:MAX_ACCOUNTS])
    if len(accounts) > 1 or has_more:
        count = f"more than {len(accounts)}" if has_more else str(len(accounts))
        detail = f"You allowed access to {count} accounts at {integration.name}. Select one account."
        raise AccountSelectionRequired(detail, accounts, has_more=has_more)
    return dict(accounts[0].params)


async def _further_pages(
    provider: _Provider, lookup: LookupRequest, first: OutboundRequest, page: NextPage, count: int
) -> tuple[list[object], bool]:
    """Return the accounts on the pages after the first page, and True if the provider has further accounts.

    `page`: the second page. `count`: the number of accounts on the first page. If a page cannot be read, return the
    accounts on the earlier pages, and True. The end user can then select one of these accounts.
    """
    assert lookup.choices is not None  # noqa: S101 - checked by the caller
    items: list[object] = []
    requested = [first]
    while page.request is not None and page.request not in requested:
        is_full = len(requested) == MAX_PAGES or count + len(items) >= MAX_ACCOUNTS
        if is_full or time.monotonic() > provider.deadline:
            break
        requested.append(page.request)
        try:
            response = await provider.send(page.request)
        except (ProviderUnavailable, TargetRefused):
            return items, True
        document = read_lookup(lookup, response.status, response.body)
        if document is None:
            return items, True
        found = _items(lookup.choices, document)
        if not found:  # some providers name a next page in every response, and end with an empty page
            return items, False
        items += found
        page = next_page(lookup, first, page.request, response.headers, document)
    return items, page.exists


def _items(choices: AccountChoices, document: object) -> list[object]:
    """Return the accounts in a response, or an empty list if the response has no list of accounts."""
    items = look_up(document, choices.at) if choices.at is not None else document
    return list(items) if isinstance(items, list) else []


def _account_options(auth: OAuth2Auth, choices: AccountChoices, items: list[object]) -> tuple[AccountOption, ...]:
    accounts = [(text_of(look_up(item, choices.label)), auth.read_received("lookup", item)) for item in items]
    return tuple(
        AccountOption(printable(label or ", ".join(params.values()))[:255], params) for label, params in accounts
    )
