"""Write and read the cookie that shows in which browser an OAuth authorization was started.

Later, the provider redirects the browser to One Runtime (the callback). One Runtime accepts the callback only with this
cookie (promise P5 of docs/security.md).
"""

from collections.abc import Mapping
from typing import Final

from one_runtime.connecting.authorization_attempts import STATE_LIFE, BrowserBinding

_SECONDS: Final = int(STATE_LIFE.total_seconds())


class Cookies:
    """Reads and writes the cookie.

    `secure`: True if the public URL is https. The cookie of an https URL has a name that starts with `__Host-`. Only
    One Runtime's own host can set such a cookie (RFC 6265bis).
    """

    def __init__(self, *, secure: bool) -> None:
        self._prefix = "__Host-" if secure else ""
        # The callback is a navigation from the provider's site. In such a navigation, browsers send Lax cookies, and
        # omit Strict cookies.
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def set_header(self, binding: BrowserBinding) -> str:
        """Return the header that sets the cookie. For an existing cookie, the header extends the lifetime."""
        value = binding.secret + (f".{binding.session_token}" if binding.session_token else "")
        return f"{self._prefix}{binding.cookie}={value}; Max-Age={_SECONDS}{self._attributes}"

    def delete_header(self, binding: BrowserBinding) -> str:
        """Return the header that deletes the cookie."""
        return f"{self._prefix}{binding.cookie}=; Max-Age=0{self._attributes}"

    def read(self, cookies: Mapping[str, str], name: str) -> BrowserBinding | None:
        """Return the content of the browser's cookie with this name, or None."""
        secret, _, session_token = cookies.get(self._prefix + name, "").partition(".")
        return BrowserBinding(name, secret, session_token or None) if secret else None
