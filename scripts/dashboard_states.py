"""States of the dashboard's pages that no address opens: refused forms, secrets, open menus, and pages of errors.

`scripts/dashboard_screenshots.py` takes pictures of them.
"""

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from playwright.async_api import Page

from one_runtime.dashboard.declarations import ORGANIZATION
from one_runtime.tenancy.roles import Role
from tests.billing import ENTRY
from tests.dashboard.served import ServedTeam

Show = Callable[[Page, ServedTeam], Awaitable[None]]


class State(NamedTuple):
    """A state. `show`: a function that brings a page into the state. `role`: None for a person without a session."""

    name: str
    show: Show
    role: Role | None = "owner"


def opens(path: str) -> Show:
    """Return a function that opens a page.

    `path`: a path of the server that starts with `/`, or a path below the organization. It can be the declaration of a
    page with parameters, such as `connections/{connection_id}`.
    """

    async def show(page: Page, team: ServedTeam) -> None:
        declared = team.paths.get(f"GET {ORGANIZATION}/{path}")
        await page.goto(
            team.url + (declared or (path if path.startswith("/") else f"/o/{team.organization_id}/{path}"))
        )

    return show


def sends(path: str, button: str, /, **fields: str) -> Show:
    """Return a function that opens a page, fills fields by their names, and presses a button."""

    async def show(page: Page, team: ServedTeam) -> None:
        await opens(path)(page, team)
        await page.locator("form").evaluate_all("(forms) => forms.forEach((form) => (form.noValidate = true))")
        for name, value in fields.items():
            await page.locator(f"[name='{name}']").first.fill(value)
        async with page.expect_navigation():
            await page.get_by_role("button", name=button, exact=True).first.click()

    return show


def presses(path: str, text: str) -> Show:
    """Return a function that opens a page, and presses what has this text."""

    async def show(page: Page, team: ServedTeam) -> None:
        await opens(path)(page, team)
        await page.get_by_text(text, exact=True).first.click()

    return show


def tries(slug: str) -> Show:
    """Return a function that tries an integration in the way of a browser without JavaScript."""

    async def show(page: Page, team: ServedTeam) -> None:
        await opens("integrations/acme")(page, team)
        async with page.expect_navigation():
            await page.locator("form[data-try]").evaluate(_TRY, slug)

    return show


def later(show: Show) -> Show:
    """Return a function that shows a page when the sign-in is no longer recent."""

    async def show_later(page: Page, team: ServedTeam) -> None:
        clock = team.team.application.clock
        clock.advance(minutes=11)
        try:
            await show(page, team)
        finally:
            clock.advance(minutes=-11)

    return show_later


_TRY: Final = "(form, slug) => { form.action = form.action.replace('/acme/', `/${slug}/`); form.submit(); }"
_LONG: Final = "user_" + "0123456789abcdef" * 12
_CONNECTION, _ENDPOINT = "connections/{connection_id}", "webhooks/{webhook_endpoint_id}"
_CUSTOM, _REPLAY = "custom-integrations/{custom_slug}", "webhooks/{webhook_endpoint_id}/replay"
_DEFINITION: Final = "slug: x-ledger\nname: Ledger\ndescription:\nauth:\n  - type: api_key\n    fields: 3\n"
_MOVED: Final = ENTRY.replace("https://billing.acme.com", "https://api.acme.com")
_CALL: Final = {"end_user_id": "user_1042", "integration_slug": "acme", "path": "/v1/contacts"}

STATES: Final = (
    State("error-404", opens("nothing")),
    State("error-403", opens("api-keys"), "support"),
    State("error-expired-link", opens("/invitation?token=orui_unknown"), None),
    State("sign-in", opens("/sign-in"), None),
    State("refused-sign-in", sends("/sign-in", "Continue", email="ada@acme.example", password="wrong"), None),
    State("refused-api-key", sends("api-keys", "Create the key", name=" ")),
    State("refused-invitation", sends("members", "Create the link", email="ada")),
    State("refused-endpoint", sends("webhooks/new", "Create endpoint", url="http://localhost/hook")),
    State("refused-settings", sends("settings", "Save", allowed_origins="https://app.example.com/path")),
    State("refused-filter", opens("requests?since=yesterday&connection=nothing")),
    State("refused-definition", sends("custom-integrations/new", "Review", document=_DEFINITION)),
    State("refused-client", sends("integrations/acme", "Save", client_id=" ")),
    State("refused-call", sends("playground/calls", "Send the request", **{**_CALL, "end_user_id": _LONG})),
    State("failed-try", tries("basecamp")),
    State("failed-check", sends(_CONNECTION, "Check now")),
    State("failed-webhook-test", sends(_ENDPOINT, "Send a test")),
    State("no-match", opens(f"connections?end_user={_LONG}")),
    State("long-filter", opens(f"audit?end_user={_LONG}")),
    State("secret-api-key", sends("api-keys", "Create the key", name="Production backend")),
    State("secret-invitation", sends("members", "Create the link", email="grace@example.com")),
    State("secret-endpoint", sends("webhooks/new", "Create endpoint", url="https://hooks.example.com/events")),
    State("secret-rotated", sends(f"{_ENDPOINT}/settings", "Create a new secret")),
    State("secret-link-to-try", tries("acme")),
    State("secret-link", sends(_CONNECTION, "Create a reconnect link")),
    State("secret-session", sends("playground/sessions", "Create a session", end_user_id="user_1042")),
    State("secret-authenticator", sends("/account", "Set up an authenticator app")),
    State("review-of-a-definition", sends(_CUSTOM, "Review", document=_MOVED)),
    State("review-of-a-replay", sends(_REPLAY, "Count the deliveries")),
    State("response-list", opens("playground?end_user_id=user_1042&search=crm")),
    State("response-call", sends("playground/calls", "Send the request", **_CALL)),
    State("question-revoke", presses("members", "Revoke…")),
    State("question-forget", presses("end-users/{end_user_id:path}", "Forget this end user…")),
    State("menu-of-the-member", presses("connections", "O")),
    State("live-requests", opens("requests?live=1")),
    State("old-sign-in-settings", later(opens("settings"))),
    State("old-sign-in-client", later(opens("integrations/acme"))),
    State("old-sign-in-forget", later(opens("end-users/{end_user_id:path}"))),
    State("old-sign-in-confirmation", later(sends("settings", "Save"))),
)
