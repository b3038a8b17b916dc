"""Acme's page of switches: each fault with its purpose, a button and its state."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from one_runtime.demo.acme.accounts import Accounts
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import read_form
from one_runtime.demo.acme.grants import Grants
from one_runtime.demo.acme.page import PageError, refuse_cross_site, show

PATH: Final = "/switches"


@dataclass(frozen=True, slots=True)
class Switch:
    """A fault on the page. `once`: the fault happens once and resets itself."""

    name: str
    title: str
    purpose: str
    once: bool
    on: bool
    turn: Callable[[bool], None]


class Switches:
    """The page and its buttons."""

    def __init__(self, accounts: Accounts, grants: Grants, faults: Faults) -> None:
        self._accounts, self._grants, self._faults = accounts, grants, faults

    async def page(self, _request: Request) -> Response:
        """Show the switches."""
        accounts = [(account, self._grants.count(account.id)) for account in self._accounts]
        return show("switches.html", form_action="'self'", switches=self._switches(), accounts=accounts, path=PATH)

    async def turn(self, request: Request) -> Response:
        """Set a switch and show the page again. Raises: MalformedForm; PageError."""
        refuse_cross_site(request)
        form = await read_form(request)
        action = self._actions().get((form.get("switch") or "", form.get("to") or ""))
        if action is None:
            raise PageError("There is no such switch.")
        action()
        return RedirectResponse(PATH, 303)

    def _actions(self) -> dict[tuple[str, str], Callable[[], object]]:
        """Return the action of each button, by the switch's name and its new state or account."""
        turning: dict[tuple[str, str], Callable[[], object]] = {
            (switch.name, to): partial(switch.turn, to == "on") for switch in self._switches() for to in ("on", "off")
        }
        return turning | {
            ("revoke", account.id): partial(self._faults.revoke_tokens, account.id) for account in self._accounts
        }

    def _switches(self) -> tuple[Switch, ...]:
        faults = self._faults
        return (
            Switch(
                "deny-consent",
                "The next consent is denied",
                "Whatever the person presses, the app receives access_denied. One Runtime connects nothing, and the "
                "person can try again.",
                once=True,
                on=faults.consent_denied_next,
                turn=lambda on: faults.deny_next_consent(on=on),
            ),
            Switch(
                "slow-tokens",
                "The token endpoint is slow",
                "Each token takes five seconds. Concurrent requests have to share one refresh.",
                once=False,
                on=faults.token_delay > 0,
                turn=lambda on: faults.slow_tokens() if on else faults.slow_tokens(0),
            ),
            Switch(
                "fail-tokens",
                "The token endpoint is down",
                "It answers 500. An outage is not a refusal: connections stay active and recover after it.",
                once=False,
                on=faults.token_status is not None,
                turn=lambda on: faults.fail_tokens(500 if on else None),
            ),
            Switch(
                "refuse-refresh",
                "The next refresh is refused",
                "Acme answers invalid_grant, a definite refusal: the connection becomes needs_reauth.",
                once=True,
                on=faults.refresh_refused_next,
                turn=lambda on: faults.refuse_next_refresh(on=on),
            ),
        )
