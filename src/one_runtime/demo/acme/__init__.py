"""Acme CRM is a small provider for development and tests: API keys, OAuth 2.0, and switches that cause faults.

Acme keeps its state in memory. After a restart, no token is valid, and end users have to connect again. Acme is a
separate server with its own port. The demo, `one-runtime serve --with-acme` and the tests run Acme.
"""

from one_runtime.demo.acme.accounts import GLOBEX, INITECH, key_from, new_key
from one_runtime.demo.acme.clients import new_client
from one_runtime.demo.acme.provider import Acme

__all__ = ["GLOBEX", "INITECH", "Acme", "key_from", "new_client", "new_key"]
