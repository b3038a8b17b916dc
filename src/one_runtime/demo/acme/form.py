"""Parse OAuth parameters from a query, or from a body of the type `application/x-www-form-urlencoded`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

_MAX_BODY: Final = 16_384
_MAX_FIELDS: Final = 100
_TYPE: Final = "application/x-www-form-urlencoded"


class MalformedForm(Exception):
    """The query or the body cannot be read as a form."""


@dataclass(frozen=True, slots=True)
class Form:
    """The parameters, and the names that occur more than once. OAuth forbids repeated names (RFC 6749, 3.1)."""

    values: Mapping[str, str] = field(repr=False)
    repeated: frozenset[str] = frozenset()

    def get(self, name: str) -> str | None:
        """Return the value of a parameter, or None if the parameter is missing or empty (RFC 6749, 3.1)."""
        return self.values.get(name) or None


def parse_form(raw: bytes) -> Form:
    """Parse a query. Raises: MalformedForm."""
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except ValueError as error:
        raise MalformedForm("The parameters cannot be read.") from error
    names = [name for name, _ in pairs]
    return Form(dict(pairs), frozenset(name for name in names if names.count(name) > 1))


async def read_form(request: Request) -> Form:
    """Parse the body of a request. Raises: MalformedForm."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _TYPE:
        raise MalformedForm(f"The body must have the type {_TYPE}.")
    body = await request.body()
    if len(body) > _MAX_BODY:
        raise MalformedForm("The body is too large.")
    return parse_form(body)
