"""Acme CRM: a small working provider to connect to, by an API key or by OAuth 2.0, with switches for faults.

It keeps everything in memory: who signed in has to do so again after a restart. It is no part of One Runtime: the demo
and the tests run it as a server of its own.
"""

from one_runtime.demo.acme.accounts import GLOBEX, INITECH, new_key
from one_runtime.demo.acme.clients import new_client
from one_runtime.demo.acme.provider import Acme

__all__ = ["GLOBEX", "INITECH", "Acme", "new_client", "new_key"]
