"""Forms with passkeys: the options for the browser's dialog, and the credential that the browser adds to the form."""

import json
from typing import Final

from starlette.datastructures import FormData
from starlette.responses import Response

from one_runtime.dashboard.visit import Visit
from one_runtime.errors import NotFound
from one_runtime.team.sign_in import steps
from one_runtime.team.sign_in.passkey_sign_in import PasskeyCeremony
from one_runtime.team.sign_in.passkeys import RelyingParty

COOKIE: Final = "or_passkey"
"""Cookie with the token of a begun sign-in or registration."""

_SECONDS: Final = int(steps.LIFETIME.total_seconds())


def find_party(visit: Visit) -> RelyingParty | None:
    """Return the dashboard as browsers know it, or None if browsers offer no passkeys at its URL."""
    return RelyingParty.of_url(visit.installation.settings.dashboard_url)


def require_party(visit: Visit) -> RelyingParty:
    """Return the dashboard as browsers know it. Raises: NotFound if browsers offer no passkeys at its URL."""
    party = find_party(visit)
    if party is None:
        raise NotFound("Browsers offer passkeys only at a host name with https. Use another way to sign in.")
    return party


def respond_with_options(visit: Visit, ceremony: PasskeyCeremony) -> Response:
    """Return the options for the browser's dialog, and set the cookie of the step."""
    response = respond_with_json(visit, ceremony.options)
    visit.cookies.set(response, COOKIE, ceremony.token.secret, _SECONDS)
    return response


def respond_with_json(visit: Visit, value: object) -> Response:
    """Return a JSON value for the script of the page."""
    headers = {**visit.renderer.headers, "Content-Type": "application/json"}
    return Response(json.dumps(value), headers=headers)


def credential_of(form: FormData) -> object:
    """Return the browser's response in the field `credential`. Return None if the field is not JSON."""
    try:
        return json.loads(str(form.get("credential", "")))
    except (ValueError, RecursionError):
        return None
