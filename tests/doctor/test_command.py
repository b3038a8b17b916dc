"""The command `one-runtime doctor`: text or JSON, an exit code, no secret."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from one_runtime.doctor import CHECKS
from one_runtime.encryption.vault import new_key
from tests.command_line import Run
from tests.fork_server import run
from tests.ports import free_port
from tests.promises.canaries import leaks
from tests.promises.serving import Serving, make_key, serving

pytestmark = pytest.mark.slow


def doctor(environment: dict[str, str], *words: str) -> "subprocess.CompletedProcess[str]":
    environment = environment | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    command = [sys.executable, "-m", "one_runtime", "doctor", *words]
    return run(command, environment, seconds=40)


async def test_healthy_server_exits_with_0(database_url: str, tmp_path: Path) -> None:
    await make_key(database_url)
    async with serving(Serving(database_url), tmp_path) as served:
        result = await asyncio.to_thread(doctor, served.environment)
        rows = json.loads((await asyncio.to_thread(doctor, served.environment, "--json")).stdout)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout
    lines = [line.partition(":")[0].split(maxsplit=1) for line in result.stdout.splitlines()]
    assert ["ok", "public URL"] in lines
    assert [[row["verdict"], row["check"]] for row in rows] == lines
    assert {row["check"] for row in rows} <= set(CHECKS)
    assert all(set(row) == {"check", "verdict", "saw", "advice"} for row in rows)


def test_problem_exits_with_1_and_advice(bare: Run, database_url: str) -> None:
    public_url = f"http://127.0.0.1:{free_port()}"
    result = bare("doctor", DATABASE_URL=database_url, ENCRYPTION_KEYS=new_key(), PUBLIC_URL=public_url)
    assert result.code == 1
    (line,) = [line for line in result.out.splitlines() if line.startswith("problem")]
    assert line.startswith("problem  public URL: ")
    assert " → Is the server running?" in line
    assert "\x1b" not in result.out, "no colours outside of a terminal"


def test_invalid_settings_are_a_finding(bare: Run) -> None:
    result = bare("doctor", PUBLIC_URL="http://connect.example.com")
    assert (result.code, result.err) == (1, "")
    assert result.out.startswith("problem  settings: ONE_RUNTIME_PUBLIC_URL must be https")


@pytest.mark.promise("P11")
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_no_finding_prints_a_secret(words: tuple[str, ...], bare: Run) -> None:
    ring, password = new_key(), "canary0password1of2a3database"
    public_url = f"http://127.0.0.1:{free_port()}"
    for url in (
        f"postgresql://one:{password}@127.0.0.1:1/one",
        f"postgresql://one:{password}/x@y/one",
        f"x://{password}",
    ):
        result = bare("doctor", *words, DATABASE_URL=url, ENCRYPTION_KEYS=ring, PUBLIC_URL=public_url)
        assert result.code == 1
        assert "Traceback" not in result.err, result.err
        assert leaks({"ring": ring, "password": password}, {"output": (result.out + result.err).encode()}) == []
