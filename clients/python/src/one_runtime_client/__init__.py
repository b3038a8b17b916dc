"""The Python client of One Runtime. Each module lists its public names in `__all__`."""

# ruff: noqa: F403

from one_runtime_client.client import *
from one_runtime_client.errors import *
from one_runtime_client.models import *
from one_runtime_client.operations import *
from one_runtime_client.requests import *
from one_runtime_client.version import *
