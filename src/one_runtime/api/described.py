"""Description of a property or parameter in the OpenAPI document, as a part of the property's annotation."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Final

from pydantic import BaseModel, JsonValue

EXAMPLE_ID: Final = "01a21077-a507-76f0-a326-42b1c2b20688"
EXAMPLE_TIME: Final = "2026-11-25T01:02:03.004Z"


@dataclass(frozen=True)
class Described:
    """The description of a property or parameter, and an example of its value.

    `example`: `...` if the example follows from the schema, for example for an object. `missing`: what a caller has to
    send, for the error of a missing value, if `description` does not suffice. `{values}` stands for the listed values.
    """

    description: str
    example: JsonValue | EllipsisType = ...
    missing: str = ""


_OF_FIELDS: Final[dict[str, Described]] = {}
OF_FIELDS: Final[Mapping[str, Described]] = _OF_FIELDS
"""The descriptions in the annotations of fields, by the names of the schema and of the field, such as `Event.type`."""


class DescribedModel(BaseModel):
    """A body of a request or response. The annotations of its fields can have a description."""

    @classmethod
    def __pydantic_init_subclass__(cls, **_: object) -> None:
        """Remember the descriptions of the fields, also of inherited fields."""
        owner = cls.model_config.get("title") or cls.__name__
        for name, field in cls.model_fields.items():
            described = next((part for part in field.metadata if isinstance(part, Described)), None)
            if described is not None:
                _OF_FIELDS[f"{owner}.{name}"] = described
