"""A Celery application whose tasks share one client. The parent of the worker's processes uses the client first."""

import os

from celery import Celery
from celery.signals import worker_init

from one_runtime_client import OneRuntime
from tests.clients.sharing import ACCOUNTS, own_account

FOLDER = os.environ["TEST_CELERY"]

app = Celery("tests", broker="filesystem://", backend=f"file://{FOLDER}/results")
app.conf.update(
    broker_transport_options={
        "data_folder_in": f"{FOLDER}/queue",
        "data_folder_out": f"{FOLDER}/queue",
        "control_folder": f"{FOLDER}/control",
        "polling_interval": 0.02,
    },
    worker_prefetch_multiplier=1,
)
client = OneRuntime()


@worker_init.connect  # type: ignore[untyped-decorator] # Celery has no types
def use_client(**_: object) -> None:
    for user in ACCOUNTS:
        assert own_account(client, user) == "own"


@app.task(name="ask")  # type: ignore[untyped-decorator] # Celery has no types
def ask(user: str) -> str:
    return own_account(client, user)


@app.task(name="fail")  # type: ignore[untyped-decorator] # Celery has no types
def fail() -> None:
    client.proxy.get("acme", "/v1/me", end_user_id="nobody")
