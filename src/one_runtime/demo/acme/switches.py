"""Show Acme's page of switches, on which a user of the demo turns faults of Acme on and off."""

from dataclasses import dataclass
from typing import Final, Literal

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from one_runtime.demo.acme.accounts import Accounts
from one_runtime.demo.acme.faults import Faults
from one_runtime.demo.acme.form import read_form
from one_runtime.demo.acme.grants import Grants
from one_runtime.demo.acme.page import PageError, refuse_cross_site, show

PATH: Final = "/switches"
_REVOKE_KEY: Final = "revoke-key"
_KEY_SWITCHES: Final = frozenset({_REVOKE_KEY, "restore-key"})


@dataclass(frozen=True, slots=True)
class Switch:
    """A switch for a fault of Acme.

    `fault`: the name of a field of `Faults`. If a person turns the switch on, Acme sets this field to the value of the
    attribute `on`. If `once` is True, Acme resets the field to the value of `off` after the first effect of the fault.
    """

    name: str
    title: str
    purpose: str
    fault: Literal["deny_next_consent", "token_delay", "token_status", "refuse_next_refresh", "omit_error_codes"]
    on: bool | float
    off: bool | float | None
    once: bool = False


_SWITCHES: Final = (
    Switch(
        "deny-consent",
        "The next consent is denied",
        "The app receives access_denied, even if the user allows access. One Runtime connects nothing, and the user "
        "can try again.",
        "deny_next_consent",
        on=True,
        off=False,
        once=True,
    ),
    Switch(
        "slow-tokens",
        "The token endpoint is slow",
        "Each token request takes five seconds. If you send several API calls during this time, One Runtime refreshes "
        "the token only once for all of them.",
        "token_delay",
        on=5.0,
        off=0.0,
    ),
    Switch(
        "fail-tokens",
        "The token endpoint is down",
        "The token endpoint answers 500. Connections stay active during such an outage, and work again later.",
        "token_status",
        on=500,
        off=None,
    ),
    Switch(
        "refuse-refresh",
        "The next refresh is refused",
        "Acme answers invalid_grant, which is a definite refusal. The connection becomes needs_reauth.",
        "refuse_next_refresh",
        on=True,
        off=False,
        once=True,
    ),
    Switch(
        "omit-error-codes",
        "Refusals have no error code",
        "The token endpoint refuses with an empty body, as some providers do. If you also revoke an access, the "
        "connection becomes needs_reauth after about a minute of refused refreshes.",
        "omit_error_codes",
        on=True,
        off=False,
    ),
)


class SwitchesPage:
    """The endpoints of the page."""

    def __init__(self, accounts: Accounts, grants: Grants, faults: Faults) -> None:
        self._accounts, self._grants, self._faults = accounts, grants, faults

    async def show(self, _request: Request) -> Response:
        """Show the page of switches."""
        switches = [(switch, getattr(self._faults, switch.fault) != switch.off) for switch in _SWITCHES]
        accounts = [(account, self._grants.count(account.id)) for account in self._accounts.values()]
        return show("switches.html", form_action="'self'", switches=switches, accounts=accounts, path=PATH)

    async def turn(self, request: Request) -> Response:
        """Turn a switch, revoke all tokens of an account, or revoke or restore its API key. Then show the page again.

        Raises: MalformedForm; PageError.
        """
        refuse_cross_site(request)
        form = await read_form(request)
        name, to = form.get("switch"), form.get("to") or ""
        switch = next((switch for switch in _SWITCHES if switch.name == name), None)
        account = self._accounts.get(to)
        if name == "revoke" and account is not None:
            self._grants.revoke_account(account.id)
        elif name in _KEY_SWITCHES and account is not None:
            account.revoked = name == _REVOKE_KEY
        elif switch is not None and to in ("on", "off"):
            setattr(self._faults, switch.fault, switch.on if to == "on" else switch.off)
        else:
            raise PageError("There is no such switch.")
        return RedirectResponse(PATH, 303)
