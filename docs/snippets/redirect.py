"""The backend of your product in redirect mode: send the browser to One Runtime, and redeem the code it returns with."""

import os
from uuid import UUID

import httpx2

api = httpx2.Client(
    base_url=os.environ["ONE_RUNTIME_URL"], headers={"Authorization": f"Bearer {os.environ['ONE_RUNTIME_API_KEY']}"}
)


def start_redirect(user_id: str, slug: str, return_url: str) -> str:
    """Return the URL to which your product redirects the browser."""
    body = {"end_user_id": user_id, "integration_slug": slug, "return_url": return_url}
    return api.post("/v1/hosted-connection-sessions", json=body).raise_for_status().json()["connect_url"]


def finish_redirect(user_id: str, query: dict) -> dict | None:
    """Return the new connection. Take `user_id` from your login, and `query` from the return URL."""
    if query.get("status") != "connected":
        return None  # the user cancelled, or an error occurred
    path = f"/v1/hosted-connection-sessions/{UUID(query['session_id'])}/redeem"
    response = api.post(path, json={"code": query["code"], "end_user_id": user_id})
    if response.json().get("code") == "end_user_mismatch":
        return None  # the session was created for another user; One Runtime has deleted the credentials
    return response.raise_for_status().json()["connection"]
