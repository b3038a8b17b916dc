"""The whole OpenAPI document, tested by Schemathesis with a fixed seed, a real server and a real key.

`make test` sends boundary values of the coverage phase to PostgreSQL, which refuses more of them than SQLite: for each
operation, a third of the values of each kind. To SQLite, it sends few random requests per operation. `make soak` runs
every phase with many requests and all boundary values on both databases.
"""

import asyncio
import os
import sys
from pathlib import Path

import httpx2
import pytest

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, ORIGIN, RunningAcme
from tests.fork_server import ROOT
from tests.promises.serving import Served, Serving, make_key, serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
ALL_PHASES = "examples,coverage,fuzzing,stateful"
PHASES = {"sqlite": "examples,fuzzing,stateful", "postgresql": "coverage"}


def known(served: Served, key: str) -> dict[str, str]:
    """Create the rows that operations address by an id, and return the ids."""
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=served.url, headers=headers) as http:
        listed = http.get("/v1/catalog/integrations?slug=acme&logo=url").json()
        body = {"end_user_id": "known", "integration_slug": "acme"}
        session = http.post("/v1/hosted-connection-sessions", json=body).json()
        key_of_acme = {"auth_type": "api_key", "credentials": {"api_key": ACME_KEYS[GLOBEX]}}
        connection = http.post("/v1/connections", json=body | key_of_acme).json()
        own_key = http.get("/v1/me").json()
    digest = listed["integrations"][0]["logo_url"].split("/")[-2]
    ids = {"SESSION_ID": session["id"], "CONNECTION_ID": connection["id"], "OWN_KEY_ID": own_key["id"]}
    return {"LOGO_DIGEST": digest, **ids}


async def test_every_operation_conforms_to_the_openapi_document(
    database_url: str, database_kind: str, acme: RunningAcme, tmp_path: Path
) -> None:
    await conform(database_url, acme, tmp_path, PHASES[database_kind], examples=2, each=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_operation_conforms_with_many_generated_requests(
    database_url: str, acme: RunningAcme, tmp_path: Path
) -> None:
    await conform(database_url, acme, tmp_path, ALL_PHASES, examples=40, each=1)


async def conform(database_url: str, acme: RunningAcme, tmp_path: Path, phases: str, examples: int, each: int) -> None:
    """Run Schemathesis against a server, with this number of generated requests per operation and phase.

    `each`: Schemathesis sends each n-th boundary value of a kind.
    """
    key = await make_key(database_url)
    settings = {
        "ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}",
        "ONE_RUNTIME_RATE_LIMIT": "0",
        "ONE_RUNTIME_LOG_LEVEL": "info",
    }
    what = Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)
    async with serving(what, tmp_path) as served:
        values = {"ACME_KEY": ACME_KEYS[GLOBEX], "CUSTOMER_ORIGIN": ORIGIN, "EACH_BOUNDARY_VALUE": str(each)}
        environment = os.environ | values | await asyncio.to_thread(known, served, key)
        command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIGURATION)]
        command += ["--no-color", "run", f"{served.url}/openapi.json", "-H", f"Authorization: Bearer {key}"]
        command += ["--phases", phases, "--max-examples", str(examples)]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        assert httpx2.get(f"{served.url}/v1/me", headers={"Authorization": f"Bearer {key}"}).status_code == 200
        assert b"Internal Server Error" not in served.log()
