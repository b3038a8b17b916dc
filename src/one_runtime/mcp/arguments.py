"""Define the arguments of the tools, and describe wrong arguments to a language model."""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError

from one_runtime.agents.requests import MAX_PATH, BodyFormat
from one_runtime.agents.shaping import (
    DEFAULT_BYTES,
    MAX_BYTES,
    MAX_FIELD,
    MAX_FIELDS,
    MAX_PARTS,
    MIN_BYTES,
)
from one_runtime.errors import FieldError, InvalidInput
from one_runtime.validation.descriptions import MAX_ERRORS, describe, dotted
from one_runtime.validation.names import text_problem


def _clean(text: str) -> str:
    problem = text_problem(text)
    if problem is not None:
        raise PydanticCustomError("text", problem)
    return text


def _short_path(field: str) -> str:
    if field.count(".") >= MAX_PARTS:
        raise PydanticCustomError("text", f"must have at most {MAX_PARTS} names, such as results.id")
    return field


_Text: TypeAlias = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_clean)]
_Path: TypeAlias = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(_clean)]

_Field: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=MAX_FIELD), AfterValidator(_clean), AfterValidator(_short_path)
]


class Arguments(BaseModel):
    """The arguments of a tool. The JSON Schema of the tool comes from this model."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SearchArguments(Arguments):
    """Arguments of `tool_search`."""

    query: _Text = Field(description="What you want to do, such as: list contacts")
    integration: _Text | None = Field(None, description="Slug, to search one integration")
    limit: int = Field(8, ge=1, le=20)


class HelpArguments(Arguments):
    """Arguments of `tool_help`."""

    name: _Text = Field(description="Function, such as hubspot.contacts_list, or slug")


class ConnectArguments(Arguments):
    """Arguments of `get_tool_connect_url`."""

    tool_name: _Text = Field(description="Function or slug")


class RunArguments(Arguments):
    """Arguments of `run_python`."""

    code: Annotated[str, Field(min_length=1)] | None = Field(
        None, description="Program. Its last expression is the result"
    )
    run_id: _Text | None = Field(None, description="Paused program to continue, instead of code")
    timeout_s: int = Field(60, ge=1, le=60)


class ListArguments(Arguments):
    """Arguments of `list_connections`."""

    status: Literal["connected", "needs_reauth"] | None = None
    integration: _Text | None = None


class CallArguments(Arguments):
    """Arguments that `call_read` and `call_write` have in common."""

    name: _Text | None = Field(None, description="Function from tool_search, instead of integration and path")
    arguments: dict[str, Any] | None = Field(None, description="Arguments of the function")
    integration: _Text | None = Field(None, description="Slug")
    path: _Path | None = Field(None, description="Path below the base URL, such as /v1/users")
    query: dict[str, Any] = {}
    connection: _Text | None = Field(None, description="Id of the account, if there are several")
    fields: list[_Field] = Field([], max_length=MAX_FIELDS, description="Fields to keep, such as results.id")
    max_bytes: int = Field(DEFAULT_BYTES, ge=MIN_BYTES, le=MAX_BYTES)


class ReadArguments(CallArguments):
    """Arguments of `call_read`."""

    offset: int = Field(0, ge=0, description="From a truncated answer")


class WriteArguments(CallArguments):
    """Arguments of `call_write`."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"] | None = None
    body: Any = None
    body_format: BodyFormat = "json"
    idempotency_key: _Text | None = None


A = TypeVar("A", bound=Arguments)


def parse(model: type[A], arguments: dict[str, Any] | None) -> A:
    """Return the validated arguments. Raises: InvalidInput that names each wrong argument and the possible ones."""
    try:
        return model.model_validate(arguments or {})
    except ValidationError as error:
        parts = error.errors(include_url=False)[:MAX_ERRORS]
        errors = [FieldError(dotted(part["loc"]), describe(part)) for part in parts]
        invalid = InvalidInput.of_all(errors)
        names = ", ".join(model.model_fields)
        raise InvalidInput(f"{invalid.detail} The arguments of this tool are: {names}.", invalid.errors) from error


def schema_of(model: type[Arguments]) -> dict[str, Any]:
    """Return a short JSON Schema of the arguments: without titles, defaults and lengths."""
    schema = model.model_json_schema()
    properties = {name: _short(value) for name, value in schema["properties"].items()}
    required = schema.get("required", [])
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _short(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    merged = {**schema, **(choices[0] if len(choices) == 1 else {})}
    kept = {name: merged[name] for name in ("type", "enum", "description", "minimum", "maximum") if name in merged}
    if "items" in merged:
        kept["items"] = _short(merged["items"])
    return kept
