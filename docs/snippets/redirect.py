"""A customer's backend code for connecting by redirect: send the browser away, and redeem what it brings back."""

import os
from uuid import UUID

import httpx2

api = httpx2.Client(
    base_url=os.environ["ONE_RUNTIME_URL"], headers={"Authorization": f"Bearer {os.environ['ONE_RUNTIME_API_KEY']}"}
)


def start(user_id: str, slug: str, return_url: str) -> str:
    """Where to send the browser of the signed-in user."""
    body = {"end_user_id": user_id, "integration_slug": slug, "return_url": return_url}
    return api.post("/v1/hosted-connection-sessions", json=body).raise_for_status().json()["connect_url"]


def come_back(user_id: str, query: dict) -> dict | None:
    """The new connection. `user_id` is who is signed in now, from your login; `query` is of the return URL."""
    if query.get("status") != "connected":
        return None  # cancelled, or an error
    path = f"/v1/hosted-connection-sessions/{UUID(query['session_id'])}/redeem"
    answer = api.post(path, json={"code": query["code"], "end_user_id": user_id})
    if answer.json().get("code") == "end_user_mismatch":
        return None  # somebody else started this: nothing was connected
    return answer.raise_for_status().json()["connection"]
