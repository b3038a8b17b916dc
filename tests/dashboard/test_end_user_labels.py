"""Lists show the name or the e-mail address of an end user before the identifier."""

import re
from html import unescape

import pytest

from one_runtime.dashboard.end_user_paths import path_part
from tests.dashboard.team import Team

ID = "user/7"


@pytest.mark.parametrize(
    "name,email,first", [("Ada", "ada@x.example", "Ada"), (None, "ada@x.example", "ada@x.example"), (None, None, ID)]
)
async def test_every_list_names_the_end_user_first_and_then_shows_the_identifier(
    team: Team, name: str | None, email: str | None, first: str
) -> None:
    known = {"end_user_name": name, "end_user_email": email}
    await team.api.session(ID, **{key: value for key, value in known.items() if value})
    connection = await team.api.connect(ID)
    await team.api.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-connection": connection["id"]})
    await team.api.post("/v1/end-user-tokens", {"end_user_id": ID, "access": "read"})
    await team.application.app.services.request_log.flush()
    call = (await team.api.get("/v1/proxy-requests")).json()["proxy_requests"][0]
    browser = await team.browser("developer")
    second = "" if first == ID else f'<div class="soft">{ID}</div>'
    link = f'<a href="/o/{team.organization_id}/end-users/{path_part(ID)}">{first}</a>{second}'
    paths = ("requests", f"requests/{call['id']}", "connections", f"connections/{connection['id']}", "agents")
    for path in paths:
        assert link in unescape((await browser.get(path)).text), path
    audit = unescape((await browser.get("audit")).text)
    assert ID not in re.sub(r'href="[^"]*"|<span class="soft">[^<]*', "", audit) or first == ID
    assert re.search(rf'<p>End user <a href="[^"]*end_user=user%2F7">{first}</a>', audit)


async def test_deleted_end_user_of_a_call_has_no_label(team: Team) -> None:
    connection = await team.api.connect("user_1")
    await team.api.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-connection": connection["id"]})
    await team.application.app.services.request_log.flush()
    await team.api.send("DELETE", "/v1/end-users/user_1")
    page = await (await team.browser("support")).get("requests")
    assert '<td data-label="End user">deleted</td>' in page.text
