"""Define errors of Acme's API (RFC 6750, 3) and OAuth endpoints (RFC 6749, 5.2), and return the error responses."""

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

PRIVATE: Final = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749, 5.1


class AcmeError(Exception):
    """A refused API request.

    If the request had an access token, `challenge` contains the parameters of the header `WWW-Authenticate`.
    """

    def __init__(self, status: int, code: str, message: str, challenge: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.challenge = challenge or {}


class OAuthRefused(Exception):
    """A refused request to an OAuth endpoint. With `basic`, the response has the header `WWW-Authenticate`."""

    def __init__(self, code: str, description: str, *, status: int = 400, basic: bool = False) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status
        self.basic = basic


async def refuse(_request: Request, error: Exception) -> Response:
    """Return the response for an `AcmeError`: `{"error": {"code", "message"}}`.

    If the status is 401 or the error has a challenge, the response has the header `WWW-Authenticate`.
    """
    assert isinstance(error, AcmeError)  # noqa: S101 - the handler is registered for this type only
    headers = {}
    if error.status == 401 or error.challenge:
        details = ", ".join(f'{name}="{value}"' for name, value in error.challenge.items())
        headers["WWW-Authenticate"] = f"Bearer {details}".strip()
    content = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(content, status_code=error.status, headers=headers)


async def refuse_app(_request: Request, error: Exception) -> Response:
    """Return the response for an `OAuthRefused`."""
    assert isinstance(error, OAuthRefused)  # noqa: S101 - the handler is registered for this type only
    headers = PRIVATE | ({"WWW-Authenticate": 'Basic realm="Acme CRM"'} if error.basic else {})
    return JSONResponse({"error": error.code, "error_description": error.description}, error.status, headers)
