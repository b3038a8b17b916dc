"""The official conformance checks of the Model Context Protocol, against a real server of One Runtime.

`mcp/expected-failures.yaml` lists the checks that the server does not pass, with reasons. If a check of this list
passes, the test fails too.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from one_runtime.agents.authorization.resources import PATH
from tests.database import ANY_DATABASE
from tests.foreign.agent_server import agent_server
from tests.foreign.process import NODE

pytestmark = [pytest.mark.foreign, ANY_DATABASE, pytest.mark.timeout(180)]

MCP: Final = Path(__file__).parent / "mcp"
RUNNER: Final = MCP / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
EXPECTED: Final = MCP / "expected-failures.yaml"


class WithToken:
    """A middleware that adds a token to requests of agents, because the runner cannot send a header of its own."""

    token = ""

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the application with this middleware."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self.token and scope["type"] == "http" and scope["path"] == PATH:
                scope = {**scope, "headers": [*scope["headers"], (b"authorization", f"Bearer {self.token}".encode())]}
            await app(scope, receive, send)

        return answer


async def check(url: str, folder: Path, *options: str) -> tuple[int, str]:
    """Run the checks. Return the exit code and the output."""
    process = await asyncio.create_subprocess_exec(
        NODE, RUNNER, "server", "--url", url, "--output-dir", folder, *options,
        cwd=folder, env={"PATH": os.environ["PATH"], "NO_COLOR": "1"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@pytest.mark.parametrize("version", ["2026-07-28", "2025-11-25"])
async def test_server_passes_all_checks_except_the_listed_ones(
    migrated_sqlite_url: str, tmp_path: Path, version: str
) -> None:
    middleware = WithToken()
    async with agent_server(migrated_sqlite_url, middleware.around) as server:
        middleware.token = await server.token("user_123")
        options = ("--suite", "all", "--spec-version", version, "--expected-failures", str(EXPECTED))
        code, output = await check(server.mcp_url, tmp_path, *options)
    assert code == 0, output
    assert "✓ tools-list" in output, "the runner knows no check of this version"
