"""The Python client of One Runtime. Each module lists its public names in `__all__`."""

# ruff: noqa: F403

from one_runtime_client.client import *
from one_runtime_client.errors import *
from one_runtime_client.operations import *
from one_runtime_client.resources.catalog import *
from one_runtime_client.resources.connections import *
from one_runtime_client.resources.custom_integrations import *
from one_runtime_client.resources.end_users import *
from one_runtime_client.resources.events import *
from one_runtime_client.resources.integrations import *
from one_runtime_client.resources.oauth_clients import *
from one_runtime_client.resources.organization import *
from one_runtime_client.resources.proxy_requests import *
from one_runtime_client.resources.sessions import *
from one_runtime_client.version import *
