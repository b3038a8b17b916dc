"""Load the dashboard's static files once, when One Runtime starts.

Their URLs contain a hash over all files. So browsers can cache the files without an expiry.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

FILES: Final = ("branding.js", "dashboard.js", "htmx.min.js", "passkeys.js", "playground.js", "try.js")
STYLESHEETS: Final = (
    "base.css",
    "frame.css",
    "forms.css",
    "content.css",
    "lists.css",
    "plots.css",
    "overview.css",
    "playground.css",
)
"""The parts of `dashboard.css`, in order."""
CONNECT_JS: Final = "connect.js"
"""Name of the popup's script. The dashboard serves it, so that its pages run scripts of no other origin."""

ICON: Final = "icon.svg"
_TYPES: Final = {"svg": "image/svg+xml", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8"}
_CACHED: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class StaticFiles:
    """The static files by name. `hash`: a hash over all files."""

    hash: str
    files: Mapping[str, bytes]

    @property
    def base(self) -> str:
        """Return the path of the files."""
        return f"/assets/{self.hash}"

    async def respond(self, request: Request) -> Response:
        """Return the file of the request's path, or a 404 response."""
        name = request.path_params["name"]
        body = self.files.get(name) if request.path_params["hash"] == self.hash else None
        if body is None:
            return Response("Not found", 404, media_type="text/plain")
        return Response(body, headers=_CACHED, media_type=_TYPES[name.rpartition(".")[2]])


@cache
def load_static_files(connect_js: bytes) -> StaticFiles:
    """Read the static files of the package. `connect_js`: the popup's script."""
    folder = resources.files("one_runtime.dashboard") / "static"
    files = {name: (folder / name).read_bytes() for name in FILES} | {CONNECT_JS: connect_js}
    files[ICON] = (resources.files("one_runtime") / ICON).read_bytes()
    files["dashboard.css"] = b"".join((folder / name).read_bytes() for name in STYLESHEETS)
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + files[name] for name in sorted(files)))
    return StaticFiles(digest.hexdigest()[:20], files)
