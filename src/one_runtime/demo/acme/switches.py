"""Acme's page of switches: each fault with what it is for, a button, and its state."""

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
from one_runtime.demo.acme.page import Stopped, refuse_from_elsewhere, show

PATH: Final = "/switches"


@dataclass(frozen=True, slots=True)
class Switch:
    """A fault as the page shows it. `once`: it happens the next time and is off again."""

    name: str
    title: str
    purpose: str
    once: bool
    on: bool
    turn: Callable[[bool], None]


class Switches:
    """The page, and what its buttons do."""

    def __init__(self, accounts: Accounts, grants: Grants, faults: Faults) -> None:
        self._accounts, self._grants, self._faults = accounts, grants, faults

    async def page(self, _request: Request) -> Response:
        """The switches as they stand."""
        accounts = [(account, self._grants.count(account.id)) for account in self._accounts]
        return show("switches.html", form_action="'self'", switches=self._switches(), accounts=accounts, path=PATH)

    async def turn(self, request: Request) -> Response:
        """Turn one, and show them again. Raises: Malformed; Stopped."""
        refuse_from_elsewhere(request)
        form = await read_form(request)
        action = self._actions().get((form.get("switch") or "", form.get("to") or ""))
        if action is None:
            raise Stopped("There is no such switch.")
        action()
        return RedirectResponse(PATH, 303)

    def _actions(self) -> dict[tuple[str, str], Callable[[], object]]:
        """Actions of the buttons, by the switch's name and the state or the account that it is turned to."""
        turning: dict[tuple[str, str], Callable[[], object]] = {
            (one.name, to): partial(one.turn, to == "on") for one in self._switches() for to in ("on", "off")
        }
        return turning | {("revoke", one.id): partial(self._faults.revoke_tokens, one.id) for one in self._accounts}

    def _switches(self) -> tuple[Switch, ...]:
        faults = self._faults
        return (
            Switch(
                "deny-consent",
                "The next consent is denied",
                "Whatever is pressed on the consent page, the app hears access_denied. Nothing may be connected, and "
                "the person should be able to try again.",
                once=True,
                on=faults.consent_denied_next,
                turn=lambda on: faults.deny_next_consent(on=on),
            ),
            Switch(
                "slow-tokens",
                "The token endpoint is slow",
                "Each token takes five seconds. Many requests at once should wait for one refresh, not start many.",
                once=False,
                on=faults.token_delay > 0,
                turn=lambda on: faults.slow_tokens() if on else faults.slow_tokens(0),
            ),
            Switch(
                "fail-tokens",
                "The token endpoint is down",
                "It answers 500. An outage is no refusal: connections stay as they are, and heal when it is over.",
                once=False,
                on=faults.token_status is not None,
                turn=lambda on: faults.fail_tokens(500 if on else None),
            ),
            Switch(
                "refuse-refresh",
                "The next refresh is refused",
                "It is answered with invalid_grant, a definite no: the connection should ask to be made again.",
                once=True,
                on=faults.refresh_refused_next,
                turn=lambda on: faults.refuse_next_refresh(on=on),
            ),
        )
