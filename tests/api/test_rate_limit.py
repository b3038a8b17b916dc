"""The headers `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10)."""

import re
from typing import Final

import httpx2

from one_runtime.tenancy.authentication import Authenticator
from tests.application import Application, Client

POLICY: Final = '"api-key";q=2;w=10'  # 12 requests a minute, at most 2 at once
LIST: Final = "/v1/integrations?end_user_id=user_123"


def remaining(response: httpx2.Response) -> tuple[int, int]:
    """Return the number of requests that the key can make, and the seconds until the number is `q` again."""
    assert response.headers["ratelimit-policy"] == POLICY
    match = re.fullmatch(r'"api-key";r=(\d+);t=(\d+)', response.headers["ratelimit"])
    assert match is not None, response.headers["ratelimit"]
    return int(match[1]), int(match[2])


async def test_every_response_to_a_key_has_the_limit_and_the_remaining_requests(application: Application) -> None:
    organization = await application.organization()
    application.replace_services(authenticator=Authenticator(12))
    for path, status in ((LIST, 200), ("/v1/connections", 200), ("/v1/connections/none", 404), ("/v1/events?x=1", 422)):
        client = application.client(await application.key(organization))
        first, second, third = [await client.http.get(path) for _ in range(3)]
        assert (first.status_code, second.status_code, third.status_code) == (status, status, 429), path
        assert remaining(first) == (1, 5)
        assert remaining(second) == (0, 10)
        left, full_in = remaining(third)
        assert left == 0
        assert int(third.headers["retry-after"]) <= full_in <= 10
    client = application.client(await application.key(organization))
    etag = (await client.http.get(LIST)).headers["etag"]
    unchanged = await client.http.get(LIST, headers={"if-none-match": etag})
    assert (unchanged.status_code, remaining(unchanged)) == (304, (0, 10))


async def test_responses_without_a_limit_have_no_rate_headers(application: Application, client: Client) -> None:
    application.replace_services(authenticator=Authenticator(12))
    answers = [await application.client().http.get(path) for path in ("/v1/catalog/categories", "/healthz", LIST)]
    application.replace_services(authenticator=Authenticator(0))
    answers.append(await client.http.get(LIST))
    for answer in answers:
        assert not {"ratelimit", "ratelimit-policy"} & set(answer.headers)


async def test_relayed_response_keeps_the_limits_of_the_provider(application: Application, client: Client) -> None:
    await client.connect()
    application.replace_services(authenticator=Authenticator(12))
    headers = {"one-runtime-end-user": "user_123"}
    relayed = await client.http.get("/v1/proxy/acme/v1/me", headers=headers)
    assert (relayed.status_code, "ratelimit" in relayed.headers) == (200, False)
    own = await client.http.get("/v1/proxy/acme/v1/me", headers={"one-runtime-end-user": "nobody"})
    assert (own.headers["one-runtime-error"], remaining(own)) == ("connect_required", (0, 10))
