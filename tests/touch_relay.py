"""A program that runs Firefox, and turns the mouse of WebDriver BiDi into a finger.

Playwright's `tap` sends no command over WebDriver BiDi, although Firefox supports touch pointers. So Playwright starts
this program instead of Firefox, and clicks. The program forwards all messages in both directions. In commands, it
changes the type of each pointer to `touch`. Firefox then sends touch events, and a click after each tap.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

import aiohttp
from aiohttp import web

_ANNOUNCEMENT: Final = b"WebDriver BiDi listening on "


def write_launcher(folder: Path, firefox: str) -> Path:
    """Write a script that Playwright can start instead of Firefox, and return the path of the script."""
    launcher = folder / "firefox-with-touch"
    launcher.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{firefox}" "$@"\n', "utf-8")
    launcher.chmod(0o755)
    return launcher


def _with_touch(text: str) -> str:
    message = json.loads(text)
    if message["method"] == "input.performActions":
        for source in message["params"]["actions"]:
            if source["type"] == "pointer":
                source["parameters"] = {"pointerType": "touch"}
    return json.dumps(message)


async def _relay(request: web.Request) -> web.WebSocketResponse:
    playwright = web.WebSocketResponse(max_msg_size=0)
    await playwright.prepare(request)
    async with aiohttp.ClientSession() as http, http.ws_connect(request.app[_FIREFOX], max_msg_size=0) as firefox:

        async def send_commands() -> None:
            async for message in playwright:
                await firefox.send_str(_with_touch(message.data))

        async def send_results() -> None:
            async for message in firefox:
                await playwright.send_str(message.data)

        tasks = [asyncio.ensure_future(send_commands()), asyncio.ensure_future(send_results())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return playwright


_FIREFOX: Final = web.AppKey("firefox", str)


async def _listen(firefox: str) -> str:
    """Listen for Playwright, and return the address. `firefox`: the address at which Firefox listens."""
    app = web.Application()
    app[_FIREFOX] = f"{firefox}/session"
    app.router.add_get("/session", _relay)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"ws://{host}:{port}"


async def _main(command: list[str]) -> int:
    firefox = await asyncio.create_subprocess_exec(*command, stderr=PIPE)
    assert firefox.stderr is not None
    async for line in firefox.stderr:
        words = line
        if line.startswith(_ANNOUNCEMENT):
            words = _ANNOUNCEMENT + (await _listen(line.removeprefix(_ANNOUNCEMENT).decode().strip())).encode() + b"\n"
        os.write(sys.stderr.fileno(), words)
    return await firefox.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1:])))
