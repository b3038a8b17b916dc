"""The one cookie: of a browser that is on its way to a provider and back (P5). Frames have none."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from one_runtime.connecting.authorization_attempts import STATE_LIFE
from one_runtime.connecting.authorization_steps import AuthorizationRedirect

_SECONDS: Final = int(STATE_LIFE.total_seconds())


@dataclass(frozen=True, slots=True)
class BrowserBinding:
    """What a browser comes back with. `session_token`: of a page in a window of its own, which goes on with it; it
    stays with the browser, where it was before, and is kept nowhere else."""

    secret: str
    session_token: str | None = None


class Cookies:
    """Writes and reads it. `secure`: browsers reach us over https, so that its name can keep others from setting it
    (RFC 6265bis, `__Host-`)."""

    def __init__(self, *, secure: bool) -> None:
        self._prefix = "__Host-" if secure else ""
        # Lax: the way back is a navigation from the provider's site.
        self._attributes = "; Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def setting(self, departure: AuthorizationRedirect, session_token: str | None = None) -> str:
        """The header that gives it."""
        return self.keeping(departure.cookie, BrowserBinding(departure.secret, session_token))

    def keeping(self, name: str, traveller: BrowserBinding) -> str:
        """The header that gives it for as long again."""
        value = traveller.secret + (f".{traveller.session_token}" if traveller.session_token else "")
        return f"{self._prefix}{name}={value}; Max-Age={_SECONDS}{self._attributes}"

    def deleting(self, name: str) -> str:
        """The header that takes it away."""
        return f"{self._prefix}{name}=; Max-Age=0{self._attributes}"

    def read(self, cookies: Mapping[str, str], name: str) -> BrowserBinding | None:
        """What the browser brought under that name."""
        secret, _, session_token = cookies.get(self._prefix + name, "").partition(".")
        return BrowserBinding(secret, session_token or None) if secret else None
