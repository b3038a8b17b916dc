"""A provider that repeats the credential in its own spelling: no tool and no program returns it."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import pytest_asyncio

from one_runtime.egress.limits import Limits
from tests.egress.upstream import answer
from tests.mcp.conftest import Agent, Agents
from tests.promises.hostile import JSON, Hostile, accepted, running_hostile

pytestmark = [pytest.mark.slow, pytest.mark.promise("P11", "P13")]

KEY: Final = "acme_9b2vhy2gtmzyw_lwtlesw0mtiz_ndu2nzg5qujd"
SPELLINGS: Final = {
    "upper case": KEY.upper(),
    "JSON": KEY.replace("_", "\\u005f"),
    "JSON in JSON": KEY.replace("_", "\\\\u005F"),
    "every character": "".join(f"\\u{ord(each):04x}" for each in KEY),
    "URL": "".join(f"%{ord(each):02X}" for each in KEY),
    "HTML": KEY.replace("_", "&lowbar;").replace("9", "&#57;"),
    "HTML in JSON of Go": KEY.replace("_", "\\u0026#95;"),
    "base64": b64encode(KEY.encode()).decode().rstrip("=").replace("Y", "\\u0059"),
}
CALL: Final = "from one_runtime import call\n"


@pytest_asyncio.fixture
async def hostile(database_url: str) -> AsyncIterator[Hostile]:
    async with running_hostile(database_url, limits=Limits()) as hostile:
        hostile.answers(accepted())
        await hostile.client.connect("user_123", KEY)
        yield hostile


def repeat(hostile: Hostile, spelling: str, filler: str = "") -> None:
    """Let the provider repeat the key in each place of its response. `filler`: makes the response longer."""
    body = f'{{"{spelling}": "key", "nested": [{{"text": "a {spelling} b"}}], "filler": "{filler}"}}'
    headers = [
        *JSON,
        ("Location", f"https://a.example/?key={KEY.replace('_', '%5f')}"),
        ("ETag", f'"{KEY}"'),
        (f"X-RateLimit-{KEY}", "1"),
    ]
    hostile.provider.anything = answer(200, headers, body.encode())


def texts_of(value: Any) -> Iterator[str]:
    """Yield all texts and keys of a JSON value, and those of the JSON in its texts."""
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from texts_of(each)
    if isinstance(value, str):
        yield value
        if value[:1] in {"{", "["}:
            yield from texts_of(json.loads(value))


async def answers_of_every_way(agent: Agent) -> list[Any]:
    """Call the provider in every way that an agent has. Return the data of the answers."""
    answers = [
        await agent.call("call_read", integration="acme", path="/v1/echo"),
        await agent.call("call_read", integration="acme", path="/v1/echo", max_bytes=256),
        await agent.call("call_read", name="acme.contacts_list", arguments={}),
        await agent.call("call_write", integration="acme", path="/v1/echo", method="POST", body={}),
        await agent.call("call_write", name="acme.contact_create", arguments={"name": "Ada"}),
        await agent.call("run_python", code=f"{CALL}r = await call('acme', 'GET', '/v1/echo')\n[r.data, r.headers]"),
        await agent.call("run_python", code="import acme\nawait acme.contacts_list()"),
        await agent.call(
            "run_python", code=f"{CALL}k, *_ = (await call('acme', 'GET', '/v1/echo')).data\n[k[:5], k.upper(), len(k)]"
        ),
    ]
    assert not any(answer.is_error for answer in answers), [answer.text for answer in answers if answer.is_error]
    return [text for answer in answers for text in (answer.data, json.loads(answer.data.get("result") or "null"))]


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
async def test_no_way_to_call_a_provider_returns_the_key(hostile: Hostile, spelling: str) -> None:
    repeat(hostile, spelling)
    async with Agents(hostile.application, hostile.client).connect() as agent:
        data = await answers_of_every_way(agent)
    texts = list(texts_of(data))
    assert data[0]["data"] == {"…": "key", "nested": [{"text": "a … b"}], "filler": ""}
    assert data[0]["headers"]["etag"] == '"…"'
    assert ["…", "…", 1] in data  # what a program computes from the key
    shown = "\n".join(texts).lower()
    for part in (KEY, KEY[:20], spelling):
        assert part.lower() not in shown


async def test_key_is_masked_in_a_large_response(hostile: Hostile) -> None:
    repeat(hostile, SPELLINGS["JSON"], filler="\\u003d" * 300_000)
    async with Agents(hostile.application, hostile.client).connect() as agent:
        read, listed = await asyncio.gather(
            agent.call("call_read", integration="acme", path="/v1/echo", fields=["nested"]),
            agent.call("run_python", code=f"{CALL}r = await call('acme', 'GET', '/v1/echo')\n[*r.data][0]"),
        )
    assert read.data["data"] == {"nested": [{"text": "a … b"}]}
    assert listed.data["result"] == "…"
