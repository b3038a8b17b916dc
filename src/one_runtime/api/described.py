"""Description of a property or parameter in the OpenAPI document."""

from types import EllipsisType
from typing import Final, NamedTuple

from pydantic import JsonValue

EXAMPLE_ID: Final = "01a21077-a507-76f0-a326-42b1c2b20688"
EXAMPLE_TIME: Final = "2026-11-25T01:02:03.004Z"


class Described(NamedTuple):
    """The description of a property or parameter, and an example of its value.

    `example`: `...` if the example follows from the schema, for example for an object. `missing`: what a caller has to
    send, for the error of a missing value, if `description` does not suffice. `{values}` stands for the listed values.
    """

    description: str
    example: JsonValue | EllipsisType = ...
    missing: str = ""
