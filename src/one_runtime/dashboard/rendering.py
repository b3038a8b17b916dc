"""Render the templates of the dashboard with its menu, and build the HTTP headers of its pages.

docs/security.md describes the reason for these headers (promises P11 and P14).
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from one_runtime.catalog.auth_types import AUTH_TYPES
from one_runtime.clock import rfc3339
from one_runtime.dashboard.assets import StaticFiles
from one_runtime.dashboard.end_user_paths import query_value
from one_runtime.dashboard.masking import Whole, mask_output
from one_runtime.dashboard.quantities import duration, number
from one_runtime.dashboard.wording import in_page, without_fields
from one_runtime.tenancy.roles import Permission


class Section(NamedTuple):
    """An entry of the menu. `path`: the path below the organization. `permission`: the roles that see the entry."""

    path: str
    name: str
    permission: Permission
    group: str


SECTIONS: Final = (
    Section("", "Overview", "read", ""),
    Section("integrations", "Integrations", "read", ""),
    Section("end-users", "End users", "read", ""),
    Section("connections", "Connections", "read", ""),
    Section("requests", "Requests", "read", "Activity"),
    Section("webhooks", "Webhooks", "read", "Activity"),
    Section("agents", "Agents", "read", "Activity"),
    Section("audit", "Audit log", "read", "Activity"),
    Section("playground", "Playground", "use", "Build"),
    Section("custom-integrations", "Custom integrations", "read", "Build"),
    Section("api-keys", "API keys", "develop", "Build"),
    Section("members", "Members", "read", "Organization"),
    Section("settings", "Settings", "read", "Organization"),
)


_UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("min", timedelta(minutes=1)))


def _json(value: object) -> str:
    """Return a value as JSON. The filter `tojson` of Jinja2 returns markup, which escapes and masks nothing again."""
    return json.dumps(value, ensure_ascii=False)


def ago(moment: datetime, now: datetime) -> str:
    """Return the time between two moments in words, such as `3 min ago` or `in 2 h`. Old moments are dates."""
    distance = abs(now - moment)
    if distance >= timedelta(days=30):
        return day(moment)
    name, unit = next(((name, unit) for name, unit in _UNITS if distance >= unit), ("s", timedelta(seconds=1)))
    amount = f"{distance // unit} {name}"
    if distance < timedelta(seconds=1):
        return "just now"
    return f"in {amount}" if moment > now else f"{amount} ago"


def day(moment: datetime) -> str:
    """Return the date of a moment in UTC, such as `2026-11-30`."""
    return moment.date().isoformat()


def exact(moment: datetime) -> str:
    """Return the date and the time of a moment, such as `2026-11-30 14:05:09 UTC`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def breakable(text: str) -> Markup:
    """Return a whole text as HTML that breaks lines only after an @ and before a dot, if these parts fit."""
    return escape(text).replace("@", Markup("@<wbr>")).replace(".", Markup("<wbr>."))


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("one_runtime.dashboard"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.globals.update(sections=SECTIONS)
_ENVIRONMENT.filters.update(
    time=rfc3339,
    ago=ago,
    day=day,
    exact=exact,
    number=number,
    duration=duration,
    breakable=breakable,
    auth_type=lambda name: AUTH_TYPES[name].title,
    in_page=in_page,
    json=_json,
    query_value=query_value,
    whole=Whole,
    without_fields=without_fields,
)
_MASKING: Final = _ENVIRONMENT.overlay(finalize=mask_output)


class Renderer:
    """Renders pages. `public_url`: the URL of the popup and of the logos."""

    def __init__(self, static: StaticFiles, public_url: str, dashboard_url: str) -> None:
        self._site = {"assets": static.base, "public_url": public_url, "dashboard_url": dashboard_url}
        address = urlsplit(public_url)
        origin = f"{address.scheme}://{address.netloc}"  # a path in a policy would match only this path
        self.headers: Mapping[str, str] = _headers(origin)
        self.frame_headers: Mapping[str, str] = _frame_headers(origin)

    def render(self, template: str, *, is_masked: bool = False, **values: object) -> str:
        """Render a template of the folder `templates`. `is_masked`: mask e-mail addresses (`masking`)."""
        environment = _MASKING if is_masked else _ENVIRONMENT
        return environment.get_template(template).render(**self._site, **values)


def _headers(public_origin: str) -> Mapping[str, str]:
    policy = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        f"img-src 'self' data: {public_origin}",  # logos of integrations and organizations
        "connect-src 'self'",
        f"frame-src 'self' {public_origin}",  # the preview of the popup, and the popup
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types htmx",  # static/dashboard.js
    )
    return {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "; ".join(policy),
        "Cache-Control": "no-store",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "strict-origin",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "X-Robots-Tag": "noindex",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    }


def _frame_headers(public_origin: str) -> Mapping[str, str]:
    """Return the headers of a page that a page of the dashboard shows in a frame: the preview of the popup."""
    policy = (
        "default-src 'none'",
        f"style-src 'self' {public_origin}",
        f"img-src 'self' data: {public_origin}",
        "form-action 'none'",
        "frame-ancestors 'self'",
        "base-uri 'none'",
    )
    framed = {"Content-Security-Policy": "; ".join(policy), "X-Frame-Options": "SAMEORIGIN"}
    return {**_headers(public_origin), **framed}
