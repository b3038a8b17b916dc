"""Use the client that openapi-python-client generated. The argument is the package's folder. Print a JSON object."""

import json
import os
import sys
from importlib import import_module
from typing import Any

sys.path.insert(0, sys.argv[1])


def operation(tag: str, name: str) -> Any:
    """Return the module of an operation. The type checker cannot know the generated modules."""
    return import_module(f"one_runtime_api_client.api.{tag}.{name}")


models: Any = import_module("one_runtime_api_client.models")
create_connection = operation("connections", "create_connection")
list_connections = operation("connections", "list_connections")
create_session = operation("hosted_connection_sessions", "create_hosted_connection_session")
list_integrations = operation("integrations", "list_integrations")
client: Any = import_module("one_runtime_api_client").AuthenticatedClient(
    base_url=os.environ["BASE_URL"], token=os.environ["API_KEY"]
)


def new_connection(key: str, **more: bool) -> Any:
    body = {"integration_slug": "acme", "end_user_id": "u", "auth_type": "api_key", "credentials": {"api_key": key}}
    return models.NewConnection.from_dict(body | more)


session = create_session.sync(client=client, body=models.NewSession(end_user_id="u", integration_slug="acme"))
imports = [
    create_connection.sync_detailed(client=client, body=new_connection(os.environ["FIRST_KEY"])) for _ in range(2)
]
create_connection.sync(client=client, body=new_connection(os.environ["SECOND_KEY"], multiple=True))
pages, cursor = list[list[str]](), None
while not pages or cursor:
    page = list_connections.sync(client=client, limit=1, cursor=cursor)
    pages.append([connection.id for connection in page.connections])
    cursor = page.next_cursor
refused = create_session.sync(client=client, body=models.NewSession(end_user_id=""))
listed = list_integrations.sync(client=client, end_user_id="u", slug=["acme"])
result = {
    "session": session.session_token[:5],
    "imported": [*(answer.status_code for answer in imports), imports[0].parsed.id == imports[1].parsed.id],
    "pages": pages,
    "error": [refused.code, refused.detail],
    "status": [[item.slug, item.status] for item in listed.integrations],
}
sys.stdout.write(json.dumps(result))
