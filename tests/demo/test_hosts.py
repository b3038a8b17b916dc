"""Each server of the demo answers under one host only, against DNS rebinding."""

import httpx2
import pytest
from starlette.responses import PlainTextResponse

from one_runtime.demo.hosts import CanonicalHost

HOST = "127.0.0.1:8001"


async def ask(host: str, *, method: str = "GET", redirect: bool) -> httpx2.Response:
    app = CanonicalHost(PlainTextResponse("in"), host=HOST, redirect=redirect)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url=f"http://{HOST}") as client:
        return await client.request(method, "/a%2Fb?c=d", headers={"Host": host})


async def test_canonical_host_is_answered() -> None:
    assert (await ask(HOST, redirect=False)).text == "in"


@pytest.mark.parametrize("host", ["evil.example:8001", "localhost:8001", "127.0.0.1", "127.0.0.1:8000", ""])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_other_hosts_are_misdirected(host: str, method: str) -> None:
    answer = await ask(host, method=method, redirect=False)
    assert answer.status_code == 421
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "misdirected_request"


async def test_page_view_is_redirected_to_the_canonical_host() -> None:
    answer = await ask("localhost:8001", redirect=True)
    assert (answer.status_code, answer.headers["location"]) == (307, f"http://{HOST}/a%2Fb?c=d")


async def test_request_with_an_unsafe_method_is_never_redirected() -> None:
    assert (await ask("localhost:8001", method="POST", redirect=True)).status_code == 421
