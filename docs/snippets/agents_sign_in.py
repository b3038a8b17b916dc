"""The page of your product on which a user approves an agent (`agents.sign_in_url`). The page requires a login."""

import os
from uuid import UUID

import httpx2

api = httpx2.Client(
    base_url=os.environ["ONE_RUNTIME_URL"], headers={"Authorization": f"Bearer {os.environ['ONE_RUNTIME_API_KEY']}"}
)


def read_agent(agent_authorization_id: str) -> dict:
    """Return the request of the agent. Show its hosts and its access, and ask the user."""
    return api.get(f"/v1/agent-authorizations/{UUID(agent_authorization_id)}").raise_for_status().json()


def answer_agent(user_id: str, agent_authorization_id: str, access: str | None) -> str | None:
    """Return the URL to which your product redirects the browser. Take `user_id` from your login.

    `access`: `read` or `write`, or None if the user declined.
    """
    path = f"/v1/agent-authorizations/{UUID(agent_authorization_id)}"
    if access is None:
        response = api.delete(path)
    else:
        response = api.post(path, json={"end_user_id": user_id, "access": access})
    if response.json().get("code") == "agent_authorization_closed":
        return None  # the request was answered before, or has expired
    return response.raise_for_status().json()["continue_url"]
