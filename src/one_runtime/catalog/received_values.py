"""Define received values: values that the provider sends during the OAuth flow, and that later requests need."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias

from pydantic import StringConstraints

from one_runtime.catalog.parts import EntryPart, JsonPath, Many, Name, Pattern
from one_runtime.catalog.patterns import captured_part, compiled, extract
from one_runtime.catalog.request import MAX_PARAM
from one_runtime.catalog.response import UnexpectedValue, look_up, text_of

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

    def read(self, answer: object) -> str:
        """Return the value in a callback's query or in a response.

        Raises:
            UnexpectedValue: the value is not allowed, or is missing and has no default.
        """
        text = text_of(look_up(answer, self.where))
        if not text:
            if self.default is None:
                raise UnexpectedValue(f"{self.name}: the provider's {self.source} does not contain {self.where}")
            return self.default
        value = extract(self.extract, text) if self.extract is not None else text
        if value is None or len(value) > MAX_PARAM or value in (".", "..") or not self._is_allowed(value):
            raise UnexpectedValue(f"{self.name}: the provider's {self.source} contains an unexpected {self.where}")
        return value

    def _is_allowed(self, value: str) -> bool:
        pattern = self.guard_pattern
        fits = pattern is None or compiled(pattern).fullmatch(value) is not None
        return fits and (not self.options or value in self.options)
