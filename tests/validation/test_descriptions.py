"""`validation/descriptions.py`: every error of pydantic and of JSON parsers is described in One Runtime's own words."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, PydanticKnownError
from pydantic_core._pydantic_core import list_all_errors

from one_runtime.errors import FieldError, InvalidInput
from one_runtime.validation.descriptions import describe, describe_json
from tests.in_one_test import in_one_test
from tests.validators_words import VALIDATORS_WORDS, error_in


class Inner(BaseModel):
    a: int


@in_one_test(list_all_errors(), lambda error: str(error["type"]))
def test_every_error_of_pydantic_is_described_in_our_words(error: Any) -> None:
    kind, context = error["type"], error["example_context"]
    if kind in {"value_error", "assertion_error"}:  # the message is the text of our own exception
        return
    message = PydanticKnownError(kind, context).message()
    details = ErrorDetails(type=kind, loc=("field",), msg=message, input="a secret", ctx=context or {})
    described = describe(details)
    assert FieldError.is_predicate(described), described
    assert not VALIDATORS_WORDS.search(described), described
    assert "a secret" not in described
    assert message != described


@pytest.mark.parametrize(
    "kind, value, described",
    [
        (str, 123, "must be a string, not a number. Put the value in quotes"),
        (str, None, "must be a string, not null"),
        (str, ["a"], "must be a string, not a list"),
        (Annotated[str, Field(max_length=9)], "\ud800", "contains a lone surrogate. Send valid Unicode"),
        (dict[str, str], ["a"], "must be a JSON object, not a list"),
        (list[str], "a", "must be a list, not a string. Put the value in square brackets"),
        (Inner, [], "must be a JSON object, not a list"),
        (bool, "maybe", "must be true or false"),
        (int, "x", "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (Inner, {}, "is required"),
    ],
)
def test_description_names_the_needed_and_the_received_kind(kind: Any, value: object, described: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter[Any](kind).validate_python(value)
    assert describe(refused.value.errors()[0]) == described


def test_own_message_of_a_validator_is_kept() -> None:
    def refuse(_: object) -> object:
        raise PydanticCustomError("slug", "must begin with x-")

    class Model(BaseModel):
        slug: str = Field(min_length=1)

    with pytest.raises(ValidationError) as refused:
        Model(slug="")
    assert describe(refused.value.errors()[0]) == "must not be empty"
    error = ErrorDetails(type="slug", loc=("slug",), msg="must begin with x-", input="y")
    assert describe(error) == "must begin with x-"


@pytest.mark.parametrize(
    "text, described",
    [
        ('{"a": 1,}', "line 1, column 9: expected a name in double quotes. Remove the comma before the closing brace"),
        (
            '{"a": 1,\n }',
            "line 2, column 2: expected a name in double quotes. Remove the comma before the closing brace",
        ),
        ('["a",]', "line 1, column 6: expected a value. Remove the comma before the closing bracket"),
        ("{a: 1}", "line 1, column 2: expected a name in double quotes"),
        ("{", "line 1, column 2: expected a name in double quotes"),
        ('{"a" 1}', "line 1, column 6: a colon is missing"),
        ('{\n"a": 1 "b": 2}', "line 2, column 8: a comma or the closing brace } is missing"),
        ('{"a": "}]" "b"', "line 1, column 12: a comma or the closing brace } is missing"),
        ('{"a": ["\\"]" 1]}', "line 1, column 14: a comma or the closing bracket ] is missing"),
        ('[{"a": 1}\n', "line 2, column 1: the closing bracket ] is missing"),
        ("{} {}", "line 1, column 4: the JSON value ends before this place"),
        ('["a', "line 1, column 2: a string begins here and has no closing quote"),
        ('["\t"]', "line 1, column 3: write a control character as an escape, such as \\n"),
        ("", "line 1, column 1: a value is missing or not valid. Put a text in double quotes"),
    ],
)
def test_error_in_json_names_the_line_and_the_column(text: str, described: str) -> None:
    assert describe_json(error_in(text)) == described


def test_detail_of_several_invalid_fields_names_all_and_explains_five() -> None:
    one = InvalidInput.of("limit", "must be a whole number from 1 to 1000")
    assert one.detail == "limit must be a whole number from 1 to 1000."
    assert InvalidInput.of("auth_type", "HubSpot has no auth type none.").detail == (
        "auth_type: HubSpot has no auth type none."
    )
    names = ["a", "b", "c", "d", "e", "f"]
    two = InvalidInput.of_all(FieldError(name, "is required") for name in names[:2])
    assert two.detail == "The request has 2 errors. a is required. b is required."
    six = InvalidInput.of_all(FieldError(name, "is required") for name in names)
    assert six.detail.startswith("The request has 6 errors, in the fields: a, b, c, d, e, f. a is required.")
    assert six.detail.endswith("e is required. `errors` lists the others.")
