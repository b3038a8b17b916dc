"""Errors of Acme's API: `{"error": {"code", "message"}}`, with a challenge (RFC 6750, 3)."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response


class AcmeError(Exception):
    """A refusal. `challenge` goes into `WWW-Authenticate` if the request came with an access token."""

    def __init__(self, status: int, code: str, message: str, challenge: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.challenge = challenge or {}


async def refuse(_request: Request, error: Exception) -> Response:
    """Return the response for an `AcmeError`."""
    assert isinstance(error, AcmeError)  # noqa: S101 - the handler is registered for this type only
    headers = {}
    if error.status == 401 or error.challenge:
        details = ", ".join(f'{name}="{value}"' for name, value in error.challenge.items())
        headers["WWW-Authenticate"] = f"Bearer {details}".strip()
    content = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(content, status_code=error.status, headers=headers)
