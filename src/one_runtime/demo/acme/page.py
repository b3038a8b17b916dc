"""Render Acme's pages with a strict Content-Security-Policy."""

import base64
import hashlib
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from one_runtime.connect.pages import PERMISSIONS_POLICY

_LOGO: Final = (files("one_runtime.demo") / "acme.svg").read_bytes()
_STYLE: Final = (files(__package__) / "pages" / "style.css").read_text("utf-8")
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_PAGES: Final = Environment(
    loader=PackageLoader(__package__, "pages"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_PAGES.globals["style"] = Markup(_STYLE)  # noqa: S704 - our own file
_PAGES.globals["logo"] = "data:image/svg+xml;base64," + base64.b64encode(_LOGO).decode()


class PageError(Exception):
    """An error that Acme shows on its own page, without a redirect to an app."""


def show(name: str, *, status: int = 200, form_action: str = "'none'", **values: Any) -> Response:
    """Render a page. `form_action` lists the allowed targets of the page's forms (Content-Security-Policy)."""
    return HTMLResponse(_PAGES.get_template(name).render(values), status, _headers(form_action))


async def stop(_request: Request, error: Exception) -> Response:
    """Return the error page for a `PageError` or a `MalformedForm`."""
    return show("stopped.html", status=400, reason=str(error))


def refuse_cross_site(request: Request) -> None:
    """Refuse forms that other websites send. Raises: PageError.

    Such an attack needs the user's browser, and browsers send the header `Sec-Fetch-Site` with every form. So this
    function allows requests without this header.
    """
    if request.headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        raise PageError("Another website sent this form. Use the buttons on Acme CRM’s own pages.")


def _headers(form_action: str) -> dict[str, str]:
    return {
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action {form_action}; "
            "base-uri 'none'; frame-ancestors 'none'"
        ),
        "Cache-Control": "no-store",
        "Permissions-Policy": PERMISSIONS_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }
