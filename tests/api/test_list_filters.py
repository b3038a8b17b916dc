"""Filters of lists: several values of one filter, times, and wrong values."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import pytest

from one_runtime.clock import rfc3339
from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS, Application, Client

pytestmark = pytest.mark.slow

ADA, GRACE, ALAN = "ada", "grace", "alan"
UNKNOWN_ID: Final = "01a21077-a507-76f0-a326-42b1c2b20688"
WRONG: Final[Mapping[str, tuple[Mapping[str, Any], ...]]] = {
    "/v1/connections": ({"status": ["active", "broken"]}, {"end_user_id": " "}, {"integration_slug": "x" * 101}),
    "/v1/events": ({"type": ["connection.created", "junk"]}, {"actor_type": "robot"}, {"connection_id": "x"}),
    "/v1/proxy-requests": ({"http_status": [200, 600]}, {"api_key_id": "x"}, {"connection_id": [UNKNOWN_ID, "x"]}),
    "/v1/hosted-connection-sessions": ({"status": ["pending", "open"]}, {"integration_slug": "x" * 101}),
    "/v1/end-users": ({"end_user_id": ""}, {"email": "x" * 256}),
}
ONCE: Final = ("since", "until", "limit", "cursor")


async def ids(client: Client, path: str, field: str, **filters: Any) -> list[str]:
    """Return a field of each item of a list."""
    answer = await client.get(path, **filters)
    assert answer.status_code == 200, answer.text
    (items,) = [value for value in answer.json().values() if isinstance(value, list)]
    return [item[field] for item in items]


async def test_filters_accept_several_values_and_times(application: Application, client: Client) -> None:
    broken = await client.connect(ADA)
    application.acme.acme.revoke(ACME_KEYS[GLOBEX])
    assert (await client.http.post(f"/v1/connections/{broken['id']}/check")).json()["outcome"] == "refused"
    for user in (GRACE, ALAN):
        await client.connect(user, check=False)
        await client.session(user, end_user_email=f"{user}@example.com")
    for path, field, cases in (
        (
            "/v1/connections",
            "end_user_id",
            (
                ({"end_user_id": [ADA, ALAN]}, [ALAN, ADA]),
                ({"status": ["active", "needs_reauth"]}, [ALAN, GRACE, ADA]),
                ({"status": "needs_reauth"}, [ADA]),
                ({"status": "active", "end_user_id": [ADA, GRACE]}, [GRACE]),
                ({"integration_slug": ["hubspot", "ACME"]}, [ALAN, GRACE, ADA]),
                ({"integration_slug": ["hubspot", "slack"]}, []),
            ),
        ),
        (
            "/v1/events",
            "type",
            (
                ({"type": ["connection.needs_reauth", "connection.deleted"]}, ["connection.needs_reauth"]),
                ({"end_user_id": [ADA, "nobody"]}, ["connection.needs_reauth", "connection.created"]),
                ({"connection_id": [broken["id"], UNKNOWN_ID], "type": "connection.created"}, ["connection.created"]),
                ({"actor_type": ["end_user", "system"]}, ["api_key.created"]),
                ({"integration_slug": ["hubspot", "slack"]}, []),
            ),
        ),
        (
            "/v1/end-users",
            "end_user_id",
            (
                ({"end_user_id": [ADA, ALAN, "nobody"]}, [ADA, ALAN]),
                ({"email": [f"{GRACE}@example.com", f"{ALAN}@example.com"]}, [ALAN, GRACE]),
                ({"email": f"{GRACE}@example.com", "end_user_id": ALAN}, []),
            ),
        ),
    ):
        for filters, expected in cases:
            assert await ids(client, path, field, **filters) == expected, (path, filters)
        for since, until, count in ((-1, 1, None), (1, 2, 0), (-2, -1, 0)):
            times = [rfc3339(application.clock() + timedelta(minutes=minutes)) for minutes in (since, until)]
            found = await ids(client, path, field, since=times[0], until=times[1])
            assert len(found) == (len(await ids(client, path, field)) if count is None else count), path


async def test_wrong_filters_are_refused_and_name_the_parameter(client: Client) -> None:
    for path, wrong in WRONG.items():
        for filters in (*wrong, *({name: ["1", "1"]} for name in ONCE), {"since": "2026-11-25"}, {"unknown": "x"}):
            answer = await client.get(path, **filters)
            fields = [error["field"] for error in answer.json().get("errors", ())]
            assert (answer.status_code, fields) == (422, list(filters)), (path, filters)
        many = await client.get(path, end_user_id=[str(number) for number in range(101)])
        assert many.status_code == 422, path
