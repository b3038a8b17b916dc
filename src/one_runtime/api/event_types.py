"""Define the type of lists of event types in requests."""

from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field, StringConstraints

from one_runtime.api.fields import clean_text

_EventType: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=100),
    AfterValidator(clean_text),
    Field(json_schema_extra={"examples": ["connection.created"]}),
]
EventTypes: TypeAlias = Annotated[list[_EventType], Field(min_length=1, max_length=100)]
"""Event types such as `connection.created`, groups such as `connection.*`, or `*`. `event_types.expand` checks them."""
