"""Show an example of each error in the OpenAPI document. The responses refer to the examples by code."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from one_runtime.api.described import EXAMPLE_ID, EXAMPLE_TIME
from one_runtime.errors import OneRuntimeError
from one_runtime.explanations.api_errors import API_ERRORS

_REQUEST_ID: Final = "01a21075-411f-70e2-9562-12b446456c0b"
_MORE: Final[Mapping[str, Mapping[str, Any]]] = {
    "invalid_input": {"errors": [{"field": "end_user_id", "message": "is required"}]},
    "provider_unavailable": {"provider_reason": "Service Unavailable"},
    "several_connections": {
        "connections": [
            {"id": EXAMPLE_ID, "name": "ada@example.com", "status": "active", "created_at": EXAMPLE_TIME},
        ]
    },
}
"""The further properties of some errors."""


def references(errors: Iterable[type[OneRuntimeError]]) -> dict[str, Any]:
    """Return the examples of a response, by code."""
    codes = sorted({error.code for error in errors})
    return {code: {"$ref": f"#/components/examples/{code}"} for code in codes}


def components(errors: Iterable[type[OneRuntimeError]], public_url: str) -> dict[str, Any]:
    """Return the examples of the document, by code. The text of an actual error names the values of the request."""
    by_code = {error.code: error for error in errors}
    return {code: _example(by_code[code], public_url) for code in sorted(by_code)}


def _example(error: type[OneRuntimeError], public_url: str) -> Mapping[str, Any]:
    detail = " ".join(API_ERRORS[error.code])
    value: dict[str, Any] = {
        "type": f"{public_url}/docs/errors#{error.code}",
        "title": error.title,
        "status": error.status,
        "detail": detail,
        "code": error.code,
        "request_id": _REQUEST_ID,
        "error": detail,
    }
    return {"summary": error.title, "value": value | dict(_MORE.get(error.code, {}))}
