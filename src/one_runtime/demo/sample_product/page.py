"""Serve the sample product's settings page and the files of the page. The page never receives the API key."""

import json
from dataclasses import asdict
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from one_runtime.catalog.popular import POPULARITY
from one_runtime.connect.pages import PERMISSIONS_POLICY
from one_runtime.demo.sample_product.agent_links import AgentLink
from one_runtime.demo.sample_product.product import END_USERS, SampleProduct
from one_runtime.demo.sample_product.returning import ReturnOutcome

FILES: Final = {
    "page.js": "text/javascript",
    "connecting.js": "text/javascript",
    "backend.js": "text/javascript",
    "requests.js": "text/javascript",
    "events.js": "text/javascript",
    "agents.js": "text/javascript",
    "agent_link.js": "text/javascript",
    "copying.js": "text/javascript",
    "page.css": "text/css",
    "mark.svg": "image/svg+xml",
}


def show_page(
    product: SampleProduct,
    end_user_id: str,
    returned: ReturnOutcome | None = None,
    agent_link: AgentLink | None = None,
) -> Response:
    """Return the page for the signed-in end user.

    `returned`: the outcome after a return from One Runtime. `agent_link`: the link of an agent that was opened.
    """
    facts = {
        "one_runtime_url": product.one_runtime_url,
        "end_user_id": end_user_id,
        "end_users": [{"id": id_, "name": name} for id_, name in END_USERS.items()],
        "acme_keys": [{"account": account, "key": key} for account, key in product.acme_keys.items()],
        "popular": list(POPULARITY),
        "returned": asdict(returned) if returned else None,
        "agent_link": asdict(agent_link) if agent_link else None,
    }
    # Escape each `<`, because the text `</script>` would end the script element.
    page = _PAGE.replace("{facts}", json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c"))
    headers = {**_HEADERS, "Cache-Control": "no-store", "Content-Security-Policy": _policy(product)}
    return Response(page, media_type="text/html", headers=headers)


def _policy(product: SampleProduct) -> str:
    """Return a strict Content-Security-Policy.

    A page that embeds One Runtime must allow images, scripts and frames from One Runtime. Such a page does not need
    `unsafe-inline`.
    """
    one_runtime = product.one_runtime_url
    return (
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        f"connect-src 'self'; style-src 'self'; img-src 'self' {one_runtime} data:; "
        f"script-src 'self' {one_runtime}; frame-src {one_runtime}"
    )


def file_routes() -> list[Route]:
    """Return the routes of the page's own files."""
    return [_file(name, media_type) for name, media_type in FILES.items()]


def _file(name: str, media_type: str) -> Route:
    content = _read(name)

    async def send_file(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_HEADERS)

    return Route(f"/{name}", send_file)


def _read(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


_PAGE: Final = _read("page.html")
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Permissions-Policy": PERMISSIONS_POLICY,
    "Referrer-Policy": "strict-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
