"""The whole OpenAPI document, tested by Schemathesis: all phases, a fixed seed, a real server and a real key."""

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

from tests.application import RunningAcme
from tests.promises.serving import ROOT, Serving, make_key, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


async def test_the_document_keeps_what_it_promises(database_url: str, acme: RunningAcme, tmp_path: Path) -> None:
    key = await make_key(database_url)
    settings = {
        "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}",
        "ONE_RUNTIME_RATE_LIMIT": "0",
        "ONE_RUNTIME_LOG_LEVEL": "info",
    }
    what = Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)
    async with serving(what, tmp_path) as served:
        listed = httpx2.get(f"{served.url}/v1/catalog/integrations?slug=acme&logo=url").json()
        environment = os.environ | {"LOGO_DIGEST": listed["integrations"][0]["logo_url"].split("/")[-2]}
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION)]
        command += ["--no-color", "run", f"{served.url}/openapi.json", "-H", f"Authorization: Bearer {key}"]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert b"Internal Server Error" not in served.log()
