"""Render the popup's page, and build the HTTP headers of all pages that One Runtime serves to end users.

docs/security.md describes why the pages need these headers (promises P6 and P11).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import Response

from one_runtime.connect.assets import POPUP_MODULES
from one_runtime.connect.texts import Texts, shown
from one_runtime.connect.theme import Theme
from one_runtime.connecting.popup import PopupShell, ShellState

PageState: TypeAlias = ShellState | Literal["top_level"]

STATUSES: Final[Mapping[PageState, int]] = {
    "open": 200,
    "top_level": 200,
    "unknown": 404,
    "no_origins": 409,
    "expired": 410,
    "used": 410,
    "failed": 410,
    "cancelled": 410,
}
NOTICES: Final[Mapping[PageState, str]] = {"failed": "attempts"}
NO_ANCESTORS: Final = ("'none'",)
PERMISSIONS_POLICY: Final = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# A page with a Cross-Origin-Embedder-Policy shows only frames with these two headers. `frame-ancestors` still decides
# which pages can show the frame.
_EMBEDDABLE: Final = {
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


ENVIRONMENT: Final = Environment(
    loader=PackageLoader("one_runtime.connect"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(shown=shown)
_PAGE: Final = ENVIRONMENT.get_template("page.html")


@dataclass(frozen=True, slots=True)
class Site:
    """The URLs of the pages. `base`: the path of the public URL (usually empty). `assets_hash`: see `Assets.hash`.

    `is_inert`: True for a preview. A preview has no script, and no control of a preview reacts.
    """

    base: str
    assets_hash: str
    is_inert: bool = False

    def values(self, texts: Texts) -> dict[str, object]:
        """Return the values that every template needs: the language's texts, and the paths of the static files."""
        return {
            "base": self.base,
            "assets": f"{self.base}/connect/assets/{texts.language}-{self.assets_hash}",
            "is_inert": self.is_inert,
            "texts": texts,
            "text": texts.text,
            "rich": texts.rich,
            "named": texts.named,
        }


def render(site: Site, shell: PopupShell, texts: Texts, *, framed: bool) -> Response:
    """Render the popup's page. If the page is not in a frame, render an error page without a form (promise P6)."""
    state: PageState = "top_level" if shell.state == "open" and not framed else shell.state
    organization = shell.organization_name or ""
    notice = "" if state == "open" else NOTICES.get(state, state)
    values = {"organization": organization or texts["notice.app"]}
    body = _PAGE.render(
        state=state,
        title=texts.text(f"notice.{notice}.title", **values) if notice else texts["shell.title"],
        body=texts.text(f"notice.{notice}.body", **values) if notice else "",
        **site.values(texts),
        modules=[name for name in POPUP_MODULES if name != "popup.js"],
        session=shell.session_id or "",
        organization=organization,
        origins=json.dumps(shell.allowed_origins),
        theme=Theme(shell.branding),
    )
    return Response(body, STATUSES[state], headers(_ancestors(shell, framed=framed)) | _EMBEDDABLE)


def _ancestors(shell: PopupShell, *, framed: bool) -> tuple[str, ...]:
    """Return the origins whose pages can show this page in a frame. Usually, these are the session's allowed origins.

    Two error pages allow every origin (`*`): the page for an unknown session, and the page for a session without
    allowed origins. So a developer sees the error and not an empty frame. These pages contain no form and no secret.
    """
    if shell.state == "open" and not framed:
        return NO_ANCESTORS
    if shell.state in {"unknown", "no_origins"}:
        return ("*",)
    return shell.allowed_origins or NO_ANCESTORS


def headers(
    ancestors: tuple[str, ...], form_action: tuple[str, ...] = ("'none'",), *, keeps_opener: bool = False
) -> dict[str, str]:
    """Return the HTTP headers of a page.

    `ancestors`: the origins whose pages can show this page in a frame. `form_action`: the origins to which the page can
    send forms. The popup needs no such origin, because its script sends the values with `fetch`.

    `keeps_opener`: True for a page in the window of an OAuth authorization. The popup opens this window, and needs
    access to the window to send a ticket (a one-time token) and to close the window.
    """
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # an organization's logo is a `data:` URI
        "connect-src 'self'",
        f"form-action {' '.join(form_action)}",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        f"frame-ancestors {' '.join(ancestors)}",
    )
    framing = {"X-Frame-Options": "DENY"} if ancestors == NO_ANCESTORS else {}  # X-Frame-Options cannot name origins
    apart = {} if keeps_opener else {"Cross-Origin-Opener-Policy": "same-origin"}
    return (
        framing
        | apart
        | {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "; ".join(policy),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Permissions-Policy": PERMISSIONS_POLICY,
            "X-Robots-Tag": "noindex",
        }
    )
