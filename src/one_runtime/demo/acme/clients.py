"""Register apps as OAuth clients of Acme, and authenticate the requests of the apps."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote_plus, urlsplit

from one_runtime.demo.acme.errors import OAuthRefused
from one_runtime.demo.acme.form import Form

_ORIGIN: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+")


@dataclass(frozen=True, slots=True)
class RegisteredApp:
    """An app that is an OAuth client of Acme. Acme redirects only to the URLs in `redirect_uris`."""

    id: str
    secret: str = field(repr=False)
    name: str
    redirect_uris: tuple[str, ...]


class Clients:
    """All registered apps."""

    def __init__(self) -> None:
        self._all: dict[str, RegisteredApp] = {}

    def register(self, redirect_uri: str, name: str, client_id: str | None, secret: str | None) -> RegisteredApp:
        """Register an app. For a known client id, replace the name and the secret, and add the redirect URL.

        Raises: ValueError for an invalid URL.
        """
        if _ORIGIN.fullmatch(origin_of(redirect_uri)) is None or "#" in redirect_uri or not redirect_uri.isascii():
            raise ValueError(f"{redirect_uri!r} must be an absolute redirect URL")
        new_id, new_secret = new_client()
        app = RegisteredApp(client_id or new_id, secret or new_secret, name, (redirect_uri,))
        present = self._all.get(app.id)
        if present is not None:
            app = replace(app, redirect_uris=tuple(dict.fromkeys((*present.redirect_uris, redirect_uri))))
        self._all[app.id] = app
        return app

    def find(self, client_id: str | None) -> RegisteredApp | None:
        """Return the app with this id, or None."""
        return self._all.get(client_id or "")

    def authenticate(self, authorization: str | None, form: Form, *, raw_basic: bool = False) -> RegisteredApp:
        """Authenticate a client by HTTP Basic or by the id and secret in the body (RFC 6749, 2.3.1).

        `raw_basic`: read HTTP Basic without form decoding.

        Raises: OAuthRefused.
        """
        client_id, secret = form.get("client_id"), form.get("client_secret")
        basic = authorization is not None
        if authorization is not None:
            pair = _parse_basic(authorization, raw=raw_basic)
            if pair is None:
                detail = "The Authorization header must contain a client id and a secret."
                raise OAuthRefused("invalid_client", detail, status=401, basic=True)
            if secret is not None or client_id not in {None, pair[0]}:
                detail = "The client authenticates in the header and in the body. Use only the header or only the body."
                raise OAuthRefused("invalid_request", detail)
            client_id, secret = pair
        client = self.find(client_id)
        if client is None or not secrets.compare_digest(client.secret.encode(), (secret or "").encode()):
            detail = "There is no client with this id and secret."
            raise OAuthRefused("invalid_client", detail, status=401, basic=basic)
        return client


def new_client() -> tuple[str, str]:
    """Return the id and the secret of a new app."""
    return "acmeci_" + secrets.token_hex(12), "acmecs_" + secrets.token_urlsafe(24)


def origin_of(url: str) -> str:
    """Return the origin of a URL: scheme, host and port."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _parse_basic(authorization: str, *, raw: bool) -> tuple[str, str] | None:
    """Return the decoded id and secret, or None for a malformed header.

    The header contains the id and the secret in form encoding (RFC 6749, 2.3.1), or unchanged if `raw` is True.
    """
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode("utf-8" if raw else "ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    client_id, colon, secret = decoded.partition(":")
    if scheme.lower() != "basic" or not colon:
        return None
    return (client_id, secret) if raw else (unquote_plus(client_id), unquote_plus(secret))
