"""Renders the popup's page and the pages of a window of its own, with the headers that keep them to themselves
(P6, P11)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from one_runtime.connect.assets import POPUP_MODULES
from one_runtime.connect.texts import TEXTS, text
from one_runtime.connecting.popup import PopupShell, ShellState

PageState: TypeAlias = ShellState | Literal["top_level"]

STATUS: Final[Mapping[PageState, int]] = {
    "open": 200,
    "top_level": 200,
    "unknown": 404,
    "no_origins": 409,
    "expired": 410,
    "used": 410,
    "failed": 410,
    "cancelled": 410,
}
NOTICE: Final[Mapping[PageState, str]] = {"failed": "attempts"}
NOBODY: Final = ("'none'",)


def rich(key: str, **names: str) -> Markup:
    """The text under `key` as HTML, with every filled-in name set in <strong>."""
    strong = {name: Markup("<strong>{}</strong>").format(value) for name, value in names.items()}
    return escape(TEXTS[key]).format(**strong)


ENVIRONMENT: Final = Environment(
    loader=PackageLoader("one_runtime.connect"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
ENVIRONMENT.globals.update(text=text, rich=rich, texts=TEXTS)
_PAGE: Final = ENVIRONMENT.get_template("page.html")


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page: status, headers, bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Site:
    """Where the popup lives: the path before `/connect` (mostly empty) and the assets' hash."""

    base: str
    assets_hash: str

    @property
    def assets(self) -> str:
        """The address of the files that go with this version."""
        return f"{self.base}/connect/assets/{self.assets_hash}"


def render(site: Site, shell: PopupShell, *, framed: bool) -> Page:
    """The popup's page for a session's state. Opened at top level, an open session shows no form (P6)."""
    state: PageState = "top_level" if shell.state == "open" and not framed else shell.state
    organization = shell.organization_name or ""
    notice = "" if state == "open" else NOTICE.get(state, state)
    values = {"organization": organization or TEXTS["notice.app"]}
    body = _PAGE.render(
        state=state,
        title=text(f"notice.{notice}.title", **values) if notice else TEXTS["shell.title"],
        body=text(f"notice.{notice}.body", **values) if notice else "",
        base=site.base,
        assets=site.assets,
        modules=[name for name in POPUP_MODULES if name != "popup.js"],
        session=shell.session_id or "",
        organization=organization,
        origins=json.dumps(shell.allowed_origins),
    )
    return Page(STATUS[state], headers(_ancestors(shell, framed=framed)), body.encode())


def _ancestors(shell: PopupShell, *, framed: bool) -> tuple[str, ...]:
    """Who may frame the page: exactly the session's origins.

    Where there are none (no such session, or none configured) the page carries no form, no secret and nothing about
    anybody but the organization's name: any page may show it, so that a developer reads what is wrong instead of
    looking at an empty frame.
    """
    if shell.state == "open" and not framed:
        return NOBODY
    if shell.state in {"unknown", "no_origins"}:
        return ("*",)
    return shell.allowed_origins or NOBODY


def headers(
    ancestors: tuple[str, ...], form_action: tuple[str, ...] = ("'none'",), *, keeps_opener: bool = False
) -> dict[str, str]:
    """The headers of every page. Images may be data: URIs, because logos are.

    `keeps_opener`: the window that our frame opened, which hears from it and is closed by it. `form_action`: in the
    popup forms are sent by script, with the token in a header, and so none is sent otherwise.
    """
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        f"form-action {' '.join(form_action)}",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        f"frame-ancestors {' '.join(ancestors)}",
    )
    framing = {"X-Frame-Options": "DENY"} if ancestors == NOBODY else {}  # which cannot name origins
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
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
            "X-Robots-Tag": "noindex",
        }
    )
