"""Every field and parameter of every operation refuses wrong values in One Runtime's own words, with the field's name.

The OpenAPI document lists the fields, so a new field is tested without a change of this file.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest

from one_runtime.api.problems import MEDIA_TYPE
from one_runtime.errors import FieldError
from one_runtime.validation.descriptions import dotted
from tests.api.operations import Operation, Place, Schema, example, operations, put
from tests.application import JSON, Application, Client
from tests.validators_words import VALIDATORS_WORDS

pytestmark = [pytest.mark.only_database("sqlite"), pytest.mark.slow]

_SECRET: Final = "secret-0123456789"
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Wrong:
    """A wrong value of one field, or of one parameter if `where` is not `body`."""

    kind: str
    operation: Operation
    where: str
    place: Place
    value: object

    @property
    def field(self) -> str:
        return dotted(self.place) or "body"

    async def send(self, client: Client) -> httpx2.Response:
        operation, name = self.operation, str(self.place[0]) if self.place else ""
        body = example(operation.body) if operation.body is not None else None
        values = {self.where: {name: str(self.value)}}
        address = operation.address(values.get("path", {}), **values.get("query", {}))
        if self.value is _MISSING and self.where == "query":
            address = operation.path
        elif self.value is _MISSING:
            body = {key: value for key, value in (body or {}).items() if key != name}
        elif self.where == "body":
            body = put(body, self.place, self.value)
        content = None if body is None else json.dumps(body)
        return await client.http.request(operation.method, address, content=content, headers=JSON if content else {})


def schemas(schema: Schema, place: Place = ()) -> Iterator[tuple[Place, Schema]]:
    """Yield each position of a body with its schema."""
    yield place, schema
    for choice in schema.get("anyOf", ()):
        yield from schemas(choice, place)
    if schema.get("type") == "array":
        yield from schemas(schema["items"], (*place, 0))
    for name, inner in schema.get("properties", {}).items():
        yield from schemas(inner, (*place, name))
    if isinstance(schema.get("additionalProperties"), Mapping):
        yield from schemas(schema["additionalProperties"], (*place, "key"))


_OF_ANOTHER_TYPE: Final[Mapping[str, tuple[tuple[str, object], ...]]] = {
    "string": (
        ("number", 123),
        ("boolean", True),
        ("list", [_SECRET]),
        ("object", {_SECRET: _SECRET}),
        ("NUL", f"{_SECRET}\x00"),
        ("lone surrogate", f"{_SECRET}\ud800"),
    ),
    "integer": (("text", _SECRET), ("list", [1]), ("fraction", 1.5), ("huge", 10**30)),
    "boolean": (("text", _SECRET), ("list", [True]), ("number", 7)),
    "array": (("text", _SECRET), ("object", {"a": _SECRET}), ("list of lists", [[_SECRET]])),
    "object": (("list", [_SECRET]), ("text", _SECRET), ("number", 1)),
}


def wrong_values(schema: Schema) -> Iterator[tuple[str, object]]:
    """Yield values that JSON can contain, and that do not fit the schema. `kind` says what is wrong."""
    yield from _OF_ANOTHER_TYPE.get(schema.get("type", ""), ())
    if "maxLength" in schema:
        yield "too long", _SECRET + "x" * (schema["maxLength"] + 1 - len(_SECRET))
    if schema.get("minLength") and "enum" not in schema:
        yield from (("empty", ""), ("blank", "  "))
    if {"enum", "pattern", "const"} & schema.keys():
        yield "not listed", f"{_SECRET} \x00"
    if "minimum" in schema:
        yield from (("too small", schema["minimum"] - 1), ("too large", schema["maximum"] + 1))
    if "maxItems" in schema:
        yield "too many", ["https://a.example"] * (schema["maxItems"] + 1)
    if schema.get("additionalProperties") is False:
        yield "unknown field", {"typo": _SECRET}


def in_body(operation: Operation) -> Iterator[Wrong]:
    if operation.body is None:
        return
    for name in operation.body.get("required", ()):
        yield Wrong("missing", operation, "body", (name,), _MISSING)
    required = {(name,) for name in operation.body.get("required", ())}
    for place, schema in schemas(operation.body):
        if place in required:
            yield Wrong("null", operation, "body", place, None)
        for kind, value in wrong_values(schema):
            if kind == "unknown field":
                inner = {**_at(example(operation.body), place), **value}  # type: ignore[dict-item] # a mapping
                yield Wrong(kind, operation, "body", place, inner)
            else:
                yield Wrong(kind, operation, "body", place, value)


def _at(body: Any, place: Place) -> dict[str, Any]:
    for step in place:
        body = (body or {}).get(step, {}) if isinstance(step, str) else {}
    return dict(body or {})


def in_parameters(operation: Operation) -> Iterator[Wrong]:
    for parameter in operation.parameters:
        where, name, schema = parameter["in"], parameter["name"], parameter["schema"]
        if where == "query" and parameter["required"]:
            yield Wrong("missing", operation, where, (name,), _MISSING)
        if where == "header":
            continue
        inner = [schema.get("items", schema), *schema.get("anyOf", ())]
        for kind, value in (found for part in inner for found in wrong_values(part)):
            if isinstance(value, str) or "minimum" in schema:
                yield Wrong(kind, operation, where, (name,), value)
    if operation.parameters_in("query") and not operation.parameters_in("path"):
        yield Wrong("unknown parameter", operation, "query", ("typo",), _SECRET)


def check(wrong: Wrong, answer: httpx2.Response) -> None:
    """Fail unless the answer refuses the value in our own words and names the field, without the value."""
    assert not VALIDATORS_WORDS.search(answer.text), answer.text[:400]
    if wrong.where == "path" and answer.status_code == 404:
        return
    assert answer.status_code == 422, f"{answer.status_code} {answer.text[:200]}"
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    errors = [FieldError(**error) for error in problem["errors"]]
    name = str(wrong.place[0]) if wrong.place else ""
    assert [error for error in errors if re.split(r"[.[]", error.field)[0] == name or not name], errors
    assert name in problem["detail"]
    assert len(errors) > 5 or all(error.message.removesuffix(".") in problem["detail"] for error in errors), problem[
        "detail"
    ]
    assert _SECRET not in problem["detail"].replace(wrong.field, ""), problem["detail"]


async def test_wrong_values_from_the_popup_are_refused_in_our_words(application: Application) -> None:
    client = application.client(await application.key(await application.organization()))
    token = (await client.session())["session_token"]
    valid = {"auth_type": "api_key", "integration_slug": "acme", "params": {}, "credentials": {}, "name": "Acme"}
    for name in valid:
        for value in (1, True, [_SECRET], {_SECRET: 1}, f"{_SECRET}\x00", _SECRET * 10_000):
            answer = await client.popup("/connect", token, {**valid, name: value})
            assert answer.status_code in {422, 429}, f"{name} {answer.text}"
            assert not VALIDATORS_WORDS.search(answer.text), answer.text
            assert _SECRET not in answer.json()["detail"], answer.text


async def test_many_unknown_fields_and_long_names_give_a_short_answer(application: Application) -> None:
    client = application.client(await application.key(await application.organization()))
    many = dict.fromkeys(map(str, range(9_000)), 1)
    for body, count in ((many, 20), ({"x" * 900_000: 1}, 2)):
        answer = await client.post("/v1/disconnect", {"end_user_id": "u", **body})
        assert (answer.status_code, len(answer.json()["errors"])) == (422, count)
        assert len(answer.text) < 8_000
    answer = await client.get("/v1/connections", **dict.fromkeys((f"name_{number}" for number in range(500)), "1"))
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 20)


async def test_every_wrong_value_is_refused_with_the_name_of_its_field(application: Application) -> None:
    client = application.client(await application.key(await application.organization()))
    document = (await client.get("/openapi.json")).json()
    checked, failures = 0, list[str]()
    for operation in operations(document):
        if operation.path.startswith("/v1/proxy/"):  # the provider defines the parameters and the body
            continue
        for wrong in [*in_parameters(operation), *in_body(operation)]:
            checked += 1
            try:
                check(wrong, await wrong.send(client))
            except AssertionError as error:
                failures.append(f"{operation.name} {wrong.where} {wrong.field} {wrong.kind}: {error}")
    assert checked > 500
    assert not failures, f"{len(failures)} of {checked}:\n" + "\n".join(failures[:60])
