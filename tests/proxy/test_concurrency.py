"""Concurrency limits of proxy calls (P12)."""

import asyncio
import json

from one_runtime.settings import Settings
from tests.application import RunningAcme
from tests.database import ANY_DATABASE
from tests.proxy.relay import OK, Arrived, relaying
from tests.waiting import eventually


@ANY_DATABASE
async def test_calls_of_an_organization_and_of_one_integration_are_limited(
    settings: Settings, acme: RunningAcme
) -> None:
    async with relaying(settings.model_copy(update={"proxy_calls": 4}), acme) as relay:
        free = asyncio.Event()

        async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter, __: Arrived) -> None:
            await free.wait()
            writer.write(OK)
            await writer.drain()

        relay.upstream.handler = wait
        calls = [asyncio.ensure_future(relay.call("GET")) for _ in range(2)]
        await eventually(lambda: len(relay.upstream.arrived) == 2)
        more = await relay.call("GET")
        assert (more.status, more.problem, more.named(b"retry-after")) == (429, "too_many_calls", [b"1"])
        assert "limit of 2 calls in progress to one integration, raw" in json.loads(more.body)["detail"]
        calls += [asyncio.ensure_future(relay.call("GET", slug="known")) for _ in range(2)]
        await eventually(lambda: len(relay.upstream.arrived) == 4)
        of_all = await relay.call("GET", slug="in-query")
        assert (of_all.status, of_all.problem) == (429, "too_many_calls")
        assert "limit of 4 calls in progress" in json.loads(of_all.body)["detail"]
        free.set()
        assert [answer.status for answer in await asyncio.gather(*calls)] == [200] * 4
        assert (await relay.call("GET")).status == 200
