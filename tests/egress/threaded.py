"""An upstream in its own thread, for commands, which run their own event loop."""

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.egress.upstream import ReceivedRequest, running_upstream


@contextmanager
def threaded_upstream(tls: ssl.SSLContext, respond: Callable[[ReceivedRequest], bytes]) -> Iterator[int]:
    """Run a server that answers each request with `respond`. Yield its port."""
    loop, ready, over = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    ports: list[int] = []

    async def serve() -> None:
        async with running_upstream(tls) as upstream:

            async def reply(writer: asyncio.StreamWriter) -> None:
                writer.write(respond(upstream.requests[-1]))
                await writer.drain()

            upstream.anything = reply
            ports.append(upstream.port)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),), daemon=True)
    thread.start()
    ready.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()
