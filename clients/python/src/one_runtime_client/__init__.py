"""The Python client of One Runtime."""

from one_runtime_client.answers import Offer
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
from one_runtime_client.operations import Page

__all__ = [
    "AsyncOneRuntime",
    "ConnectRequired",
    "ConnectionFailed",
    "FieldError",
    "InvalidInput",
    "NotFound",
    "Offer",
    "OneRuntime",
    "OneRuntimeError",
    "Page",
    "RateLimited",
    "Unauthenticated",
    "Unavailable",
]
