"""Agents that are programs of their own, and the person in a browser who connects the missing account.

Such a program prints one JSON object on each line: `tools` (names), a link, and at its end `answer`, the answer of
`call_read` for Acme's `/v1/me`. The key of the link is `elicitation` if the client asked its user to open the link, and
`text` if the link is in the answer of the tool. After the link, the program waits for a line on its standard input.
"""

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from one_runtime.mcp.tools import TOOLS
from tests.foreign.agent_server import KEY, AgentServer


async def connect(page: Page, url: str) -> None:
    """Open the link of an agent as a person, confirm it, and connect Acme with a key."""
    await page.goto(url)
    await page.get_by_role("button", name="I expected this, go on").click()
    field = page.get_by_label("API key", exact=True)
    await field.fill(KEY)
    await field.press("Enter")
    await expect(page.get_by_text("You can close this window.")).to_be_visible()


async def converse(
    command: Sequence[str | Path], server: AgentServer, page: Page, user: str, link: str = "text", **variables: str
) -> dict[str, Any]:
    """Run a program for an end user. Return its `answer`.

    Fail if the program does not list all tools, or does not show exactly one link. `link`: the key of the link.
    """
    environment = {"PATH": os.environ["PATH"], "MCP_URL": server.mcp_url, "MCP_TOKEN": await server.token(user)}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=environment | variables,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: dict[str, Any] = {}
    try:
        for key in ("tools", link, "answer"):
            line = await process.stdout.readline()
            said = json.loads(line) if line else {}
            assert list(said) == [key], f"{said}\n{(await process.communicate())[1].decode() if not line else ''}"
            if key == "tools":
                assert said["tools"] == [tool.name for tool in TOOLS]
            elif key == link:
                await connect(page, said[link])
                process.stdin.write(b"connected\n")
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    answer: dict[str, Any] = said["answer"]
    return answer
