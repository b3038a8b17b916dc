"""Define received values: values that the provider sends during the OAuth flow, and that later requests need."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints

from one_runtime.catalog.parts import EntryPart, JsonPath, Many, Name, Pattern
from one_runtime.catalog.patterns import captured_part, compiled

ValueSource: TypeAlias = Literal["callback", "token_response", "lookup"]


class ReceivedValue(EntryPart):
    """A value that the provider sends in the callback, the token response or the look-up's response.

    One Runtime validates the value, and then stores the value. `extract`: a pattern that the whole value must match.
    One Runtime stores only the part that the pattern's group matches. `example`: a value from the provider's
    documentation.
    """

    name: Name
    source: ValueSource
    path: JsonPath | None = None
    pattern: Pattern | None = None
    extract: Pattern | None = None
    options: Annotated[tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...], Many] = ()
    default: str | None = None
    example: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = None

    def _inconsistencies(self) -> Iterator[str]:
        if self.pattern is not None and self.extract is not None:
            yield f"{self.name}: use either pattern or extract"
        if self.guard_pattern is None and not self.options:
            yield f"{self.name}: a pattern, extract or options are required"
        for value in [*self.options, *([self.default] if self.default is not None else [])]:
            if self.guard_pattern is not None and not compiled(self.guard_pattern).fullmatch(value):
                yield f"{self.name}: {value!r} must match the pattern"
        if self.options and self.default is not None and self.default not in self.options:
            yield f"{self.name}: the default must be one of the options"

    @property
    def where(self) -> str:
        """Return the place of the value: a name in the callback's query, or a JSON path in the response."""
        return self.path or self.name

    @property
    def guard_pattern(self) -> str | None:
        """Return the pattern that the whole stored value must match, or None if the value has no pattern."""
        return captured_part(self.extract) if self.extract is not None else self.pattern
