"""Write and read the cookies of the dashboard."""

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

SESSION: Final = "or_session"
KNOWN_BROWSER: Final = "or_known_browser"


class DashboardCookies:
    """Writes and reads cookies. `secure`: True if the dashboard's URL is https.

    The name of a cookie of an https URL starts with `__Host-`. Only this host can set such a cookie (RFC 6265bis).
    """

    def __init__(self, *, secure: bool) -> None:
        self._secure, self._prefix = secure, "__Host-" if secure else ""

    def set(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie that scripts cannot read, and that other sites cannot send with a form."""
        response.set_cookie(
            self._prefix + name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax"
        )

    def delete(self, response: Response, name: str) -> None:
        """Delete a cookie."""
        self.set(response, name, "", 0)

    def read(self, cookies: Mapping[str, str], name: str) -> str | None:
        """Return the value of a cookie of the browser, or None."""
        return cookies.get(self._prefix + name) or None
