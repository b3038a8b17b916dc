"""Routes of your backend for `@one-runtime/react`, without a web framework.

`one_runtime_client.fastapi` and `one_runtime_client.django` serve the routes. Each route acts for the user who is
signed in to your product. No route takes an end user from the browser.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from one_runtime_client.errors import OneRuntimeError
from one_runtime_client.models import Integration

PASSED_ON: Final = frozenset({404, 409, 422, 429})
"""Statuses of One Runtime that concern the browser's request. Other errors concern your configuration."""


@dataclass(frozen=True, slots=True)
class SignedInUser:
    """The user who is signed in to your product. `id` becomes the `end_user_id`."""

    id: str
    name: str | None = None
    email: str | None = None


class Refusal(Exception):
    """A request that a route refuses."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.body = {"code": code, "detail": detail}


def check_origin(headers: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Check that a page of the same origin, or of an allowed origin, has sent the request.

    Otherwise, another site could make a signed-in user's browser send requests.

    Raises:
        Refusal: The request comes from another site.
    """
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    if site is None:
        same = origin is not None and urlsplit(origin).netloc == headers.get("host")
    else:
        same = site == "same-origin"
    if not same and origin not in allowed:
        raise Refusal(403, "cross_origin", "Only pages of this site can send this request.")


def check_user(user: SignedInUser | None) -> SignedInUser:
    """Return the user. Raises: Refusal without a signed-in user, ValueError for an empty id."""
    if user is None:
        raise Refusal(401, "unauthenticated", "Sign in first.")
    if not user.id:
        raise ValueError("the id of the signed-in user must not be empty")
    return user


def read_input(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the JSON object of a request's body. Raises: Refusal."""
    if not headers.get("content-type", "").startswith("application/json"):
        raise Refusal(415, "unsupported_media_type", "The body must be application/json.")
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise Refusal(400, "malformed_request", "The body must be a JSON object.")
    for name in ("integration_slug", "connection_id"):
        if not isinstance(value.get(name, ""), str | None):
            raise Refusal(422, "invalid_input", f"{name} must be a string.")
    return value


def session_arguments(user: SignedInUser, values: Mapping[str, Any], session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `sessions.create`. `session`: the developer's own options of each session."""
    chosen = {name: values[name] for name in ("integration_slug", "connection_id") if values.get(name)}
    known = {"end_user_name": user.name, "end_user_email": user.email}
    given = {name: value for name, value in known.items() if value}
    return {**given, **session, **chosen, "end_user_id": user.id}


def slug_to_disconnect(values: Mapping[str, Any]) -> str:
    """Return the slug of the integration. Raises: Refusal."""
    slug = values.get("integration_slug")
    if not slug:
        raise Refusal(422, "invalid_input", "integration_slug is required.")
    return str(slug)


def answer_to(error: Refusal | OneRuntimeError) -> tuple[int, dict[str, str]]:
    """Return the status and the body for the browser.

    Raises:
        OneRuntimeError: The error concerns your configuration, such as a revoked API key.
    """
    if isinstance(error, Refusal):
        return error.status, error.body
    if error.status not in PASSED_ON:
        raise error
    return error.status, {"code": error.code, "detail": error.detail}


def list_of(integrations: Iterable[Integration]) -> dict[str, Any]:
    """Return the answer with the list of integrations."""
    return {"integrations": [asdict(integration) for integration in integrations]}
