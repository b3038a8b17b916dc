"""Responses of a made-up provider, and the OAuth 2.0 configuration that the protocol tests start from."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from one_runtime.catalog.auth_types.oauth2 import OAuth2Auth
from one_runtime.catalog.grants import AuthorizationCode, RefreshToken
from one_runtime.catalog.request import OutboundRequest
from one_runtime.egress.response import Response
from one_runtime.oauth.client import ClientIdentity
from tests.catalog.example import OAUTH2, oauth2

NOW = dt.datetime(2026, 11, 25, 12, 0, tzinfo=dt.UTC)
CLIENT = ClientIdentity("client-1", "the+secret/of=client")
CODE = AuthorizationCode("SplxlOBeZQQYbYS6WxSbIA", "https://us.example/connect/callback/example", "v" * 43)
REFRESH = RefreshToken("the-old-refresh-token", "the-old-access-token")
PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>error=invalid_grant</body></html>"


class ProviderResponse(Response):
    def with_header(self, name: str, value: str) -> "ProviderResponse":
        return replace(self, headers=(*self.headers, (name, value)))


def response_with(body: object = b"", status: int = 200, content_type: str = "application/json") -> ProviderResponse:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ProviderResponse(status, (("Content-Type", content_type),), data)


def with_token(**changes: Any) -> OAuth2Auth:
    """Return the example's OAuth 2.0 configuration with keys of its token endpoint replaced."""
    return oauth2(token={**OAUTH2["token"], **changes})


def query_of(url: str) -> dict[str, str]:
    """Return the query of a URL and check that each parameter appears once."""
    pairs = parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def form_of(request: OutboundRequest) -> dict[str, str]:
    """Return the parameters of a form body."""
    assert dict(request.headers)["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.body is not None
    pairs = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)
