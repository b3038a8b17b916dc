"""Schemathesis hooks: values that no schema contains, such as a key that Acme accepts.

The test passes the values in the environment, because importing them would load all of One Runtime.
"""

import os
from collections import Counter
from typing import Any, Final

import schemathesis

KNOWN: dict[str, dict[str, Any]] = {
    "POST /v1/connections": {
        "integration_slug": "acme",
        "auth_type": "api_key",
        "credentials": {"api_key": os.environ["ACME_KEY"]},
        "params": {},
    },
    "POST /v1/hosted-connection-sessions": {
        "integration_slug": "acme",
        "allowed_origins": [os.environ["CUSTOMER_ORIGIN"]],
        "metadata": {},
        **dict.fromkeys(("auth_type", "connection_id", "mode", "return_url")),
    },
}


_NO_NUL: Final = r"^[^\x00]*$"
_SAME_UNREPEATED: Final = r"^(?:[^\x00]+)?$"


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Replace a pattern with an equivalent pattern that Schemathesis does not rewrite.

    Schemathesis 4.32.5 combines the other pattern with `maxLength`, for example to `^[^\\x00]{0,100000}$`. To compile
    this pattern once takes a second, and Schemathesis compiles it several times.
    """
    parts: list[Any] = [raw_schema]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if part.get("pattern") == _NO_NUL:
                part["pattern"] = _SAME_UNREPEATED
            parts += part.values()
        elif isinstance(part, list):
            parts += part


@schemathesis.hook
def map_case(context: Any, case: Any) -> Any:
    """Send three of four valid bodies for Acme, with an accepted key."""
    known = KNOWN.get(f"{context.operation.method.upper()} {context.operation.path}")
    if known is None or not isinstance(case.body, dict) or len(str(case.body)) % 4 == 0:
        return case
    if case.meta is None or case.meta.generation.mode.is_positive:
        case.body = {**case.body, **known}
    return case


_EACH: Final = int(os.environ["EACH_BOUNDARY_VALUE"])
_boundary_values = Counter[tuple[str, str]]()


@schemathesis.hook
def filter_case(context: Any, case: Any) -> bool:
    """Omit wrong expectations of Schemathesis. Of the boundary values, send each n-th of a kind.

    Schemathesis finds the key of the run in the list of API keys. After its revocation, every answer would be 401.

    The coverage phase has 47 kinds of values, such as a text that is too long. The first value of each kind is sent.
    """
    revokes_own_key = case.method == "DELETE" and case.path_parameters == {"api_key_id": os.environ["OWN_KEY_ID"]}
    if revokes_own_key or not _is_required(case):
        return False
    if case.meta is None or case.meta.phase.name != "coverage":
        return True
    kind = (case.operation.label, case.meta.phase.data.scenario)
    _boundary_values[kind] += 1
    return _boundary_values[kind] % _EACH == 1 % _EACH


def _is_required(case: Any) -> bool:
    """Return False for a body without a property that the document does not require.

    Schemathesis 4.32.5 treats every property of a body with a `$ref` as required, and expects a refusal without
    it. Only those cases are skipped; tests/api/test_routing.py sends bodies without required properties.
    """
    described = getattr(getattr(case.meta and case.meta.phase, "data", None), "description", None) or ""
    name = described.removeprefix("Missing required property: ")
    if name == described or not case.operation.body:
        return True
    document = case.operation.schema.raw_schema
    body = document["paths"][case.operation.path][case.operation.method]["requestBody"]
    schema = body["content"]["application/json"]["schema"]
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    required: list[str] = schema.get("required", [])
    return name in required
