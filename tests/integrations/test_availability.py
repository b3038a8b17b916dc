"""The integrations that end users can connect: each place of the product gives the same answer."""

import pytest

from tests import disabling
from tests.application import Application, Client

SLUGS = ("acme", "basecamp", "notion")
"""`basecamp` has only OAuth, and no client is registered."""


@pytest.mark.worker
@pytest.mark.parametrize(
    "mode, slugs, enabled",
    [("all", (), SLUGS), ("listed", ("acme", "basecamp"), ("acme", "basecamp")), ("all_but", ("acme",), SLUGS[1:])],
)
async def test_list_popup_and_new_session_agree(
    application: Application, client: Client, mode: str, slugs: tuple[str, ...], enabled: tuple[str, ...]
) -> None:
    integrations = {"mode": mode, "slugs": list(slugs)}
    assert (await client.send("PATCH", "/v1/organization", {"integrations": integrations})).status_code == 200
    await disabling.disable(application.installation, "notion", None)
    expected = {slug for slug in enabled if slug == "acme"}
    assert (await client.integrations()).keys() & {*SLUGS} == expected
    token = (await client.session(integration_slug=None))["session_token"]
    options = (await client.popup("", token)).json()["integrations"]
    assert {option["slug"] for option in options} & {*SLUGS} == expected
    unavailable = (await client.integrations(include="unavailable")).values()
    codes = {each["slug"]: (each.get("unavailable") or {}).get("code") for each in unavailable if each["slug"] in SLUGS}
    assert codes["notion"] == "disabled_by_operator"
    for slug, code in codes.items():
        body = {"integration_slug": slug, "end_user_id": "user_123"}
        answer = await client.post("/v1/hosted-connection-sessions", body)
        assert (answer.status_code == 200) == (code is None), (slug, answer.text)
        if code is not None:
            assert (answer.json()["code"] == "integration_disabled") == (code == "disabled_by_operator"), slug
