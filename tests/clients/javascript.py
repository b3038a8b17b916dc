"""Runs the JavaScript client's tests in Node, and provides the provider that echoes their calls."""

import asyncio
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.foreign.process import NODE
from tests.proxy.relay import Arrived, read_body

PACKAGE: Final = Path(__file__).resolve().parents[2] / "clients" / "js"
TESTS: Final = sorted(path.name.removesuffix(".test.mjs") for path in (PACKAGE / "test").glob("*.test.mjs"))
_SECONDS: Final = 50
_STATUS: Final = re.compile(rb" /api/status/(\d{3}) ")


async def run_tests(name: str, variables: Mapping[str, str]) -> None:
    """Run one file of tests. Fails with Node's output if a test failed or none ran."""
    command = (str(NODE), "--test", "--test-reporter=spec", f"test/{name}.test.mjs")
    environment = {"PATH": os.environ.get("PATH", ""), **variables}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=PACKAGE, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
    text = output.decode()
    if process.returncode != 0 or re.search(r"pass [1-9]", text) is None:
        pytest.fail(text, pytrace=False)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, arrived: Arrived) -> None:
    """Answer as a provider: with the request, and with the status in its path; `/silent` never answers."""
    body = await read_body(reader, arrived)
    if b" /api/silent " in arrived.line:
        await reader.read()  # until the caller goes away
        return
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in arrived.headers}
    content = json.dumps({"line": arrived.line.decode(), "headers": headers, "body": body.decode()}).encode()
    requested = _STATUS.search(arrived.line)
    status = requested[1] if requested else b"200"
    more = b"Location: https://elsewhere.example/\r\nRetry-After: 0\r\nConnection: close\r\n"
    head = b"HTTP/1.1 %s Told\r\nContent-Type: application/json\r\nContent-Length: %d\r\n" % (status, len(content))
    writer.write(head + more + b"\r\n" + (b"" if arrived.line.startswith(b"HEAD ") else content))
    await writer.drain()
