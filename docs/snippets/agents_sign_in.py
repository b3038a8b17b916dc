"""The page of your product on which a user approves an agent (`agents.sign_in_url`). The page requires a login."""

from one_runtime_client import AgentAuthorization, Conflict, OneRuntime

one_runtime = OneRuntime()  # reads ONE_RUNTIME_URL and ONE_RUNTIME_API_KEY


def read_agent(agent_authorization_id: str) -> AgentAuthorization:
    """Return the request of the agent. Show its hosts and its access, and ask the user."""
    return one_runtime.agent_authorizations.get(agent_authorization_id)


def answer_agent(user_id: str, agent_authorization_id: str, access: str | None) -> str | None:
    """Return the URL to which your product redirects the browser. Take `user_id` from your login.

    `access`: `read` or `write`, or None if the user declined.
    """
    requests = one_runtime.agent_authorizations
    try:
        if access is None:
            return requests.decline(agent_authorization_id).continue_url
        return requests.approve(agent_authorization_id, end_user_id=user_id, access=access).continue_url
    except Conflict as error:
        if error.code == "agent_authorization_closed":
            return None  # the request was answered before, or has expired
        raise
