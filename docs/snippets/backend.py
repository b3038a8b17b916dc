"""The backend of your product: list the integrations of a user, and create a session to connect one of them."""

import os

import httpx2

api = httpx2.Client(
    base_url=os.environ["ONE_RUNTIME_URL"], headers={"Authorization": f"Bearer {os.environ['ONE_RUNTIME_API_KEY']}"}
)


def list_integrations(user_id: str) -> dict:
    return api.get("/v1/integrations", params={"end_user_id": user_id, "logo": "url"}).raise_for_status().json()


def create_session(user_id: str, slug: str) -> dict:
    body = {"end_user_id": user_id, "integration_slug": slug}
    return api.post("/v1/hosted-connection-sessions", json=body).raise_for_status().json()
