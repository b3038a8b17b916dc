"""Serve `GET /logos/{digest}/{slug}.svg`: the public logo of an integration."""

from fastapi import Response

from one_runtime.api.routing import PUBLIC, Installed, Routes
from one_runtime.catalog import organization_catalogs
from one_runtime.catalog.model import CUSTOM
from one_runtime.errors import NotFound

router = Routes("Catalog")


@router.route(
    "GET /logos/{digest}/{slug}.svg",
    scope=PUBLIC,
    errors=(NotFound,),
    summary="Read a logo",
    response_class=Response,
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
async def get_logo(digest: str, slug: str, installation: Installed) -> Response:
    """Return the logo of an integration as SVG. A changed logo has a new URL, so caches can keep the response."""
    if slug.startswith(CUSTOM):
        async with installation.database.read() as tx:
            logo = await organization_catalogs.find_logo(tx, slug, digest)
    else:
        known = installation.catalog.get(slug) is not None and digest == installation.catalog.logo_hash(slug)
        logo = installation.catalog.logo(slug) if known else None
    if logo is None:
        raise NotFound("There is no logo at this address.")
    headers = {
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "x-content-type-options": "nosniff",
        "access-control-allow-origin": "*",
        "cross-origin-resource-policy": "cross-origin",
    }
    return Response(logo, headers=headers, media_type="image/svg+xml")
