"""Third-party tools read the OpenAPI document: two linters find nothing, and generated clients call a real server."""

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest
from pydantic import SecretStr

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.encryption.vault import new_key
from one_runtime.serving.application import create_app
from one_runtime.settings import Settings
from tests.application import ACME_KEYS, RunningAcme
from tests.foreign.process import NODE, ROOT
from tests.promises.serving import Serving, make_key, serving

pytestmark = [pytest.mark.foreign, pytest.mark.slow, pytest.mark.only_database("sqlite"), pytest.mark.timeout(300)]

TOOLS: Final = Path(__file__).parent / "openapi"
PYTHON_GENERATOR: Final = ROOT / ".cache" / "openapi-python-client" / "bin"
INSTALL: Final = "run: python scripts/bootstrap.py --dev --foreign"
EXPECTED: Final = {
    "session": "orcs_",
    "imported": [201, 200, True],
    "error": ["invalid_input", "end_user_id must not be blank."],
    "status": [["acme", "connected"]],
}
"""The results of `use.ts` and `use.py`, without `pages`."""


async def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a program. Return its output. Fail if the program fails."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        cwd=folder,
        env={**os.environ, "PATH": f"{NODE.parent}:{os.environ['PATH']}", "REDOCLY_TELEMETRY": "off", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, f"{command}\n{output.decode()}\n{errors.decode()}"
    return output.decode() + errors.decode()


def tool(name: str) -> Path:
    """Return the path of an npm program."""
    path = TOOLS / "node_modules" / ".bin" / name
    assert path.exists(), INSTALL
    return path


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """Write the OpenAPI document into an empty folder. Return its path."""
    path = tmp_path / "openapi.json"
    app = create_app(Settings(encryption_keys=SecretStr(new_key()))).app
    path.write_text(json.dumps(app.openapi()), "utf-8")
    return path


async def test_spectral_finds_nothing(document: Path) -> None:
    (document.parent / ".spectral.yaml").write_text('extends: ["spectral:oas"]\n')
    output = await run(tool("spectral"), "lint", document, "--fail-severity=hint", folder=document.parent)
    assert "No results" in output


async def test_redocly_finds_nothing(document: Path) -> None:
    (document.parent / "redocly.yaml").write_text("extends: [recommended]\n")
    output = await run(tool("redocly"), "lint", document, "--format=json", folder=document.parent)
    found: dict[str, Any] = json.loads(output[output.index("{") : output.rindex("}") + 1])
    assert (found["totals"], found["problems"]) == ({"errors": 0, "warnings": 0, "ignored": 0}, [])


async def use(command: list[str | Path], folder: Path, database_url: str, acme: RunningAcme) -> None:
    """Run a program that uses a generated client, against a real server."""
    key = await make_key(database_url)
    settings = {"ONE_RUNTIME_EGRESS_ALLOW": f"127.0.0.1:{acme.port}"}
    what = Serving(database_url, ("tests.promises.served_with_acme", acme.url), settings=settings)
    keys = {"FIRST_KEY": ACME_KEYS[GLOBEX], "SECOND_KEY": ACME_KEYS[INITECH]}
    async with serving(what, folder) as served:
        result: dict[str, Any] = json.loads(
            await run(*command, folder=folder, BASE_URL=served.url, API_KEY=key, **keys)
        )
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=served.url, headers=headers) as client:
            listed = (await client.get("/v1/connections")).json()["connections"]
    assert result.pop("pages") == [[connection["id"]] for connection in listed]
    assert len(listed) == 2
    assert result == EXPECTED


@pytest.mark.soak
async def test_clients_of_openapi_typescript_and_hey_api_work(
    document: Path, database_url: str, acme: RunningAcme
) -> None:
    folder = document.parent
    await run(tool("openapi-typescript"), document, "-o", "types.ts", folder=folder)
    await run(tool("openapi-ts"), "-i", document, "-o", folder / "hey", "-c", "@hey-api/client-fetch", folder=folder)
    for name in ("use.ts", "tsconfig.json"):
        shutil.copy(TOOLS / name, folder)
    await run(tool("tsc"), "-p", "tsconfig.json", folder=folder)
    await use([NODE, folder / "js" / "use.js"], folder, database_url, acme)


@pytest.mark.soak
async def test_client_of_openapi_python_client_works(document: Path, database_url: str, acme: RunningAcme) -> None:
    folder, generated = document.parent, document.parent / "generated"
    assert PYTHON_GENERATOR.exists(), INSTALL
    path = f"{PYTHON_GENERATOR}:{os.environ['PATH']}"
    generator = PYTHON_GENERATOR / "openapi-python-client"
    await run(generator, "generate", "--path", document, "--output-path", generated, folder=folder, PATH=path)
    await use([PYTHON_GENERATOR / "python", TOOLS / "use.py", generated], folder, database_url, acme)
