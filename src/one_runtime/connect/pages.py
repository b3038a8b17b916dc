"""Renders the popup's one page in each of its states, with the headers that keep it to itself (P6, P11)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from one_runtime.connect.assets import MODULES
from one_runtime.connect.texts import TEXTS, text
from one_runtime.connect_flow import Shell, ShellState

PageState: TypeAlias = ShellState | Literal["top_level"]

_STATUS: Final[Mapping[PageState, int]] = {
    "open": 200,
    "top_level": 200,
    "unknown": 404,
    "no_origins": 409,
    "expired": 410,
    "used": 410,
    "failed": 410,
    "cancelled": 410,
}
_NOTICE: Final[Mapping[PageState, str]] = {"failed": "attempts"}
_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("one_runtime.connect"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
)
_PAGE: Final = _ENVIRONMENT.get_template("page.html")


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


def render(site: Site, shell: Shell, *, framed: bool) -> Page:
    """The page for a session's state. Opened at top level, an open session shows no form (P6)."""
    state: PageState = "top_level" if shell.state == "open" and not framed else shell.state
    organization = shell.organization_name or ""
    notice = "" if state == "open" else _NOTICE.get(state, state)
    values = {"organization": organization or TEXTS["notice.app"]}
    body = _PAGE.render(
        texts=TEXTS,
        state=state,
        title=text(f"notice.{notice}.title", **values) if notice else TEXTS["shell.title"],
        body=text(f"notice.{notice}.body", **values) if notice else "",
        base=site.base,
        assets=f"{site.base}/connect/assets/{site.assets_hash}",
        modules=[name for name in MODULES if name != "popup.js"],
        session=shell.session_id or "",
        organization=organization,
        origins=json.dumps(shell.allowed_origins),
    )
    return Page(_STATUS[state], headers(_ancestors(shell, framed=framed)), body.encode())


def _ancestors(shell: Shell, *, framed: bool) -> tuple[str, ...]:
    """Who may frame the page: exactly the session's origins.

    Where there are none (no such session, or none configured) the page carries no form, no secret and nothing about
    anybody but the organization's name: any page may show it, so that a developer reads what is wrong instead of
    looking at an empty frame.
    """
    if shell.state == "open" and not framed:
        return ("'none'",)
    if shell.state in {"unknown", "no_origins"}:
        return ("*",)
    return shell.allowed_origins or ("'none'",)


def headers(ancestors: tuple[str, ...]) -> dict[str, str]:
    """The headers of every page. Images may be data: URIs, because logos are."""
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'none'",  # forms are sent by script, with the token in a header
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
        f"frame-ancestors {' '.join(ancestors)}",
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Robots-Tag": "noindex",
    }
