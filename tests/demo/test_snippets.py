"""The snippet of the mode `redirect` runs: a customer's backend connects an account."""

import asyncio
import functools
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.fork_server import run
from tests.running_demo import Demo

SNIPPETS = Path(__file__).resolve().parents[2] / "docs" / "snippets"
END_USER = "user_of_the_redirect"


class _Customer(BaseHTTPRequestHandler):
    """The web server around the snippets."""

    server: "_Server"

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        match address.path:
            case "/connect-acme":
                redirect = self.server.backend.start_redirect(END_USER, "acme", f"{self.server.origin}/connected")
                self.send_response(303)
                self.send_header("Location", redirect)
                self.end_headers()
            case "/connected":
                connection = self.server.backend.finish_redirect(self.server.signed_in, dict(parse_qsl(address.query)))
                self._send("text/html", f"{connection.name} is connected" if connection else "Nothing was connected")
            case _:
                self.send_error(404)

    def _send(self, media_type: str, text: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    backend: ModuleType
    signed_in = END_USER

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def customer() -> Iterator[_Server]:
    """A customer's site with an origin of its own, which One Runtime does not know yet."""
    server = _Server(("127.0.0.1", 0), _Customer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def one_runtime(demo: Demo, *words: str) -> str:
    """Run a command of One Runtime on the demo's database and return its first word of output."""
    environ = {**os.environ, "ONE_RUNTIME_DATABASE_URL": f"sqlite:///{demo.data}/one-runtime.db"}
    result = run([sys.executable, "-m", "one_runtime", *words], environ)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()[0]


@pytest.fixture
async def readers_environment(demo: Demo, customer: _Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of the snippets: the key of an organization that allows the customer's origin and return URL."""
    create = ("organizations", "create", "A reader", "--allowed-origin", customer.origin)
    organization = await asyncio.to_thread(one_runtime, demo, *create)
    allow = ("organizations", "set", organization, "--return-url", f"{customer.origin}/connected")
    await asyncio.to_thread(one_runtime, demo, *allow)
    monkeypatch.setenv("ONE_RUNTIME_URL", demo.url)
    monkeypatch.setenv(
        "ONE_RUNTIME_API_KEY", await asyncio.to_thread(one_runtime, demo, "api-keys", "create", organization)
    )


@pytest.fixture
def redirect(readers_environment: None, customer: _Server) -> Iterator[ModuleType]:
    """The redirect's snippet, at work in the customer's server."""
    spec = importlib.util.spec_from_file_location("snippet_redirect", SNIPPETS / "redirect.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    customer.backend = module
    yield module
    module.one_runtime.close()


async def connect_by_redirect(page: Page, demo: Demo, customer: _Server) -> None:
    await page.goto(f"{customer.origin}/connect-acme")
    await page.get_by_label("API key", exact=True).fill(demo.acme_key)
    await page.get_by_role("button", name="Connect Acme CRM").click()
    await page.wait_for_url(f"{customer.origin}/connected?*")


@pytest.mark.docs
@pytest.mark.usefixtures("redirect")
async def test_code_of_the_redirect_connects_an_account(page: Page, demo: Demo, customer: _Server) -> None:
    await connect_by_redirect(page, demo, customer)
    await expect(page.locator("body")).to_have_text("Globex Corporation is connected")


@pytest.mark.docs
@pytest.mark.promise("P6")
async def test_code_of_the_redirect_connects_nothing_for_another_user(
    page: Page, demo: Demo, customer: _Server, redirect: ModuleType
) -> None:
    customer.signed_in = "somebody_else"
    await connect_by_redirect(page, demo, customer)
    await expect(page.locator("body")).to_have_text("Nothing was connected")
    for user in (END_USER, "somebody_else"):
        listed = functools.partial(redirect.one_runtime.integrations.list, end_user_id=user, status="connected")
        assert await asyncio.to_thread(listed) == ()


@pytest.mark.docs
def test_getting_started_shows_the_code_of_the_redirect_unchanged() -> None:
    page = (SNIPPETS.parent / "getting-started.md").read_text("utf-8")
    code = (SNIPPETS / "redirect.py").read_text("utf-8")
    assert code[code.index("from one_runtime_client") :] in page
