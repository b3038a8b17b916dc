"""Define the types of fields in requests and responses, such as trimmed text, times and cursors."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, TypeAlias, TypeVar

from fastapi import Query
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from one_runtime.api.described import EXAMPLE_TIME, Described, DescribedModel
from one_runtime.clock import parse_rfc3339, rfc3339
from one_runtime.db.ids import ANY_CASE_PATTERN, ID_PATTERN, canonical_id, is_id
from one_runtime.errors import Explanation, InvalidInput
from one_runtime.validation.names import name_problem, text_problem

MAX_METADATA_BYTES: Final = 16 * 1024
MAX_METADATA_DEPTH: Final = 20
_LOCALE: Final = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
_MAX_LOCALE: Final = 35
"""Characters of a language tag. RFC 5646 section 4.4.1 recommends to allow as many."""
_SCOPE_NAME: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,200}")
_ID: Final = "01a21077-a507-76f0-a326-42b1c2b20688"


def clean_text(text: str) -> str:
    """Return the text unchanged. Raises: PydanticCustomError if the database cannot store the text."""
    problem = text_problem(text)
    if problem is not None:
        raise PydanticCustomError("text", problem)
    return text


def _trim(text: str) -> str:
    trimmed = text.strip()
    if not trimmed:
        raise PydanticCustomError("text", "must not be blank")
    return trimmed


def _display_name(name: str) -> str:
    problem = name_problem(name)
    if problem is not None:
        raise PydanticCustomError("name", problem)
    return name


def _clean_metadata(value: dict[str, Any]) -> dict[str, Any]:
    _require_flat(value, MAX_METADATA_DEPTH)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise PydanticCustomError("metadata", "must contain only finite numbers, not NaN or Infinity") from error
    if "\\u0000" in text:
        raise PydanticCustomError("text", "must not contain a NUL character")
    clean_text(text)
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise PydanticCustomError("metadata", "must be at most 16 kB of JSON")
    return value


def _require_flat(value: object, depth: int) -> None:
    if isinstance(value, dict | list):
        if depth == 0:
            raise PydanticCustomError("metadata", f"must not be nested deeper than {MAX_METADATA_DEPTH} levels")
        for inner in value.values() if isinstance(value, dict) else value:
            _require_flat(inner, depth - 1)


def require_metadata(value: dict[str, Any]) -> dict[str, Any]:
    """Return merged metadata unchanged. Raises: InvalidInput if the result is too large or nested too deep."""
    try:
        return _clean_metadata(value)
    except PydanticCustomError as error:
        raise InvalidInput.of("metadata", error.message()) from error


def _blank_is_absent(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _allow_blank(schema: dict[str, Any]) -> None:
    """Allow a blank text in the JSON Schema of an optional field."""
    for choice in schema.get("anyOf", ()):
        if choice.pop("minLength", 0):
            choice["pattern"] = r"^[^\x00]*$"


def _not_null(value: object) -> object:
    if value is None:
        raise PydanticCustomError("cleared", "cannot be cleared. Send a value, or omit the field")
    return value


def _lower(text: str) -> str:
    return text.lower()


def _moment(value: object) -> datetime:
    try:
        return parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError as error:
        raise PydanticCustomError("time", "must be a time with a time zone, such as 2026-11-25T01:02:03Z") from error


def whole_number(minimum: int, maximum: int, unit: str | None = None) -> WrapValidator:
    """Return a validator whose error names both limits of a number. Pydantic's own errors name at most one limit.

    `unit`: the unit of the number in the error, such as `seconds`.
    """
    kind = "a whole number" if unit is None else f"a whole number of {unit}"

    def validate(value: object, handler: ValidatorFunctionWrapHandler) -> int:
        refusal = PydanticCustomError("range", f"must be {kind} from {minimum} to {maximum}")
        if isinstance(value, bool):  # pydantic would accept true as 1
            raise refusal
        try:
            number: int = handler(value)
        except ValidationError as error:
            raise refusal from error
        return number

    return WrapValidator(validate)


def _scope_name(text: str) -> str:
    if _SCOPE_NAME.fullmatch(text) is None:
        hint = ". Send each scope as its own item of the list" if " " in text.strip() else ""
        raise PydanticCustomError(
            "scope",
            f"must have 1 to 200 printable ASCII characters, without spaces, double quotes and backslashes{hint}",
        )
    return text


def _row_id(text: str) -> str:
    row_id = canonical_id(text)
    if not is_id(row_id):
        raise PydanticCustomError("row_id", "must be an id that this API returned, such as {example}", {"example": _ID})
    return row_id


def _cursor(text: str) -> str:
    if not is_id(text):
        raise PydanticCustomError("cursor", "must be the next_cursor of an earlier response")
    return text


def _locale(text: str) -> str:
    if len(text) > _MAX_LOCALE or not _LOCALE.fullmatch(text):
        raise PydanticCustomError("locale", "must be a language tag, such as de or pt-BR")
    return text


def refuse_blank(advice: str) -> BeforeValidator:
    """Return a validator that refuses a blank text. `advice`: a sentence that follows the refusal."""

    def validate(value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise PydanticCustomError("blank", f"must not be blank. {advice}")
        return value

    return BeforeValidator(validate)


_Clean = AfterValidator(clean_text)
# `_WithoutNul` and `_NonBlank` are only for the OpenAPI document. Functions such as `_trim` check the text.
# The length limits in the OpenAPI document apply to the text that the caller sends. So One Runtime checks the length
# before it trims the text.
_WithoutNul = Field(json_schema_extra={"pattern": r"^[^\x00]*$"})
_NonBlank = Field(json_schema_extra={"minLength": 1, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$"})
Text: TypeAlias = Annotated[str, StringConstraints(max_length=255), AfterValidator(_trim), _Clean, _NonBlank]
DisplayName: TypeAlias = Annotated[Text, AfterValidator(_display_name)]
"""A name that One Runtime shows to end users."""
RowId: TypeAlias = Annotated[str, AfterValidator(_row_id), Field(json_schema_extra={"pattern": ANY_CASE_PATTERN})]
PathId: TypeAlias = Annotated[str, AfterValidator(canonical_id)]
"""The id of a resource in a path. A text that is no id belongs to no resource, so the response is 404."""
LongText: TypeAlias = Annotated[
    str, StringConstraints(max_length=100_000), AfterValidator(str.strip), _Clean, _WithoutNul
]
Link: TypeAlias = Annotated[str, StringConstraints(max_length=2000), AfterValidator(str.strip), _Clean, _WithoutNul]
Color: TypeAlias = Annotated[str, _Clean, Field(json_schema_extra={"pattern": "^#[0-9A-Fa-f]{6}$"})]
"""A color such as `#2450c4`. The domain validates the color, and explains how to correct it."""
Slug: TypeAlias = Annotated[
    str, StringConstraints(max_length=100), AfterValidator(_trim), _Clean, AfterValidator(_lower), _NonBlank
]
Typed: TypeAlias = Annotated[str, StringConstraints(max_length=20_000), _Clean, _WithoutNul]
"""Text that an end user typed into one field. The rules of the integration decide how One Runtime trims the text."""
ScopeName: TypeAlias = Annotated[
    str, AfterValidator(_scope_name), Field(json_schema_extra={"pattern": f"^{_SCOPE_NAME.pattern}$"})
]
"""An OAuth scope (RFC 6749 section 3.3)."""
FieldName: TypeAlias = Annotated[str, StringConstraints(max_length=255), _Clean]
BLANK_IS_ABSENT: Final = BeforeValidator(_blank_is_absent)
"""Marks an optional text field for which a blank text has the same meaning as an omitted field."""
OptionalText: TypeAlias = Annotated[Text | None, BLANK_IS_ABSENT, Field(json_schema_extra=_allow_blank)]
OptionalId: TypeAlias = Annotated[
    Annotated[Text, AfterValidator(canonical_id)] | None, BLANK_IS_ABSENT, Field(json_schema_extra=_allow_blank)
]
OptionalName: TypeAlias = Annotated[DisplayName | None, BLANK_IS_ABSENT, Field(json_schema_extra=_allow_blank)]
OptionalSlug: TypeAlias = Annotated[Slug | None, BLANK_IS_ABSENT, Field(json_schema_extra=_allow_blank)]
Locale: TypeAlias = Annotated[
    str,
    StringConstraints(max_length=255),
    AfterValidator(_trim),
    AfterValidator(_locale),
    Field(json_schema_extra={"pattern": f"^{_LOCALE.pattern}$", "maxLength": _MAX_LOCALE}),
]
"""A language tag (RFC 5646), such as `de` or `pt-BR`."""
OptionalLocale: TypeAlias = Annotated[Locale | None, BLANK_IS_ABSENT, Field(json_schema_extra=_allow_blank)]
READ_ONLY: Final[dict[str, JsonValue]] = {"readOnly": True}
"""Part of the JSON Schema of a field that a request can contain, although the request cannot change the field."""
NOT_NULL: Final = BeforeValidator(_not_null)
"""Marks a field of a PATCH body that cannot be cleared with null."""
Metadata: TypeAlias = Annotated[dict[str, Any], AfterValidator(_clean_metadata)]
Time: TypeAlias = Annotated[datetime, PlainSerializer(rfc3339, return_type=str)]
Moment: TypeAlias = Annotated[datetime, BeforeValidator(_moment)]
"""A time in a request."""

T = TypeVar("T")

MAX_VALUES: Final = 100
Several: TypeAlias = Annotated[list[T], Field(max_length=MAX_VALUES)]
"""A query parameter that a caller can repeat. An item matches if it has one of the values."""

IDENTIFIER_SCHEMA: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$",
}
"""The JSON Schema of `Text`, for routes that FastAPI does not add to the OpenAPI document."""

Limit: TypeAlias = Annotated[
    int, Query(ge=1, le=1000, description="Maximum number of items on a page."), whole_number(1, 1000)
]
_CursorId: TypeAlias = Annotated[str, AfterValidator(_cursor), Field(json_schema_extra={"pattern": ID_PATTERN})]
_Cursor = Query(description="`next_cursor` of the previous page.")
_FirstPage = refuse_blank("Leave out cursor for the first page")
TextCursor: TypeAlias = Annotated[Text | None, _FirstPage, _Cursor]
IdCursor: TypeAlias = Annotated[_CursorId | None, _FirstPage, _Cursor]


class Body(DescribedModel):
    """A request body or query. One Runtime refuses unknown fields, because an unknown field can be a mistyped name."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    usual_fields: ClassVar[frozenset[str]] = frozenset()
    """The optional fields that most requests contain. An error shows the fields in the example of the body."""


def example(**values: JsonValue) -> ConfigDict:
    """Return a pydantic configuration that adds an example to the documentation of a body."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Answer(DescribedModel):
    """A response body."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ExplanationAnswer(Answer, title="Explanation"):
    """Texts for people: what happened, and what to do."""

    message: Annotated[str, Described("What happened.", "The provider refused the refresh token.")]
    action: Annotated[str, Described("What to do.", "Ask the end user to connect again.")]


class Note(Answer, title="ErrorNote"):
    """The newest error of a connection or a session. `explanation`: null for a code of a later version."""

    code: Annotated[str, Described("The code of the error. Codes are stable.", "credentials_refused")]
    message: Annotated[
        str, Described("The error, as a text for people.", "The provider does not accept these credentials.")
    ]
    created_at: Annotated[
        str,
        Field(json_schema_extra={"format": "date-time"}),
        Described("The time of the error, as in RFC 3339.", EXAMPLE_TIME),
    ]
    explanation: Annotated[
        ExplanationAnswer | None, Described("Texts for people about the code: what happened, and what to do.", None)
    ]


def next_cursor(keys: list[str], limit: int) -> str | None:
    """Return the cursor of the next page: the sort key of this page's last item. Return None on the last page.

    `keys`: the sort keys of at most `limit` + 1 items. The additional item shows that there is a next page.
    """
    return keys[limit - 1] if len(keys) > limit else None


def note_of(error: Mapping[str, str] | None, explain: Callable[[str], Explanation | None]) -> Note | None:
    """Return a stored error note in the API's format, or None if there is no error."""
    if error is None:
        return None
    texts = explain(error["code"])
    explanation = None if texts is None else ExplanationAnswer(message=texts.message, action=texts.action)
    return Note(code=error["code"], message=error["message"], created_at=error["at"], explanation=explanation)
