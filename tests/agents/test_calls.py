"""P13: the calls of an agent end with its token or its API key, also in a program that runs already."""

from typing import Any, Final, Literal

import pytest

from one_runtime.agents.caller import AgentCaller
from one_runtime.agents.calls import AgentCall, AgentCalls
from one_runtime.agents.response_reading import Reading
from one_runtime.db.ids import new_id
from one_runtime.errors import Unauthenticated
from one_runtime.tenancy.agent_policy import UNLIMITED
from one_runtime.tenancy.events import Actor
from tests.application import Application, Client

pytestmark = pytest.mark.promise("P13")

BODIES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "end_user_token": ("/v1/end-user-tokens", {"end_user_id": "user_123"}),
    "api_key": ("/v1/api-keys", {"name": "of an agent", "scopes": ["use"]}),
}


@pytest.mark.parametrize("kind", ["end_user_token", "api_key"])
async def test_program_makes_no_call_after_its_token_or_key_is_revoked(
    application: Application, client: Client, kind: Literal["end_user_token", "api_key"]
) -> None:
    await client.connect()
    path, body = BODIES[kind]
    created = (await client.post(path, body)).json()
    organization_id = (await client.get("/v1/organization")).json()["id"]
    caller = AgentCaller(organization_id, "user_123", Actor(organization_id, kind, created["id"]), UNLIMITED)
    calls = AgentCalls(application.installation, application.app.services.proxy_calls)
    requested, request_id, run_id = AgentCall("acme", "GET", "/v1/me"), new_id(), new_id()
    assert (await calls.call(caller, requested, Reading.whole(), request_id=request_id, run_id=run_id)).status == 200
    assert (await client.send("DELETE", f"{path}/{created['id']}")).status_code == 200
    with pytest.raises(Unauthenticated, match="revoked"):
        await calls.call(caller, requested, Reading.whole(), request_id=request_id, run_id=run_id)
