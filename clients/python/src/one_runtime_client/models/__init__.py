"""Define the classes of the answers. `python -m scripts.generate_clients` writes this folder."""

# ruff: noqa: F403

from one_runtime_client.models.agent_authorizations import *
from one_runtime_client.models.api_keys import *
from one_runtime_client.models.approval_requests import *
from one_runtime_client.models.catalog import *
from one_runtime_client.models.connect_requests import *
from one_runtime_client.models.connections import *
from one_runtime_client.models.custom_integrations import *
from one_runtime_client.models.end_user_tokens import *
from one_runtime_client.models.end_users import *
from one_runtime_client.models.integrations import *
from one_runtime_client.models.oauth_clients import *
from one_runtime_client.models.organization import *
from one_runtime_client.models.sessions import *
from one_runtime_client.models.webhook_deliveries import *
from one_runtime_client.models.webhook_endpoints import *
