"""Describe the errors of pydantic and of JSON parsers in One Runtime's own words.

The library's own messages, such as "Input should be a valid string", never reach a caller. A description never contains
the refused value, because the value can be a secret.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from json import JSONDecodeError
from typing import Any, Final, TypeAlias, get_args

from pydantic_core import ErrorDetails, core_schema

Place: TypeAlias = tuple[int | str, ...]
"""The path to a value: names, and positions in lists."""

MAX_ERRORS: Final = 20
"""Number of errors that an answer describes. A caller can send thousands of unknown fields, parameters or arguments."""

_MAX_NAME: Final = 64
_Context: TypeAlias = Mapping[str, Any]

_OF_PYDANTIC: Final = frozenset(get_args(core_schema.ErrorType))
"""The types of pydantic's own errors. One Runtime's validators use other types, and their messages are sentences."""

_STRINGS: Final = ("string_type", "string_unicode", "string_not_ascii", "bytes_type", "bytes_invalid_encoding")
OBJECTS: Final = ("dict_type", "mapping_type", "model_type", "model_attributes_type", "dataclass_type")
"""The types of the errors for values that are not JSON objects."""
_LISTS: Final = ("list_type", "tuple_type", "set_type", "frozen_set_type", "iterable_type", "named_tuple_type")
_EXPECTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(_STRINGS, "a string"),
    **dict.fromkeys(OBJECTS, "a JSON object"),
    **dict.fromkeys(_LISTS, "a list"),
    **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing"), "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing"), "a date, such as 2026-11-25"),
    "date_from_datetime_inexact": "a date without a time, such as 2026-11-25",
    **dict.fromkeys(
        ("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"),
        "a time with a time zone, such as 2026-11-25T01:02:03Z",
    ),
    **dict.fromkeys(("uuid_type", "uuid_parsing", "uuid_version"), "a UUID"),
    **dict.fromkeys(("url_type", "url_parsing", "url_syntax_violation", "url_scheme"), "a URL, such as https://…"),
    "none_required": "null, or must be left out",
}
"""The kind of value that a field needs, by the type of pydantic's error."""

_SENTENCES: Final[Mapping[str, Callable[[_Context], str]]] = {
    "missing": lambda _: "is required",
    "extra_forbidden": lambda _: "is not a field of this request",
    "greater_than": lambda context: f"must be greater than {context['gt']}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "less_than": lambda context: f"must be less than {context['lt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "multiple_of": lambda context: f"must be a multiple of {context['multiple_of']}",
    "string_too_short": lambda context: _at_least(context["min_length"], "character"),
    "string_too_long": lambda context: f"must be at most {context['max_length']} characters",
    "too_short": lambda context: _at_least(context["min_length"], "item"),
    "too_long": lambda context: f"must contain at most {context['max_length']} items",
    "literal_error": lambda context: one_of(context["expected"]),
    "enum": lambda context: one_of(context["expected"]),
    "union_tag_invalid": lambda context: one_of(context["expected_tags"]),
    "union_tag_not_found": lambda context: f"must contain {context['discriminator']}",
    "string_pattern_mismatch": lambda context: f"must match the pattern {context['pattern']}",
    "json_invalid": lambda _: "must be valid JSON",
    "json_type": lambda _: "must be valid JSON",
    "invalid_key": lambda _: "must have strings as keys",
}

_KINDS: Final[Mapping[type, str]] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "a list",
    dict: "an object",
}

_EXTRA_COMMA: Final[Mapping[str, str]] = {
    "}": "expected a name in double quotes. Remove the comma before the closing brace",
    "]": "expected a value. Remove the comma before the closing bracket",
}
"""The cause of an error at a closing bracket after a comma, by the bracket."""

_REMEDIES: Final[Mapping[tuple[str, str], str]] = {
    ("a string", "a number"): ". Put the value in quotes",
    ("a string", "true or false"): ". Put the value in quotes",
    ("a list", "a string"): ". Put the value in square brackets",
}
"""The step that repairs a value, by the needed kind and the received kind."""

_JSON_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKETS: Final = re.compile(r"[{}\[\]]")
_NO_COMMA: Final = "Expecting ',' delimiter"
_OF_JSON: Final[Mapping[str, str]] = {
    "Expecting value": "a value is missing or not valid. Put a text in double quotes",
    "Expecting property name enclosed in double quotes": "expected a name in double quotes",
    "Expecting ':' delimiter": "a colon is missing",
    "Illegal trailing comma before end of object": "remove the comma before the closing brace",
    "Illegal trailing comma before end of array": "remove the comma before the closing bracket",
    "Extra data": "the JSON value ends before this place",
    "Unterminated string starting at": "a string begins here and has no closing quote",
    "Invalid control character at": "write a control character as an escape, such as \\n",
    "Invalid \\escape": "this backslash does not begin a valid escape",
    "Invalid \\uXXXX escape": "four hexadecimal digits must follow \\u",
}


def describe(error: ErrorDetails) -> str:
    """Return a description of an error, such as `must be a string, not a number`. The field's name is in front."""
    kind = error["type"]
    if kind == "value_error" or kind not in _OF_PYDANTIC:
        return error["msg"].removeprefix("Value error, ")
    context = error.get("ctx", {})
    if kind == "string_unicode" and isinstance(error.get("input"), str):
        return "contains a lone surrogate. Send valid Unicode"
    if kind in _EXPECTED:
        return expected(_EXPECTED[kind], error.get("input", ...))
    return _SENTENCES[kind](context) if kind in _SENTENCES else "is not valid"


def expected(what: str, received: object) -> str:
    """Return a description that names the kind of value which a field needs, and the kind of the received value.

    The description does not contain the received value. `received`: the value, or `...` if it is unknown.
    """
    kind = _KINDS.get(type(received))
    if kind is None or (kind in {"a string", "a number"} and what not in {"a string", "a list", "a JSON object"}):
        return f"must be {what}"
    return f"must be {what}, not {kind}{_REMEDIES.get((what, kind), '')}"


def dotted(place: Place) -> str:
    """Format a place, for example as `auth[0].check`. Cut long names."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step[:_MAX_NAME]}" for step in place).removeprefix(".")


def one_of(values: str | Sequence[str]) -> str:
    """Return the description for a field with listed values. `values` can be a text, such as `'a', 'b' or 'c'`."""
    listed = values if isinstance(values, str) else ", ".join(values)
    plain = listed.replace(" or ", ", ").replace("'", "")
    return f"must be one of: {plain}" if ", " in plain else f'must be "{plain}"'


def describe_json(error: JSONDecodeError) -> str:
    """Return the place and the cause of an error in JSON, such as `line 1, column 9: a comma is missing`."""
    return f"line {error.lineno}, column {error.colno}: {json_cause(error)}"


def json_cause(error: JSONDecodeError) -> str:
    """Return the cause of an error in JSON, without the place."""
    character = error.doc[error.pos : error.pos + 1]
    if character == "'":
        return "names and texts must be in double quotes, not in single quotes"
    if character in _EXTRA_COMMA and error.doc[: error.pos].rstrip().endswith(","):
        return _EXTRA_COMMA[character]
    if error.msg == _NO_COMMA:
        closing = _closing_bracket(error.doc[: error.pos])
        return f"{'' if error.doc[error.pos :].strip() == '' else 'a comma or '}the {closing} is missing"
    return _OF_JSON.get(error.msg, "this is not valid JSON")


def _closing_bracket(start: str) -> str:
    """Return the name of the bracket that closes the innermost open object or list. `start`: the beginning of JSON."""
    opened = list[str]()
    for character in _BRACKETS.findall(_JSON_STRING.sub("", start)):
        if character in "{[":
            opened.append(character)
        else:
            opened.pop()
    return "closing brace }" if opened[-1] == "{" else "closing bracket ]"


def _at_least(minimum: int, unit: str) -> str:
    if minimum == 1:
        return "must not be empty"
    return f"must be at least {minimum} {unit}s" if unit == "character" else f"must contain at least {minimum} {unit}s"
