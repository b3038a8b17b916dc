"""`GET /v1/integrations`: the compatible core."""

from tests.application import Client

KEYS = ["id", "slug", "name", "description", "logo_url", "category", "status", "supported_auth_types"]


async def test_the_list_holds_every_integration_with_exactly_eight_keys_ordered_by_name(client: Client) -> None:
    answer = await client.get("/v1/integrations", end_user_id="user_123")
    assert answer.status_code == 200
    assert answer.json()["end_user_id"] == "user_123"
    listed = answer.json()["integrations"]
    assert [list(one) for one in listed] == [KEYS] * len(listed)
    names = [one["name"].casefold() for one in listed]
    assert names == sorted(names)
    assert len(listed) >= 13
    hubspot = next(one for one in listed if one["slug"] == "hubspot")
    assert hubspot["id"] == "4989eaeb-5947-5065-81c6-de3b60c10b7d"
    assert hubspot["logo_url"].startswith("data:image/svg+xml;base64,")
    assert hubspot["status"] == "not_connected"
