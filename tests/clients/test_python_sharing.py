"""The Python client in forked processes, Celery's workers, threads and event loops: no answer reaches another user."""

import asyncio
import copy
import json
import os
import pickle
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
from celery import Celery
from celery.result import AsyncResult

from one_runtime.demo.acme import GLOBEX, INITECH
from one_runtime.settings import Settings
from one_runtime_client import AsyncOneRuntime, ConnectRequired, OneRuntime
from tests.application import ACME_KEYS, RunningAcme
from tests.clients import sharing
from tests.clients.python_callers import served

pytestmark = [pytest.mark.slow, pytest.mark.only_database("sqlite")]  # nothing here depends on the database

ROOT: Final = Path(__file__).resolve().parent.parent.parent
SOURCES: Final = (ROOT / "clients" / "python" / "src", ROOT / "src", ROOT)
TASKS: Final = 32
KEY: Final = "oru_key_0123456789"


@pytest_asyncio.fixture
async def environment(settings: Settings, acme: RunningAcme) -> AsyncIterator[dict[str, str]]:
    """Serve One Runtime with two end users that have different accounts. Yield the variables of a program."""
    accounts = {"ann": GLOBEX, "bob": INITECH}
    async with served(settings, acme, "awaiting") as one_runtime:
        for user, account in accounts.items():
            await one_runtime.connect(user, credentials={"api_key": ACME_KEYS[account]})
        yield {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, SOURCES)),
            "ONE_RUNTIME_URL": one_runtime.url,
            "ONE_RUNTIME_API_KEY": await one_runtime.application.key(one_runtime.organization),
            "TEST_ACCOUNTS": json.dumps(accounts),
        }


@pytest.mark.parametrize(
    "program,answers",
    [
        ("fork", sharing.CHILDREN * sharing.CALLS + 2 * 2),
        ("fork_async", sharing.CHILDREN * sharing.CALLS),
        ("threads", sharing.THREADS * sharing.CALLS // 2),
        ("loops", (3 + sharing.CHILDREN) * sharing.CALLS // 2),
    ],
)
async def test_each_user_of_a_shared_client_receives_its_own_answers(
    environment: dict[str, str], program: str, answers: int
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.clients.sharing", program, env=environment, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )
    output, warned = await process.communicate()
    assert json.loads(output) == {"own": answers}
    assert warned == b""


async def test_copies_of_a_client_share_its_connections_and_no_pickle_contains_the_key() -> None:
    for duplicate in (copy.copy, copy.deepcopy):
        client, awaiting = OneRuntime("http://127.0.0.1:9", KEY), AsyncOneRuntime("http://127.0.0.1:9", KEY)
        for part in (client, client.connections, awaiting, awaiting.proxy):
            with pytest.raises(TypeError, match="cannot be pickled, because the pickle would contain your API key"):
                pickle.dumps(part)
        duplicate(client).close()
        await duplicate(awaiting).close()
        with pytest.raises(RuntimeError, match="The client is closed"):
            client.organization.get()
        with pytest.raises(RuntimeError, match="The client is closed"):
            await awaiting.organization.get()


async def test_tasks_of_celery_share_a_client_of_their_module(environment: dict[str, str], tmp_path: Path) -> None:
    for folder in ("queue", "control", "results"):
        (tmp_path / folder).mkdir()
    environment["TEST_CELERY"] = str(tmp_path)
    transport = {"data_folder_in": tmp_path / "queue", "data_folder_out": tmp_path / "queue"}
    with Celery(broker="filesystem://", backend=f"file://{tmp_path}/results", set_as_current=False) as app:
        app.conf.update(broker_transport_options={**transport, "control_folder": tmp_path / "control"})
        asked = [app.send_task("ask", [sharing.user_of(number)]) for number in range(TASKS)]
        failed = app.send_task("fail")
        command = [
            "-m",
            "celery",
            "-A",
            "tests.clients.celery_worker",
            "worker",
            "-P",
            "prefork",
            "-c",
            "8",
            "-l",
            "error",
        ]
        worker = await asyncio.create_subprocess_exec(sys.executable, *command, env=environment, cwd=ROOT, stdout=PIPE)
        try:
            answers = await asyncio.to_thread(lambda: Counter(map(result_of, asked)))
            assert answers == {"own": TASKS}
            with pytest.raises(ConnectRequired) as refused:  # the JSON of a result holds only the class and `args`
                await asyncio.to_thread(result_of, failed)
        finally:
            worker.terminate()
            await worker.communicate()
    assert (refused.value.code, refused.value.status) == ("connect_required", 409)
    assert refused.value.request_id


def result_of(task: "AsyncResult[Any]") -> Any:
    return task.get(timeout=40, interval=0.05)
