"""Parse and document the query parameters of the two lists of integrations: the private and the public list."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from pydantic_core import PydanticCustomError

from one_runtime.api.fields import clean_text
from one_runtime.api.invalid_requests import require_utf8, unknown_name
from one_runtime.catalog.model import CATEGORIES
from one_runtime.errors import InvalidInput
from one_runtime.integrations.rendering import Logo, Options, Status
from one_runtime.validation.descriptions import one_of

_MAX_TEXT: Final = 255
_MAX_PARAMETERS: Final = 1000
_MAX_CACHED_QUERY: Final = 500  # bytes


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter.

    `schema`: the JSON Schema in the OpenAPI document. The parser checks `enum`, `minLength` and `maxLength`. A text of
    white space counts as empty. If the schema is an array, a caller can repeat the parameter.
    """

    description: str
    schema: Mapping[str, Any]

    @property
    def is_repeatable(self) -> bool:
        """Return True if a caller can repeat the parameter."""
        return "items" in self.schema

    def check(self, name: str, values: list[str]) -> None:
        """Check the values of the parameter. Raises: InvalidInput."""
        if len(values) > 1 and not self.is_repeatable:
            raise InvalidInput.of(name, "must occur only once")
        schema = self.schema["items"] if self.is_repeatable else self.schema
        for value in values:
            if not value and schema.get("minLength"):
                raise InvalidInput.of(name, "must not be blank")
            if "enum" in schema and value not in schema["enum"]:
                raise InvalidInput.of(name, one_of(schema["enum"]))


CATEGORY: Final = Parameter("Only integrations of this category.", {"type": "string", "enum": list(CATEGORIES)})
LOGO: Final = Parameter("Format of the logos.", {"type": "string", "enum": ["inline", "url", "none"]})


def slug_parameter(item: Mapping[str, Any]) -> Parameter:
    """Return the parameter `slug`. `item`: the JSON Schema of one slug."""
    return Parameter("Slugs to return. You can repeat the parameter.", {"type": "array", "items": item})


def search_parameter(schema: Mapping[str, Any]) -> Parameter:
    """Return the parameter `search`."""
    return Parameter("Text to search for. The best match is first.", schema)


class IntegrationQuery:
    """The query parameters of one route. `more_names`: parameters of the route that the caller of `parse` removes."""

    def __init__(self, parameters: Mapping[str, Parameter], *, more_names: tuple[str, ...] = ()) -> None:
        self._parameters = parameters
        self._more_names = more_names
        self._parse_cached = lru_cache(maxsize=512)(self._parse)  # at most 7 MB

    def parse(self, query_string: bytes) -> tuple[Options, bool]:
        """Return the options of a query, and True if the query contains `expand`. Raises: InvalidInput."""
        return (self._parse_cached if len(query_string) <= _MAX_CACHED_QUERY else self._parse)(query_string)

    def _parse(self, query_string: bytes) -> tuple[Options, bool]:
        query = self._split(query_string)
        for name, values in query.items():
            if name not in self._parameters:
                names = [*self._more_names, *self._parameters]
                raise InvalidInput.of(name, unknown_name(names, name, "parameter"))
            self._parameters[name].check(name, values)
        options = Options(
            slugs=frozenset([slug.lower() for slug in query["slug"]]) if "slug" in query else None,
            category=query.get("category", [None])[-1],
            search=query.get("search", [None])[-1],
            status=cast("Status | None", query.get("status", [None])[-1]),
            logo=cast("Logo", query.get("logo", ["inline"])[-1]),
            include_unavailable="include" in query,
        )
        return options, "expand" in query

    def _split(self, query_string: bytes) -> dict[str, list[str]]:
        query: dict[str, list[str]] = {}
        require_utf8(query_string)
        try:
            pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS)
        except ValueError as error:
            raise InvalidInput.of("query", f"must have at most {_MAX_PARAMETERS} parameters") from error
        for name, value in pairs:
            query.setdefault(name, []).append(clean(name, value, self._max_length(name)))
        return query

    def _max_length(self, name: str) -> int:
        schema = self._parameters[name].schema if name in self._parameters else {}
        return int(schema.get("items", schema).get("maxLength", _MAX_TEXT))

    def documented(self) -> list[dict[str, Any]]:
        """Return the parameters in the form of the OpenAPI document."""
        return [
            {
                "name": name,
                "in": "query",
                "required": False,
                "description": parameter.description,
                "schema": parameter.schema,
            }
            for name, parameter in self._parameters.items()
        ]


def clean(name: str, value: str, max_length: int = _MAX_TEXT) -> str:
    """Return the trimmed value of a query parameter.

    Raises: InvalidInput if the value is too long, or if the database cannot store the value.
    """
    if len(value) > max_length:
        raise InvalidInput.of(name, f"must be at most {max_length} characters")
    try:
        return clean_text(value.strip())
    except PydanticCustomError as error:
        raise InvalidInput.of(name, error.message()) from error
