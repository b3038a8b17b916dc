"""What no schema tells, so that Schemathesis gets past the door: an account that there is at the provider."""

from typing import Any

import schemathesis

from one_runtime.demo.acme import GLOBEX
from tests.application import ACME_KEYS


@schemathesis.hook  # type: ignore[untyped-decorator] # as it is published
def map_body(context: Any, body: Any) -> Any:
    """Every other generated connection is one to Acme, with a key that works."""
    operation = context.operation
    if f"{operation.method.upper()} {operation.path}" != "POST /v1/connections" or not isinstance(body, dict):
        return body
    if len(str(body)) % 2:
        return body
    known = {"integration_slug": "acme", "auth_type": "api_key", "credentials": {"api_key": ACME_KEYS[GLOBEX]}}
    return {**body, **known, "params": {}}
