"""The Python client of One Runtime."""

from one_runtime_client.answers import Availability
from one_runtime_client.client import AsyncOneRuntime, OneRuntime
from one_runtime_client.errors import (
    ConnectionFailed,
    ConnectRequired,
    FieldError,
    InvalidInput,
    NotFound,
    OneRuntimeError,
    RateLimited,
    Unauthenticated,
    Unavailable,
)
from one_runtime_client.operations import AsyncPages, Page, Pages

__all__ = [
    "AsyncOneRuntime",
    "AsyncPages",
    "Availability",
    "ConnectRequired",
    "ConnectionFailed",
    "FieldError",
    "InvalidInput",
    "NotFound",
    "OneRuntime",
    "OneRuntimeError",
    "Page",
    "Pages",
    "RateLimited",
    "Unauthenticated",
    "Unavailable",
]
