"""PyPI's localstripe as a foreign process: `python -m tests.foreign.localstripe_server`.

Its own command listens on every network, and stores its data in one file for all processes.
"""

import asyncio
import json
import sys

from aiohttp import web
from localstripe import resources, server


async def main() -> None:
    resources.Store.dump_to_disk = lambda _: None
    runner = web.AppRunner(server.app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    print(json.dumps({"url": f"http://127.0.0.1:{port}"}), flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
