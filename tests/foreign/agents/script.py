"""A conversation with an agent whose language model is a script.

The model calls `call_read`, and then answers with the text of the tool. `tests/foreign/agent_programs.py` describes the
messages that the programs print.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

TOOL: Final = "call_read"
ARGUMENTS: Final = {"integration": "acme", "path": "/v1/me"}
QUESTION: Final = "What is the plan of my Acme account?"

_printed: set[str] = set()


def show(**message: Any) -> None:
    """Print a message. The list of tools is printed once."""
    if message.keys().isdisjoint(_printed):
        print(json.dumps(message), flush=True)  # noqa: T201
    _printed.update(message.keys() & {"tools"})


async def show_link(**message: str) -> None:
    """Print a link, and wait until the person has opened it and has connected the account."""
    show(**message)
    await asyncio.to_thread(input)


async def converse(answer: Callable[[str, str, str], Awaitable[str]]) -> None:
    """Ask a question, show the link of the answer to the person, and ask again. `answer`: a function of a snippet."""
    target = os.environ["MCP_URL"], os.environ["MCP_TOKEN"]
    text = await answer(QUESTION, *target)
    link = re.search(r"https?://[^\s\"'\\]+", text)
    assert link is not None, text
    await show_link(text=link[0])
    show(answer=json.loads(await answer(QUESTION, *target)))
