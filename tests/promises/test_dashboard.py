"""P14: the dashboard shows no credential, and a removed member has no access from the next request on."""

from typing import Final

import pytest
from sqlalchemy import delete

from one_runtime.dashboard.application import PAGES
from one_runtime.dashboard.declarations import ORGANIZATION, PUBLIC
from one_runtime.db.schema import memberships
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, PUBLIC_URL, Client
from tests.dashboard.served import fill, sample_paths
from tests.dashboard.team import Team

pytestmark = pytest.mark.promise("P14")

CLIENT_SECRET: Final = "canary-of-an-oauth-client-secret"


async def secrets_of(client: Client) -> list[str]:
    """Create a secret of each kind. Return them."""
    await client.connect()
    oauth_client = {"client_id": "a client", "client_secret": CLIENT_SECRET}
    answer = await client.send("PUT", "/v1/integrations/acme/oauth-client", oauth_client)
    assert answer.status_code == 200, answer.text
    endpoint = {"url": "https://hooks.example.com/", "event_types": ["*"]}
    webhook = (await client.post("/v1/webhook-endpoints", endpoint)).json()
    token = (await client.post("/v1/end-user-tokens", {"end_user_id": "user_123", "name": "Agent"})).json()
    key = (await client.post("/v1/api-keys", {"name": "Backend", "scopes": ["read"]})).json()
    session = await client.session()
    made = [webhook["secret"], token["end_user_token"], key["api_key"], session["session_token"]]
    return [ACME_KEYS[GLOBEX], CLIENT_SECRET, *made]


async def test_no_page_shows_a_credential_or_a_secret(team: Team) -> None:
    await fill(team.application, team.api)
    secrets = await secrets_of(team.api)
    browser = await team.browser("owner")
    paths = await sample_paths(team.api, team.organization_id, str(browser.member_id))
    for spec in PAGES:
        if spec.method == "GET" and spec.access is not PUBLIC:
            answer = await browser.get(paths[spec.name])
            assert answer.status_code in {200, 303}, (spec.name, answer.status_code)
            assert not [secret for secret in secrets if secret in answer.text], spec.name


async def test_removed_member_is_out_at_the_next_request(team: Team) -> None:
    """Each request reads the role from the database, so the removal has the same effect in every process."""
    await fill(team.application, team.api)
    browser = await team.browser("owner")
    paths = await sample_paths(team.api, team.organization_id, str(browser.member_id))
    assert (await browser.get()).status_code == 200
    async with team.application.installation.database.write() as tx:
        await tx.execute(delete(memberships).where(memberships.c.member_id == browser.member_id))
    for spec in PAGES:
        if spec.path.startswith(ORGANIZATION):
            path = paths[spec.name]
            answer = await (browser.get(path) if spec.method == "GET" else browser.post(path))
            assert answer.status_code == 404, spec.name
            assert PUBLIC_URL not in answer.text
