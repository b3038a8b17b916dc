"""Readiness: a server that lacks the active key gets no requests, because it could store no credential."""

import pytest
from structlog.testing import capture_logs

from one_runtime.jobs import instances
from one_runtime.serving.periodic_tasks import heartbeat_task
from tests.application import Application
from tests.missing_key import activate_first, activate_last, add_key


@pytest.mark.promise("P8")
async def test_a_server_without_the_active_key_is_not_ready(application: Application) -> None:
    client, installation = application.client(), application.installation
    _, both = add_key(installation)
    assert (await client.get("/readyz")).status_code == 200
    missing = await activate_last(installation, both)
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "key_not_in_ring")
    assert missing in answer.json()["detail"]
    assert (await client.get("/healthz")).status_code == 200
    await activate_first(installation, both)
    assert (await client.get("/readyz")).status_code == 200


async def test_the_log_says_once_that_the_active_key_is_missing_and_that_it_is_back(application: Application) -> None:
    installation = application.installation
    _, both = add_key(installation)
    beat = heartbeat_task(instances.this_process(installation.vault.key_ids, application.clock())).work
    with capture_logs() as lines:
        await beat(installation)
        missing = await activate_last(installation, both)
        await beat(installation)
        await beat(installation)
        await activate_first(installation, both)
        await beat(installation)
        await beat(installation)
    about_keys = [line for line in lines if line["event"].startswith("active_key")]
    assert [line["event"] for line in about_keys] == ["active_key_missing", "active_key_found"]
    assert missing in about_keys[0]["detail"]
