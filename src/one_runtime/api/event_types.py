"""Define the types of event types in requests."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema

from one_runtime.api.fields import clean_text
from one_runtime.tenancy.event_types import TYPES, EventType

EventTypeName: TypeAlias = Annotated[EventType, WithJsonSchema({"enum": [*TYPES], "type": "string"})]
"""An event type. The OpenAPI document lists the types at each place, without a schema of their own."""
_Pattern: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=100),
    AfterValidator(clean_text),
    Field(json_schema_extra={"examples": ["connection.created"]}),
]
EventTypes: TypeAlias = Annotated[list[_Pattern], Field(min_length=1, max_length=100)]
"""Event types such as `connection.created`, groups such as `connection.*`, or `*`. `event_types.expand` checks them."""
