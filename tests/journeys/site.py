"""A customer's site: a page with connect.js under a strict Content-Security-Policy, and a page without a policy."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>A customer's page</title><link rel="icon" href="data:,"></head>
<body><main><h1>Settings</h1><button id="connect" disabled>Connect</button>
<p>Outcome: <output id="outcome"></output></p><ol id="messages" hidden></ol></main>
<script type="module" src="/log.js"></script><script type="module" src="{script}"></script></body></html>
"""

# The fragment of the page's URL contains the session token, because browsers do not send the fragment to a server. This
# script records every message, even those that the page later refuses.
_LOG: Final = """
addEventListener("message", (event) => {
  const item = document.createElement("li");
  item.textContent = JSON.stringify({ origin: event.origin, data: event.data });
  document.getElementById("messages")?.append(item); // a test can remove the whole page
});
"""

_WITH_CONNECT_JS: Final = """
import { createOneRuntime } from "ONE_RUNTIME/connect.js";
const { connections } = createOneRuntime({ baseUrl: "ONE_RUNTIME" });
const outcome = document.getElementById("outcome");
document.getElementById("connect").addEventListener("click", async () => {
  outcome.textContent = "";
  outcome.textContent = JSON.stringify(await connections.open({ sessionToken: location.hash.slice(1) }));
});
document.getElementById("connect").disabled = false;
"""

# We wrote this script only from the documentation of the popup's message: two parameters, and one object as the result.
_WITHOUT_CONNECT_JS: Final = """
document.getElementById("connect").addEventListener("click", () => {
  const requestId = "embedder-" + location.hash.length;
  const address = new URL("ONE_RUNTIME/connect");
  address.searchParams.set("session_token", location.hash.slice(1));
  address.searchParams.set("request_id", requestId);
  const frame = document.createElement("iframe");
  addEventListener("message", ({ source, origin, data }) => {
    if (source !== frame.contentWindow || origin !== "ONE_RUNTIME") return;
    if (data.source !== "one-runtime" || data.requestId !== requestId) return;
    document.getElementById("outcome").textContent = JSON.stringify(data);
  });
  frame.title = "Connect";
  frame.src = address.href;
  frame.width = "100%";
  frame.height = "640";
  document.body.append(frame);
});
document.getElementById("connect").disabled = false;
"""

# The page of the return URL in the mode `redirect`.
_BACK: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Back</title><link rel="icon" href="data:,"></head>
<body><main><h1>Back in the app</h1></main></body></html>
"""

_SCRIPTS: Final = {"/log.js": _LOG, "/connecting.js": _WITH_CONNECT_JS, "/embedding.js": _WITHOUT_CONNECT_JS}
_EMBEDDER_POLICY: Final = "Cross-Origin-Embedder-Policy"
# The policy of each page that differs from the strict policy.
_HEADERS: Final[dict[str, dict[str, str]]] = {
    "/relaxed": {},
    "/require-corp": {_EMBEDDER_POLICY: "require-corp", "Cross-Origin-Opener-Policy": "same-origin-allow-popups"},
    "/credentialless": {_EMBEDDER_POLICY: "credentialless"},
    "/frameless": {"Content-Security-Policy": "frame-src 'self'"},
    "/default-django": {"Cross-Origin-Opener-Policy": "same-origin", "X-Frame-Options": "DENY"},
}
_PAGES: Final = {
    "/": "/connecting.js",
    "/embedder": "/embedding.js",
    **dict.fromkeys(_HEADERS, "/connecting.js"),
}


class Site(ThreadingHTTPServer):
    """A site on its own port. The site's host is `localhost`, and One Runtime's host is `127.0.0.1`.

    The page `/` has the strictest policy that connect.js allows. `/relaxed` has no policy. `/frameless` allows no frame
    of One Runtime. `/default-django` has the headers of a new Django project, and the opener policy of helmet.
    `/embedder` does not use connect.js. `/back` is a return URL.
    """

    daemon_threads = True

    def __init__(self, one_runtime: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.one_runtime = one_runtime

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server_port}"

    @property
    def return_url(self) -> str:
        return f"{self.origin}/back"

    @property
    def policy(self) -> str:
        """Return a policy that allows no inline style, no inline script, and only One Runtime's frames."""
        return (
            f"default-src 'none'; script-src 'self' {self.one_runtime}; frame-src {self.one_runtime}; img-src data:; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path.startswith("/back?"):
            self._send("text/html", _BACK)
        elif self.path in _SCRIPTS:
            self._send("text/javascript", _SCRIPTS[self.path].replace("ONE_RUNTIME", self.server.one_runtime))
        elif self.path in _PAGES:
            self._send("text/html", _PAGE.format(script=_PAGES[self.path]))
        else:
            self.send_error(404)

    def _send(self, media_type: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{media_type}; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        headers = _HEADERS.get(self.path, {"Content-Security-Policy": self.server.policy})
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def running_site(one_runtime: str) -> Iterator[Site]:
    """Run a site until the block ends."""
    with Site(one_runtime) as site:
        thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            site.shutdown()
            thread.join()
